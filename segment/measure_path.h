// Length of one traced path of skeleton pixels, free of the bias that pixel steps have with the angle.
#pragma once

#include <cstdint>
#include <vector>

#include "io/image.h"

namespace furrow::detail {

struct Point {
  double x = 0, y = 0;
};

// A path of skeleton pixels (their centres, in pixels of the mask, neighbours one king's move apart).
struct Path {
  std::vector<Point> points;
  double half_width = 0.5;                     // mean over the path, pixels
  double junction_half_width = 0;              // of the widest junction it ends in; 0 without
  bool closed = false;                         // the last point is a neighbour of the first
  bool free_front = false, free_back = false;  // that end is the end of a line, not a junction
};

// Least-squares parabola through 2m + 1 neighbours of every point, evaluated at the point (Savitzky & Golay 1964); at
// the ends of an open path the first and last full window are evaluated off their middle. Keeps straight lines and, up
// to (m/R)^4 / 93 of the radius R, circles. Paths shorter than five points come back as they are.
std::vector<Point> smooth(const std::vector<Point>& points, int m, bool closed);

// Length in pixels of the centre line that `path` stands for: the smoothed polyline and, at a free end, the straight
// rest that the mask's area beyond the last trusted point accounts for (measure.h states the rule). `correct_ends` =
// false leaves the ends where the skeleton has them.
double centre_line_length(const Path& path, const io::Image& mask, bool correct_ends);

}  // namespace furrow::detail
