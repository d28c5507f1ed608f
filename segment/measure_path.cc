#include "segment/measure_path.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace furrow::detail {
namespace {

double distance(Point a, Point b) {
  const double x = a.x - b.x, y = a.y - b.y;
  return std::sqrt(x * x + y * y);
}

// Parabola a + b t + c t^2 through the window points[first, first + 2m], t = -m .. m.
struct Parabola {
  Point a, b, c;
  Point at(double t) const { return {a.x + t * (b.x + t * c.x), a.y + t * (b.y + t * c.y)}; }
};

class Fitter {
 public:
  explicit Fitter(int m) : m_(m) {
    for (int t = -m; t <= m; ++t) s2_ += double(t) * t, s4_ += double(t) * t * t * t;
    n_ = 2 * m + 1;
    for (int t = -m; t <= m; ++t) weights_.push_back((s4_ - s2_ * t * t) / (n_ * s4_ - s2_ * s2_));
  }

  template <class At>
  Parabola fit(At&& point) const {
    Point y0, y1, y2;
    for (int t = -m_; t <= m_; ++t) {
      const Point p = point(t);
      y0.x += p.x, y1.x += t * p.x, y2.x += double(t) * t * p.x;
      y0.y += p.y, y1.y += t * p.y, y2.y += double(t) * t * p.y;
    }
    const double det = n_ * s4_ - s2_ * s2_;
    return {{(s4_ * y0.x - s2_ * y2.x) / det, (s4_ * y0.y - s2_ * y2.y) / det},
            {y1.x / s2_, y1.y / s2_},
            {(n_ * y2.x - s2_ * y0.x) / det, (n_ * y2.y - s2_ * y0.y) / det}};
  }

  // The parabola's value in the middle of the window that begins at `first`: one weighted sum.
  Point middle(const Point* first) const {
    Point sum;
    for (size_t k = 0; k < weights_.size(); ++k) sum.x += weights_[k] * first[k].x, sum.y += weights_[k] * first[k].y;
    return sum;
  }

 private:
  int m_;
  double s2_ = 0, s4_ = 0, n_ = 0;
  std::vector<double> weights_;
};

// The straight line across the stroke at `at`, looking outwards along `out`. `soft` is a pixel's extent along `out`, so
// that a pixel the line cuts counts with the part of it that lies outside.
struct Cut {
  Point at, out;
  double share(double x, double y) const {
    const double soft = std::abs(out.x) + std::abs(out.y);
    return std::clamp(((x - at.x) * out.x + (y - at.y) * out.y) / soft + 0.5, 0.0, 1.0);
  }
};

// Smoothed points seen from one free end inwards.
class FromEnd {
 public:
  FromEnd(const std::vector<Point>& q, bool back) : q_(q), back_(back) {}
  int64_t size() const { return static_cast<int64_t>(q_.size()); }
  Point operator[](int64_t k) const { return q_[static_cast<size_t>(back_ ? size() - 1 - k : k)]; }
  Cut cut(int64_t k) const {
    const Point outer = (*this)[std::max<int64_t>(k - 3, 0)], inner = (*this)[std::min(k + 3, size() - 1)];
    const double d = std::max(distance(outer, inner), 1e-9);
    return {(*this)[k], {(outer.x - inner.x) / d, (outer.y - inner.y) / d}};
  }

