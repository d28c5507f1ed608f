#include "segment/face_regions.h"

#include <algorithm>
#include <cmath>

#include "segment/region.h"

namespace furrow {
namespace {

// Which of kFaceRegions, in the order in which they take pixels.
enum Region : uint8_t { forehead, glabella, crows_left, crows_right, under_left, under_right, fold_left, fold_right,
                        cheek_left, cheek_right, chin, none = 255 };
constexpr Region kTakes[] = {glabella,  under_left, under_right, crows_left, crows_right, fold_left,
                             fold_right, chin,       cheek_left,  cheek_right, forehead};

// Fills the pixels of `plane`, the photo's from (x0, y0) on, whose centres lie in the polygon (even-odd rule) and that
// belong to nobody.
void fill(const std::vector<Point>& polygon, int64_t x0, int64_t y0, Region region, io::Image& plane) {
  std::vector<double> crossings;
  for (int64_t row = 0; row < plane.height; ++row) {
    const double y = static_cast<double>(y0 + row) + 0.5;
    crossings.clear();
    for (size_t i = 0; i < polygon.size(); ++i) {
      const Point &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
      if ((a.y <= y) != (b.y <= y)) crossings.push_back(a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x));
    }
    std::ranges::sort(crossings);
    for (size_t i = 0; i + 1 < crossings.size(); i += 2) {
      const auto first = static_cast<int64_t>(std::ceil(crossings[i] - 0.5)) - x0,
                 last = static_cast<int64_t>(std::ceil(crossings[i + 1] - 0.5)) - x0;
      for (int64_t x = std::max<int64_t>(first, 0); x < std::min(last, plane.width); ++x)
        if (plane.row(row)[x] == none) plane.row(row)[x] = region;
    }
  }
}

// Where a polygon's pixels are, from the corner of what is visible on.
Crop box_of(const std::vector<Point>& polygon, const Crop& visible) {
  const auto [left, right] = std::ranges::minmax(polygon, {}, &Point::x);
  const auto [top, bottom] = std::ranges::minmax(polygon, {}, &Point::y);
  const auto clamped = [](double value, int64_t from, int64_t size) {
    return static_cast<int64_t>(std::clamp(value - static_cast<double>(from), 0.0, static_cast<double>(size)));
  };
  Crop box;
  box.x = clamped(std::floor(left.x), visible.x, visible.side_w);
  box.y = clamped(std::floor(top.y), visible.y, visible.side_h);
  box.side_w = clamped(std::ceil(right.x), visible.x, visible.side_w) - box.x;
  box.side_h = clamped(std::ceil(bottom.y), visible.y, visible.side_h) - box.y;
  return box;
}

}  // namespace

std::vector<std::vector<Point>> region_outlines(const FacePoints& p) {
  std::vector<std::vector<Point>> out(kFaceRegions.size());
  const auto polygon = [&](std::initializer_list<Point> corners) {
    std::vector<Point> points;
    for (const Point& c : corners) points.push_back(p.frame.photo(c.x, c.y));
    return points;
  };
  const double brow[2] = {p.brow_top[0] - 0.03, p.brow_top[1] - 0.03};
  const double temple[2] = {p.eye_outer[0] + 0.35, p.eye_outer[1] + 0.35};
  out[forehead] = polygon({{-temple[0], -2.5}, {temple[1], -2.5}, {temple[1], brow[1]}, {p.brow_inner[1], brow[1]},
                           {-p.brow_inner[0], brow[0]}, {-temple[0], brow[0]}});
  out[glabella] = polygon({{-p.brow_inner[0], brow[0]}, {p.brow_inner[1], brow[1]}, {p.eye_inner[1], 0},
                           {-p.eye_inner[0], 0}});
  out[chin] = polygon({{-p.mouth_corner[0], p.lip_bottom + 0.02}, {p.mouth_corner[1], p.lip_bottom + 0.02},
                       {0.9 * p.mouth_corner[1], p.chin + 0.1}, {-0.9 * p.mouth_corner[0], p.chin + 0.1}});
  for (const int side : {0, 1}) {
    const double sign = side == 0 ? -1 : 1, outer = p.eye_outer[side] + 0.04, under = p.eye_bottom[side] + 0.02,
                 wing = p.nose_side[side], alar = p.nose_bottom - 0.2, corner = p.mouth_corner[side],
                 lip = p.mouth_height, edge = outer + 0.9;
    const auto mirrored = [&](std::initializer_list<Point> corners) {
      std::vector<Point> points;
      for (const Point& c : corners) points.push_back(p.frame.photo(sign * c.x, c.y));
      return points;
    };
    const double inner = p.eye_inner[side] - 0.05;
    out[side == 0 ? under_right : under_left] =
        mirrored({{inner, under}, {outer, under}, {outer, under + 0.36}, {inner, under + 0.36}});
    out[side == 0 ? crows_right : crows_left] =
        mirrored({{outer, -0.25}, {outer + 0.56, -0.35}, {outer + 0.56, 0.45}, {outer, under + 0.1}});
    out[side == 0 ? fold_right : fold_left] =
        mirrored({{wing, alar}, {wing + 0.26, alar}, {corner + 0.3, lip}, {corner + 0.28, lip + 0.3},
                  {corner, lip + 0.3}, {corner + 0.02, lip}});
    out[side == 0 ? cheek_right : cheek_left] =
        mirrored({{wing, under + 0.3}, {edge, 0.4}, {edge, lip + 0.3}, {corner + 0.28, lip + 0.3}, {corner + 0.3, lip},
                  {wing + 0.26, alar}, {wing, alar}});
  }
  return out;
}

std::vector<FaceRegionResult> measure_regions(const FacePoints& points, const io::Image& mask, const Crop& visible,
                                              const KeptPixels& kept, bool measures) {
  const auto outlines = region_outlines(points);
  io::Image plane(visible.side_w, visible.side_h, 1);
  std::ranges::fill(plane.pixels, uint8_t{none});
  for (const Region region : kTakes) fill(outlines[region], visible.x, visible.y, region, plane);
  std::vector<FaceRegionResult> out;
  for (size_t r = 0; r < kFaceRegions.size(); ++r) {
    FaceRegionResult result;
    result.name = kFaceRegions[r];
    result.outline = outlines[r];
    const Crop box = box_of(outlines[r], visible);
    io::Image part(box.side_w, box.side_h, 1);
    for (int64_t y = 0; y < box.side_h; ++y)
      for (int64_t x = 0; x < box.side_w; ++x) {
        const int64_t at_x = box.x + x, at_y = box.y + y;  // from the corner of what is visible
        if (plane.row(at_y)[at_x] != r || !kept(visible.x + at_x, visible.y + at_y)) continue;
        ++result.pixels;
        part.row(y)[x] = mask.row(at_y)[at_x];
        result.measures.mask_pixels += mask.row(at_y)[at_x] != 0;
      }
    if (measures && !part.pixels.empty()) result.measures = measure(part);
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace furrow
