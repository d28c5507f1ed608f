#include "train/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "io/html.h"

namespace furrow::train {
namespace {

// Okabe and Ito's colours, which stay distinguishable in every common kind of colour blindness.
constexpr std::array<const char*, 7> kColours = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                 "#E69F00", "#56B4E9", "#000000"};

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
  // Where the values are so near to each other that their labels would need more than eight digits.
  void widen(bool logarithmic) {
    const double size = logarithmic ? 1 : std::max(std::abs(low), std::abs(high));
    if (high - low > 1e-7 * size) return;
    const double margin = size > 0 ? 0.1 * size : 1;
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

struct Tick {
  double at;  // in the scale of the axis
  std::string text;
};

constexpr double kSlack = 1e-9;  // so that an end of the axis that is a tick's has its line

// At whole multiples of a round step, with as many digits as tell two of them apart.
std::vector<Tick> ticks(const Axis& axis, int count) {
  const double step = round_step(axis, count), largest = std::max(std::abs(axis.low), std::abs(axis.high));
  const double digits = std::floor(std::log10(largest)) - std::floor(std::log10(step) + kSlack) + 1;
  const int shown = std::max(6, static_cast<int>(digits));
  std::vector<Tick> out;
  for (double n = std::ceil(axis.low / step - kSlack) + 0.0; n <= axis.high / step + kSlack; ++n) {
    char text[40];
    std::snprintf(text, sizeof text, "%.*g", shown, n * step);
    out.push_back({n * step, text});
  }
  return out;
}

// Of an axis of logarithms: decades; up to two and a half of them, 1, 2 and 5 in each; within one, as of any other axis.
std::vector<Tick> logarithmic_ticks(const Axis& axis) {
  const double decades = axis.high - axis.low;
  std::vector<Tick> out;
  if (decades < 1) {
    out = ticks({std::pow(10, axis.low), std::pow(10, axis.high)}, 5);
    for (Tick& tick : out) tick.at = std::log10(tick.at);
    return out;
  }
  const double step = std::max(1.0, round_step(axis, 6));
  for (double power = std::floor(axis.low / step) * step; power <= axis.high + kSlack; power += step)
    for (const int factor : {1, 2, 5}) {
      const double at = power + std::log10(factor);
      if (at < axis.low - kSlack || at > axis.high + kSlack || (factor > 1 && decades > 2.5)) continue;
      out.push_back({at, text_of(factor * std::pow(10, power), "%g")});
    }
  return out;
}

std::string grid_line(double x0, double y0, double x1, double y1) {
  return "<line x1=\"" + text_of(x0, "%.1f") + "\" y1=\"" + text_of(y0, "%.1f") + "\" x2=\"" + text_of(x1, "%.1f") +
         "\" y2=\"" + text_of(y1, "%.1f") + "\" class=\"grid\"/>";
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + text_of(x, "%.1f") + "\" y=\"" + text_of(y, "%.1f") + "\" text-anchor=\"" + anchor + "\">" +
         io::html_text(text) + "</text>";
}

// Where the axes lie in the picture.
struct Frame {
  double width, height, left, right, top, bottom;
  double x(double share) const { return left + share * (width - left - right); }
  double y(double share) const { return height - bottom - share * (height - top - bottom); }
};
constexpr Frame kWide = {640, 280, 64, 12, 28, 36}, kSquare = {330, 346, 46, 14, 28, 48};

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

std::string polyline(const Frame& frame, const Points& points, const Axis& x, const Axis& y, const char* colour) {
  if (points.size() == 1)
    return "<circle cx=\"" + text_of(frame.x(x.at(points[0].first)), "%.1f") + "\" cy=\"" +
           text_of(frame.y(y.at(points[0].second)), "%.1f") + "\" r=\"2.5\" fill=\"" + colour + "\"/>";
  std::string out = "<polyline fill=\"none\" stroke=\"" + std::string(colour) + "\" stroke-width=\"1.5\" points=\"";
  for (const auto& [px, py] : points)
    out += text_of(frame.x(x.at(px)), "%.1f") + "," + text_of(frame.y(y.at(py)), "%.1f") + " ";
  return out + "\"/>";
}

}  // namespace

std::string chart_svg(const Chart& chart) {
  const Frame& frame = chart.unit_square ? kSquare : kWide;
  const double low = frame.height - frame.bottom, right = frame.width - frame.right;
  Axis x, y;
  std::vector<Points> curves;
  size_t drawn = 0;
  for (const Curve& curve : chart.curves) {
    curves.push_back(drawable(curve, chart.logarithmic));
    drawn += !curves.back().empty();
    for (const auto& [px, py] : curves.back()) x.add(px), y.add(py);
  }
  if (x.empty()) return "";
  if (chart.unit_square) x = y = {0, 1};
  x.widen(false);
  y.widen(chart.logarithmic);
  std::string out = "<svg viewBox=\"0 0 " + text_of(frame.width) + " " + text_of(frame.height) +
                    "\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\"><title>" + io::html_text(chart.title) +
                    "</title>";
  for (const Tick& tick : ticks(x, 6)) {
    const double at = frame.x(x.at(tick.at));
    out += grid_line(at, frame.top, at, low) + label(at, low + 14, "middle", tick.text);
  }
  for (const Tick& tick : chart.logarithmic ? logarithmic_ticks(y) : ticks(y, 5)) {
    const double at = frame.y(y.at(tick.at));
    out += grid_line(frame.left, at, right, at) + label(frame.left - 6, at + 4, "end", tick.text);
  }
  out += label(frame.x(0.5), frame.height - 4, "middle", chart.x);
  if (!chart.y.empty())
    out += "<text transform=\"translate(12 " + text_of(frame.y(0.5), "%.1f") +
           ") rotate(-90)\" text-anchor=\"middle\">" + io::html_text(chart.y) + "</text>";
  if (chart.diagonal)
    out += "<path class=\"dashed\" d=\"M" + text_of(frame.left) + " " + text_of(low) + "L" + text_of(right) + " " +
           text_of(frame.top) + "\"/>";
  double legend = frame.left;
  for (size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].empty()) continue;
    const char* colour = kColours[i % kColours.size()];
    out += polyline(frame, curves[i], x, y, colour);
    if (chart.unit_square && drawn < 2) continue;  // its title says what it is
    out += "<rect x=\"" + text_of(legend, "%.1f") + "\" y=\"8\" width=\"10\" height=\"10\" fill=\"" + colour + "\"/>" +
           label(legend + 14, 17, "start", chart.curves[i].name);
    legend += 26 + 7 * static_cast<double>(chart.curves[i].name.size());
  }
  return out + "</svg>";
}

}  // namespace furrow::train