 private:
  const std::vector<Point>& q_;
  bool back_;
};

// Floods the mask from pixel `seed` over what lies outside `cut`, within `reach` pixels of the seed.
std::vector<Point> pixels_beyond(const io::Image& mask, Point seed, const Cut& cut, int reach) {
  const int side = 2 * reach + 1;
  std::vector<uint8_t> seen(static_cast<size_t>(side) * side, 0);
  std::vector<Point> found;
  const auto visit = [&](double px, double py) {
    const int dx = static_cast<int>(px - seed.x), dy = static_cast<int>(py - seed.y);
    if (std::max(std::abs(dx), std::abs(dy)) > reach) return;
    uint8_t& mark = seen[static_cast<size_t>(dy + reach) * side + (dx + reach)];
    const auto x = static_cast<int64_t>(px), y = static_cast<int64_t>(py);
    if (mark || x < 0 || y < 0 || x >= mask.width || y >= mask.height || mask.row(y)[x] == 0) return;
    mark = 1;
    if (cut.share(px, py) > 0) found.push_back({px, py});
  };
  visit(seed.x, seed.y);
  for (size_t k = 0; k < found.size(); ++k)
    for (int j = -1; j <= 1; ++j)
      for (int i = -1; i <= 1; ++i) {
        const Point p = found[k];
        visit(p.x + i, p.y + j);
      }
  return found;
}

double area_beyond(const std::vector<Point>& pixels, const Cut& cut) {
  double area = 0;
  for (const Point p : pixels) area += cut.share(p.x, p.y);
  return area;
}

struct End {
  int64_t keep = 0;  // the smoothed points before this one, seen from the end, are replaced
  double rest = 0;   // by a straight piece of this length
};

constexpr int kSmoothing = 5;            // half the smoothing window, in path points
constexpr double kBand = 10;             // pixels of stroke that tell its width
constexpr double kWidestCorrected = 32;  // half width beyond which an end stays where the skeleton has it

// Where the centre line ends beyond `cut`, in pixels along cut.out, for a stroke of `width` with a round cap. Two
// estimates with independent errors, halved: the farthest pixel less the half width, and the area of the cap.
double rest_beyond(const std::vector<Point>& pixels, const Cut& cut, double width) {
  double tip = 0;
  for (const Point p : pixels) tip = std::max(tip, (p.x - cut.at.x) * cut.out.x + (p.y - cut.at.y) * cut.out.y);
  // The farthest pixel's centre lies short of the tip: by half a pixel where the line is one pixel wide, by less where
  // a broad cap offers many pixels (0.3 fits discs of radius 1 to 4.5 at any offset).
  const double half_width = width / 2, short_by = std::min(half_width, 0.3 + 0.1 / half_width);
  const double by_tip = tip + short_by - half_width;
  const Cut middle{{cut.at.x + by_tip * cut.out.x, cut.at.y + by_tip * cut.out.y}, cut.out};
  // A one-pixel line ends in the middle of its last pixel: half a pixel is the least cap.
  const double cap = std::max(0.5, std::numbers::pi / 8 * width * width);
  return by_tip + 0.5 * (area_beyond(pixels, middle) - cap) / width;
}

End find_end(const FromEnd& q, Point seed, const io::Image& mask, double half_width, double available) {
  if (available < 3 || half_width > kWidestCorrected) return {};
  double back = half_width + 3, band = kBand;
  if (back + band > available) {
    band = std::max(available - back, available / 2);
    back = available - band;
  }
  int64_t outer = 0, inner = 0;
  double back_arc = 0, arc = 0;
  for (; outer + 1 < q.size() && back_arc < back; ++outer) back_arc += distance(q[outer], q[outer + 1]);
  for (inner = outer; inner + 1 < q.size() && arc < band; ++inner) arc += distance(q[inner], q[inner + 1]);
  if (arc <= 0) return {};
  const int reach = static_cast<int>(back + band + half_width + 4);
  const Cut cut = q.cut(outer), inner_cut = q.cut(inner);
  const std::vector<Point> pixels = pixels_beyond(mask, seed, inner_cut, reach);
  const double width = (area_beyond(pixels, inner_cut) - area_beyond(pixels, cut)) / arc;
  if (width <= 0.25) return {};
  return {outer, rest_beyond(pixels, cut, width)};
}

}  // namespace

std::vector<Point> smooth(const std::vector<Point>& points, int m, bool closed) {
  const auto n = static_cast<int64_t>(points.size());
  m = static_cast<int>(std::min<int64_t>(m, (n - 1) / 2));
  if (m < 2) return points;
  const Fitter fitter(m);
  std::vector<Point> out(points.size());
  for (int64_t i = 0; i < n; ++i) {
    if (i >= m && i < n - m) {
      out[static_cast<size_t>(i)] = fitter.middle(&points[static_cast<size_t>(i - m)]);
      continue;
    }
    const int64_t middle = closed ? i : i < m ? m : n - 1 - m;
    const auto at = [&](int t) {
      int64_t k = middle + t;
      if (closed) k = k < 0 ? k + n : k >= n ? k - n : k;
      return points[static_cast<size_t>(k)];
    };
    out[static_cast<size_t>(i)] = fitter.fit(at).at(double(i - middle));
  }
  return out;
}

double centre_line_length(const Path& path, const io::Image& mask, bool correct_ends) {
  if (path.points.size() == 2) return distance(path.points[0], path.points[1]);
  const std::vector<Point> q = smooth(path.points, kSmoothing, path.closed);
  const auto n = static_cast<int64_t>(q.size());
  std::vector<double> step(q.size(), 0.0);
  double total = path.closed ? distance(q.front(), q.back()) : 0;
  for (int64_t i = 0; i + 1 < n; ++i) total += step[static_cast<size_t>(i)] = distance(q[i], q[i + 1]);
  if (path.closed || !correct_ends || !(path.free_front || path.free_back)) return total;

  const bool both = path.free_front && path.free_back;
  const double available = both ? total / 2 : total - path.junction_half_width - 1;
  for (const bool back : {false, true}) {
    if (!(back ? path.free_back : path.free_front)) continue;
    const Point seed = back ? path.points.back() : path.points.front();
    const End end = find_end(FromEnd(q, back), seed, mask, path.half_width, available);
    total += end.rest;
    for (int64_t k = 0; k < end.keep; ++k) total -= step[static_cast<size_t>(back ? n - 2 - k : k)];
  }
  return std::max(total, 0.0);
}

}  // namespace furrow::detail
