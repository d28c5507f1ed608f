// Curves as SVG.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "train/report.h"

namespace furrow::train {
namespace {

// Okabe and Ito's colours, which stay distinguishable in every common kind of colour blindness.
constexpr std::array<const char*, 7> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                 "#E69F00", "#56B4E9", "#000000"};
constexpr double kWidth = 640, kHeight = 280, kLeft = 64, kRight = 12, kTop = 28, kBottom = 36;

std::string text_of(double value, const char* form = "%.4g") {
  char text[40];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  void widen() {
    if (high - low > 0) return;
    const double margin = std::max(std::abs(low) * 0.1, 1e-12);
    low -= margin;
    high += margin;
  }
  double at(double value) const { return (value - low) / (high - low); }
};

// 1, 2 or 5 times a power of ten: about `count` steps over the axis.
double round_step(const Axis& axis, int count) {
  const double rough = (axis.high - axis.low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

std::string grid_line(double x0, double y0, double x1, double y1) {
  return "<line x1=\"" + text_of(x0, "%.1f") + "\" y1=\"" + text_of(y0, "%.1f") + "\" x2=\"" + text_of(x1, "%.1f") +
         "\" y2=\"" + text_of(y1, "%.1f") + "\" class=\"grid\"/>";
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + text_of(x, "%.1f") + "\" y=\"" + text_of(y, "%.1f") + "\" text-anchor=\"" + anchor + "\">" +
         html_escaped(text) + "</text>";
}

double left_to_right(double share) { return kLeft + share * (kWidth - kLeft - kRight); }
double bottom_to_top(double share) { return kHeight - kBottom - share * (kHeight - kTop - kBottom); }

using Points = std::vector<std::pair<double, double>>;

// What can be drawn, in the scale of the axis.
Points drawable(const Curve& curve, bool logarithmic) {
  Points out;
  for (const auto& [x, y] : curve.points)
    if (std::isfinite(y) && (!logarithmic || y > 0)) out.emplace_back(x, logarithmic ? std::log10(y) : y);
  constexpr size_t kMost = 2000;
  if (out.size() <= kMost) return out;
  // The least and the greatest of each group, in their order: no spike is lost.
  Points thin;
  const size_t groups = kMost / 2;
  for (size_t g = 0; g < groups; ++g) {
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(g * out.size() / groups);
    const auto end = out.begin() + static_cast<std::ptrdiff_t>((g + 1) * out.size() / groups);
    const auto [least, greatest] =
        std::minmax_element(begin, end, [](const auto& a, const auto& b) { return a.second < b.second; });
    thin.push_back(*std::min(least, greatest));
    if (least != greatest) thin.push_back(*std::max(least, greatest));
  }
  return thin;
}

std::string polyline(const Points& points, const Axis& x, const Axis& y, const char* colour) {
  if (points.size() == 1)
    return "<circle cx=\"" + text_of(left_to_right(x.at(points[0].first)), "%.1f") + "\" cy=\"" +
           text_of(bottom_to_top(y.at(points[0].second)), "%.1f") + "\" r=\"2.5\" fill=\"" + colour + "\"/>";
  std::string out = "<polyline fill=\"none\" stroke=\"" + std::string(colour) + "\" stroke-width=\"1.5\" points=\"";
  for (const auto& [px, py] : points)
    out += text_of(left_to_right(x.at(px)), "%.1f") + "," + text_of(bottom_to_top(y.at(py)), "%.1f") + " ";
  return out + "\"/>";
}

}  // namespace

std::string html_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string chart_svg(const Chart& chart) {
  Axis x, y;
  std::vector<Points> curves;
  for (const Curve& curve : chart.curves) {
    curves.push_back(drawable(curve, chart.logarithmic));
    for (const auto& [px, py] : curves.back()) x.add(px), y.add(py);
  }
  if (x.empty()) return "";
  x.widen();
  y.widen();
  std::string out = "<svg viewBox=\"0 0 " + text_of(kWidth) + " " + text_of(kHeight) +
                    "\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"><title>" + html_escaped(chart.title) +
                    "</title>";
  const double step_x = round_step(x, 6), step_y = round_step(y, 5);
  for (double v = std::ceil(x.low / step_x) * step_x; v <= x.high; v += step_x) {
    const double at = left_to_right(x.at(v));
    out += grid_line(at, kTop, at, kHeight - kBottom) + label(at, kHeight - kBottom + 14, "middle", text_of(v, "%.6g"));
  }
  for (double v = std::ceil(y.low / step_y) * step_y; v <= y.high; v += step_y) {
    const double at = bottom_to_top(y.at(v)), shown = std::abs(v) < step_y * 1e-9 ? 0 : v;
    out += grid_line(kLeft, at, kWidth - kRight, at) +
           label(kLeft - 6, at + 4, "end", text_of(chart.logarithmic ? std::pow(10, shown) : shown, "%.3g"));
  }
  out += label(kWidth / 2, kHeight - 4, "middle", "step");
  double legend = kLeft;
  for (size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].empty()) continue;
    const char* colour = kColours[i % kColours.size()];
    out += polyline(curves[i], x, y, colour);
    out += "<rect x=\"" + text_of(legend, "%.1f") + "\" y=\"8\" width=\"10\" height=\"10\" fill=\"" + colour + "\"/>" +
           label(legend + 14, 17, "start", chart.curves[i].name);
    legend += 26 + 7 * static_cast<double>(chart.curves[i].name.size());
  }
  return out + "</svg>";
}

std::string base64(const std::string& bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) word = word << 8 | (k < left ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= left ? kDigits[(word >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

}  // namespace furrow::train
