// Drawing for the tests, independent of the library: a pixel is set where its centre lies under the pen.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include "io/image.h"

namespace furrow::draw {

// A stroke from (x0, y0) to (x1, y1) with a round pen of diameter `width`.
inline void line(io::Image& mask, double x0, double y0, double x1, double y1, double width) {
  const double dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy;
  const int64_t left = static_cast<int64_t>(std::floor(std::min(x0, x1) - width)),
                right = left + std::llround(std::abs(dx) + 2 * width) + 2;
  const int64_t top = static_cast<int64_t>(std::floor(std::min(y0, y1) - width)),
                bottom = top + std::llround(std::abs(dy) + 2 * width) + 2;
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(bottom, mask.height); ++y)
    for (int64_t x = std::max<int64_t>(left, 0); x < std::min(right, mask.width); ++x) {
      const double t = squared > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / squared, 0.0, 1.0) : 0;
      if (std::hypot(x - x0 - t * dx, y - y0 - t * dy) <= width / 2) mask.row(y)[x] = 255;
    }
}

// A one-pixel line by Bresenham's rule, both ends included.
inline void bresenham(io::Image& mask, int64_t x, int64_t y, int64_t x1, int64_t y1) {
  const int64_t dx = std::llabs(x1 - x), dy = -std::llabs(y1 - y), sx = x < x1 ? 1 : -1, sy = y < y1 ? 1 : -1;
  int64_t error = dx + dy;
  while (true) {
    mask.row(y)[x] = 255;
    if (x == x1 && y == y1) return;
    const int64_t twice = 2 * error;
    if (twice >= dy) error += dy, x += sx;
    if (twice <= dx) error += dx, y += sy;
  }
}

// Part of a circle, from angle `from` over `span` radians, with a round pen. span >= 2 pi closes it.
inline void arc(io::Image& mask, double cx, double cy, double radius, double from, double span, double width) {
  const auto to_end = [&](double x, double y, double end) {
    return std::hypot(x - cx - radius * std::cos(end), y - cy - radius * std::sin(end));
  };
  for (int64_t y = 0; y < mask.height; ++y)
    for (int64_t x = 0; x < mask.width; ++x) {
      double angle = std::atan2(y - cy, x - cx) - from;
      while (angle < 0) angle += 2 * std::numbers::pi;
      const double gap = angle <= span ? std::abs(std::hypot(x - cx, y - cy) - radius)
                                       : std::min(to_end(x, y, from), to_end(x, y, from + span));
      if (gap <= width / 2) mask.row(y)[x] = 255;
    }
}

}  // namespace furrow::draw
