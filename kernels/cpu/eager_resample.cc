// Operations that move pixels of dense tensors: 2x2 maximum, bilinear resize, padding; and their gradients.
#include <algorithm>
#include <vector>

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

float max_of(float a, float b) { return a > b || a != a ? a : b; }  // NaN wins

void check_pool(const Shape& x, const Shape& y) {
  require(y == Shape{x.n, x.h / 2, x.w / 2, x.c}, "max_pool2x2: shapes");
}

// The gradient of one window, c channels of four pixels: dy to the first maximum in row-major order, or the last NaN.
template <Grad kMode>
void spread_maximum(const float* const (&x)[4], const float* dy, float* const (&dx)[4], int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    float largest = x[0][c];
    int best = 0;
    for (int k = 1; k < 4; ++k) {
      const float value = x[k][c];
      const bool wins = value > largest || value != value;
      largest = wins ? value : largest;
      best = wins ? k : best;
    }
    for (int k = 0; k < 4; ++k) store(dx[k][c], best == k ? dy[c] : 0.0f, kMode);
  }
}

// Which source pixels each pixel of a row mixes.
struct Columns {
  std::vector<MixColumn> all;
  std::vector<int64_t> first{0};
};
Columns columns_of(int64_t in, int64_t out) {
  Columns columns;
  for (int64_t o = 0; o < out; ++o) {
    const Between at = between(o, in, out);
    columns.all.push_back({at.low, 1 - at.fraction}), columns.all.push_back({at.high, at.fraction});
    columns.first.push_back(2 * o + 2);
  }
  return columns;
}
// The other way: the outputs that each source pixel is mixed into, and its weight there. Those that touch it with no
// weight count too, as 0 * infinity is NaN; so the last pixel, which is its own neighbour, is touched twice.
Columns takers_of(int64_t in, int64_t out) {
  Columns takers;
  for (int64_t i = 0, begin = 0; i < in; ++i) {
    while (begin < out && between(begin, in, out).high < i) ++begin;
    for (int64_t o = begin; o < out; ++o) {
      const Between at = between(o, in, out);
      if (at.low > i) break;  // at.high is at.low + 1 at most
      if (at.low == i) takers.all.push_back({o, 1 - at.fraction});
      if (at.high == i) takers.all.push_back({o, at.fraction});
    }
    takers.first.push_back(static_cast<int64_t>(takers.all.size()));
  }
  return takers;
}

void check_upsample(const Shape& x, const Shape& y) {
  require(x.n == y.n && x.c == y.c && x.h > 0 && x.w > 0 && y.h > 0 && y.w > 0, "upsample_bilinear: shapes");
}

}  // namespace

void CpuBackend::max_pool2x2(const Tensor& x, Tensor& y) {
  const Shape &s = x.shape(), &t = y.shape();
  check_pool(s, t);
  const float* from = in(x);
  float* to = out(y);
  for_tasks(pool_, t.n * t.h, [&](int64_t row, int) {
    const float* upper = from + (row / t.h * s.h + row % t.h * 2) * s.w * s.c;
    for (int64_t w = 0; w < t.w; ++w)
      for (int64_t c = 0; c < s.c; ++c) {
        const float *u = upper + 2 * w * s.c + c, *l = u + s.w * s.c;
        to[(row * t.w + w) * s.c + c] = max_of(max_of(u[0], u[s.c]), max_of(l[0], l[s.c]));
      }
  });
}

