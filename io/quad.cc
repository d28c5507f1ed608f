#include "io/quad.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace furrow::io {

Image pull_quad(const Image& image, const Quad& corners, int64_t width, int64_t height) {
  require(image.width >= 1 && image.height >= 1 && width >= 1 && height >= 1, "pull_quad: empty picture");
  require(image.channels == 3, "pull_quad: three channels");
  const double as = 1.0 / static_cast<double>(width), at = 1.0 / static_cast<double>(height);
  double a[2][4];  // of x, of y: constant, u, v, u v
  for (size_t i = 0; i < 2; ++i) {
    const double nw = corners[i], sw = corners[2 + i], se = corners[4 + i], ne = corners[6 + i];
    a[i][0] = nw, a[i][1] = (ne - nw) * as, a[i][2] = (sw - nw) * at, a[i][3] = (se - sw - ne + nw) * as * at;
  }
  const auto w = static_cast<double>(image.width), h = static_cast<double>(image.height);
  Image out(width, height, 3);
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* to = out.row(y);
    const double v = static_cast<double>(y) + 0.5;
    for (int64_t x = 0; x < width; ++x, to += 3) {
      const double u = static_cast<double>(x) + 0.5;
      double px = a[0][0] + a[0][1] * u + a[0][2] * v + a[0][3] * u * v;
      double py = a[1][0] + a[1][1] * u + a[1][2] * v + a[1][3] * u * v;
      if (!(px >= 0 && px < w && py >= 0 && py < h)) continue;
      px -= 0.5, py -= 0.5;
      const int64_t left = px < 0 ? -1 : static_cast<int64_t>(px), top = py < 0 ? -1 : static_cast<int64_t>(py);
      const double dx = px - static_cast<double>(left), dy = py - static_cast<double>(top);
      const int64_t x0 = 3 * std::max<int64_t>(left, 0), x1 = 3 * std::min(left + 1, image.width - 1);
      const uint8_t *upper = image.row(std::max<int64_t>(top, 0)),
                    *lower = image.row(std::min(top + 1, image.height - 1));
      for (int64_t c = 0; c < 3; ++c) {
        const double p = upper[x0 + c] + (upper[x1 + c] - upper[x0 + c]) * dx;
        const double q = lower[x0 + c] + (lower[x1 + c] - lower[x0 + c]) * dx;
        to[c] = static_cast<uint8_t>(p + (q - p) * dy);
      }
    }
  }
  return out;
}

}  // namespace furrow::io
