#include "data/align.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/quad.h"
#include "io/resize.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

struct Bounds {
  int64_t low[2], high[2];  // x, y
};

// Whole pixels that hold the corners, and a border.
Bounds bounds(const io::Quad& quad, int64_t border) {
  Bounds b;
  for (size_t i = 0; i < 2; ++i) {
    const auto [low, high] = std::minmax({quad[i], quad[2 + i], quad[4 + i], quad[6 + i]});
    b.low[i] = static_cast<int64_t>(std::floor(low)) - border;
    b.high[i] = static_cast<int64_t>(std::ceil(high)) + border;
  }
  return b;
}

void shift(io::Quad& quad, double x, double y) {
  for (size_t i = 0; i < quad.size(); i += 2) quad[i] += x, quad[i + 1] += y;
}

void refuse_unless(bool good, const char* why) {
  if (!good) throw Error(ErrorCode::malformed, why).hint("landmarks are x, y in pixels of their photo");
}

int64_t rounded(double value) { return std::llrint(value); }  // half to even, as np.rint

io::Image cut(const io::Image& image, int64_t x0, int64_t y0, int64_t x1, int64_t y1) {
  io::Image out(x1 - x0, y1 - y0, 3);
  for (int64_t y = y0; y < y1; ++y) std::copy_n(image.row(y) + 3 * x0, 3 * out.width, out.row(y - y0));
  return out;
}

}  // namespace

double FaceSquare::side() const { return std::hypot(half[0], half[1]) * 2; }

FaceSquare face_square(std::span<const double> points, double mouth) {
  require(points.size() == 2 * kLandmarks, "face_square: 68 points");
  double eyes[2], across[2], down[2];
  for (size_t i = 0; i < 2; ++i) {
    double left = 0, right = 0;
    for (size_t k = 36; k < 42; ++k) left += points[2 * k + i], right += points[2 * k + 12 + i];
    left /= 6, right /= 6;
    eyes[i] = (left + right) * 0.5, across[i] = right - left;
    down[i] = (points[2 * 48 + i] + points[2 * 54 + i]) * 0.5 - eyes[i];
  }
  FaceSquare square;
  double* x = square.half;
  x[0] = across[0] + down[1], x[1] = across[1] - down[0];
  const double length = std::hypot(x[0], x[1]);
  const double half = std::max(std::hypot(across[0], across[1]) * 2.0, std::hypot(down[0], down[1]) * mouth);
  for (size_t i = 0; i < 2; ++i) x[i] = x[i] / length * half, square.centre[i] = eyes[i] + down[i] * 0.1;
  return square;
}

io::Image align_face(const io::Image& photo, FaceSquare square, const AlignOptions& options) {
  require(photo.channels == 3 && options.size >= 1 && options.transform >= options.size, "align_face: sizes");
  double side = square.side();
  refuse_unless(side >= 2 && side < 1e9 && std::abs(square.centre[0]) < 1e9 && std::abs(square.centre[1]) < 1e9,
                "the landmarks make no face: eyes and mouth give no square");
  io::Quad quad;
  for (size_t i = 0; i < 2; ++i) {
    const double c = square.centre[i], x = square.half[i], y = i == 0 ? -square.half[1] : square.half[0];
    quad[i] = c - x - y, quad[2 + i] = c - x + y, quad[4 + i] = c + x + y, quad[6 + i] = c + x - y;
  }
  io::Image image;
  const io::Image* from = &photo;
  const auto shrink = std::floor(side / static_cast<double>(options.size) * 0.5);
  if (shrink > 1) {
    const int64_t w = rounded(static_cast<double>(photo.width) / shrink),
                  h = rounded(static_cast<double>(photo.height) / shrink);
    refuse_unless(w >= 1 && h >= 1, "the face is far larger than the photo");
    image = io::resize(photo, w, h, io::Filter::lanczos);
    from = &image;
    for (double& corner : quad) corner /= shrink;
    side /= shrink;
  }
  const int64_t border = std::max<int64_t>(rounded(side * 0.1), 3);
  Bounds b = bounds(quad, border);
  const int64_t x0 = std::max<int64_t>(b.low[0], 0), y0 = std::max<int64_t>(b.low[1], 0),
                x1 = std::min(b.high[0], from->width), y1 = std::min(b.high[1], from->height);
  refuse_unless(x0 < x1 && y0 < y1, "the face lies outside the photo");
  image = cut(*from, x0, y0, x1, y1);
  shift(quad, static_cast<double>(-x0), static_cast<double>(-y0));
  b = bounds(quad, border);
  int64_t pads[4] = {-b.low[0], -b.low[1], b.high[0] - image.width, b.high[1] - image.height};
  if (options.padding && std::max(*std::max_element(pads, pads + 4), int64_t{0}) > border - 4) {
    for (int64_t& pad : pads) pad = std::max(pad, rounded(side * 0.3));
    const auto w = static_cast<uint64_t>(image.width + pads[0] + pads[2]),
               h = static_cast<uint64_t>(image.height + pads[1] + pads[3]);
    if (w > options.limits.picture_pixels / h)
      throw Error(ErrorCode::limit, "pixels of the padded photo").limit(options.limits.picture_pixels, w * h);
    image = pad_softly(image, {pads[0], pads[1], pads[2], pads[3]}, side * 0.02);
    shift(quad, static_cast<double>(pads[0]), static_cast<double>(pads[1]));
  }
  shift(quad, 0.5, 0.5);
  image = io::pull_quad(image, quad, options.transform, options.transform);
  return io::resize(image, options.size, options.size, io::Filter::lanczos);
}

}  // namespace furrow::data