void CpuBackend::max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape &s = x.shape(), &t = dy.shape();
  check_pool(s, t);
  require(dx.shape() == s, "max_pool2x2_grad: dx is not like x");
  const float *value = in(x), *gradient = in(dy);
  float* to = out(dx);
  const int64_t line = s.w * s.c, pairs = ceil_div(s.h, 2);
  for_tasks(pool_, s.n * pairs, [&](int64_t task, int) {
    const int64_t n = task / pairs, h = task % pairs, first = (n * s.h + 2 * h) * line;
    const bool window = h < t.h;
    if (mode == Grad::overwrite) {  // what no window covers: an odd last row or column
      if (!window) std::fill_n(to + first, line, 0.0f);
      for (int64_t row = 0; window && row < 2; ++row)
        std::fill_n(to + first + row * line + 2 * t.w * s.c, line - 2 * t.w * s.c, 0.0f);
    }
    for (int64_t w = 0; window && w < t.w; ++w) {
      const int64_t a = first + 2 * w * s.c;
      const float* const from[4] = {value + a, value + a + s.c, value + a + line, value + a + line + s.c};
      float* const into[4] = {to + a, to + a + s.c, to + a + line, to + a + line + s.c};
      const float* dy_here = gradient + ((n * t.h + h) * t.w + w) * s.c;
      if (mode == Grad::overwrite)
        spread_maximum<Grad::overwrite>(from, dy_here, into, s.c);
      else
        spread_maximum<Grad::accumulate>(from, dy_here, into, s.c);
    }
  });
}

void CpuBackend::upsample_bilinear(const Tensor& x, Tensor& y) {
  const Shape &s = x.shape(), &t = y.shape();
  check_upsample(s, t);
  const Columns columns = columns_of(s.w, t.w);
  const float* from = in(x);
  float* to = out(y);
  for_tasks(pool_, t.n * t.h, [&](int64_t task, int) {
    const Between at = between(task % t.h, s.h, t.h);
    const float* image = from + task / t.h * s.h * s.w * s.c;
    const MixSource rows[] = {{image + at.low * s.w * s.c, 1 - at.fraction},
                              {image + at.high * s.w * s.c, at.fraction}};
    machine_.rows->mix({.rows = rows,
                        .row_count = 2,
                        .columns = columns.all.data(),
                        .first = columns.first.data(),
                        .width = t.w,
                        .channels = s.c,
                        .pixel = s.c,
                        .y = to + task * t.w * s.c});
  });
}

// A task owns one row of dx; a pixel of it adds, in order, what every pixel of dy that mixed it in sends back.
void CpuBackend::upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape &s = dx.shape(), &t = dy.shape();
  check_upsample(s, t);
  const Columns columns = takers_of(s.w, t.w), lines = takers_of(s.h, t.h);
  const float* from = in(dy);
  float* to = out(dx);
  for_tasks(pool_, s.n * s.h, [&](int64_t task, int) {
    const float* image = from + task / s.h * t.h * t.w * s.c;
    std::vector<MixSource> rows;
    const auto h = static_cast<size_t>(task % s.h);
    for (int64_t i = lines.first[h]; i < lines.first[h + 1]; ++i) {
      const MixColumn& line = lines.all[static_cast<size_t>(i)];
      rows.push_back({image + line.at * t.w * s.c, line.weight});
    }
    machine_.rows->mix({.rows = rows.data(),
                        .row_count = static_cast<int64_t>(rows.size()),
                        .columns = columns.all.data(),
                        .first = columns.first.data(),
                        .width = s.w,
                        .channels = s.c,
                        .pixel = s.c,
                        .add_y = mode == Grad::accumulate,
                        .y = to + task * s.w * s.c});
  });
}

void CpuBackend::pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) {
  const Shape &s = x.shape(), &t = y.shape();
  require(t.n == s.n && t.c == s.c, "pad: shape of y");
  const float* from = in(x);
  float* to = out(y);
  const int64_t begin = std::clamp<int64_t>(left, 0, t.w), end = std::clamp<int64_t>(left + s.w, begin, t.w);
  for_tasks(pool_, t.n * t.h, [&](int64_t task, int) {
    const int64_t n = task / t.h, h = task % t.h - top;
    float* row = to + task * t.w * t.c;
    if (mode == Grad::overwrite) std::fill_n(row, t.w * t.c, 0.0f);
    if (h < 0 || h >= s.h) return;
    for (int64_t i = begin * t.c; i < end * t.c; ++i) row[i] += from[((n * s.h + h) * s.w - left) * s.c + i];
  });
}

}  // namespace furrow::cpu
