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

Bounds bounds(const io::Quad& quad) {
  Bounds b;
  for (size_t i = 0; i < 2; ++i) {
    const auto [low, high] = std::minmax({quad[i], quad[2 + i], quad[4 + i], quad[6 + i]});
    b.low[i] = static_cast<int64_t>(std::floor(low)), b.high[i] = static_cast<int64_t>(std::ceil(high));
  }
  return b;
}

void move(io::Quad& quad, double x, double y) {
  for (size_t i = 0; i < quad.size(); i += 2) quad[i] += x, quad[i + 1] += y;
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
  if (!(side >= 2 && side < 1e9))
    throw Error(ErrorCode::malformed, "the landmarks make no face: eyes and mouth give no square");
  const double *c = square.centre, *x = square.half, y[2] = {-x[1], x[0]};
  io::Quad quad;
  for (size_t i = 0; i < 2; ++i) {
    quad[i] = c[i] - x[i] - y[i], quad[2 + i] = c[i] - x[i] + y[i];
    quad[4 + i] = c[i] + x[i] + y[i], quad[6 + i] = c[i] + x[i] - y[i];
  }
  const io::Image* image = &photo;
  io::Image held;
  const auto shrink = std::floor(side / static_cast<double>(options.size) * 0.5);
  if (shrink > 1) {
    const int64_t w = rounded(static_cast<double>(photo.width) / shrink),
                  h = rounded(static_cast<double>(photo.height) / shrink);
    if (w < 1 || h < 1) throw Error(ErrorCode::malformed, "the face is far larger than the photo");
    held = io::resize(photo, w, h, io::Filter::lanczos);
    image = &held;
    for (double& corner : quad) corner /= shrink;
    side /= shrink;
  }
  const int64_t border = std::max<int64_t>(rounded(side * 0.1), 3);
  Bounds b = bounds(quad);
  const int64_t x0 = std::max<int64_t>(b.low[0] - border, 0), y0 = std::max<int64_t>(b.low[1] - border, 0),
                x1 = std::min(b.high[0] + border, image->width), y1 = std::min(b.high[1] + border, image->height);
  if (x0 >= x1 || y0 >= y1)
    throw Error(ErrorCode::malformed, "the face lies outside the photo").hint("are these landmarks of this photo?");
  held = cut(*image, x0, y0, x1, y1);
  move(quad, static_cast<double>(-x0), static_cast<double>(-y0));
  b = bounds(quad);
  Pads pads{std::max<int64_t>(border - b.low[0], 0), std::max<int64_t>(border - b.low[1], 0),
            std::max<int64_t>(b.high[0] - held.width + border, 0),
            std::max<int64_t>(b.high[1] - held.height + border, 0)};
  int64_t* const all[] = {&pads.left, &pads.top, &pads.right, &pads.bottom};
  if (options.padding && std::max({pads.left, pads.top, pads.right, pads.bottom}) > border - 4) {
    for (int64_t* pad : all) *pad = std::max(*pad, rounded(side * 0.3));
    const auto w = static_cast<uint64_t>(held.width + pads.left + pads.right),
               h = static_cast<uint64_t>(held.height + pads.top + pads.bottom);
    if (w > options.limits.picture_pixels / h)
      throw Error(ErrorCode::limit, "pixels of the padded photo").limit(options.limits.picture_pixels, w * h);
    held = pad_softly(held, pads, side * 0.02);
    move(quad, static_cast<double>(pads.left), static_cast<double>(pads.top));
  }
  move(quad, 0.5, 0.5);
  held = io::pull_quad(held, quad, options.transform, options.transform);
  return io::resize(held, options.size, options.size, io::Filter::lanczos);
}

}  // namespace furrow::data
