// Operations that move pixels of dense tensors: 2x2 maximum, bilinear resize, padding; and their gradients.
#include <algorithm>

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

// Between which two source lines output line `o` lies, and how far towards the second: whole numbers, then one
// rounding.
struct Between {
  int64_t low, high;
  float fraction;
};
Between between(int64_t o, int64_t in_size, int64_t out_size) {
  if (out_size == 1) return {0, 0, 0};
  const int64_t scaled = o * (in_size - 1), step = out_size - 1, low = scaled / step;
  return {low, std::min(low + 1, in_size - 1),
          static_cast<float>(static_cast<double>(scaled % step) / static_cast<double>(step))};
}
std::vector<Between> line_of_betweens(int64_t in_size, int64_t out_size) {
  std::vector<Between> line(static_cast<size_t>(out_size));
  for (int64_t o = 0; o < out_size; ++o) line[static_cast<size_t>(o)] = between(o, in_size, out_size);
  return line;
}

void check_upsample(const Shape& x, const Shape& y) {
  require(x.n == y.n && x.c == y.c && x.h > 0 && x.w > 0 && y.h > 0 && y.w > 0, "upsample_bilinear: shapes");
}

void add_scaled(float factor, const float* from, float* to, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) to[c] += factor * from[c];
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
  const std::vector<Between> columns = line_of_betweens(s.w, t.w);
  const float* from = in(x);
  float* to = out(y);
  for_tasks(pool_, t.n * t.h, [&](int64_t task, int) {
    const int64_t n = task / t.h;
    const Between h = between(task % t.h, s.h, t.h);
    const float *upper = from + (n * s.h + h.low) * s.w * s.c, *lower = from + (n * s.h + h.high) * s.w * s.c;
    const float bottom = h.fraction, top = 1 - bottom;
    for (int64_t w = 0; w < t.w; ++w) {
      const Between& at = columns[static_cast<size_t>(w)];
      const float *a = upper + at.low * s.c, *b = upper + at.high * s.c, *c = lower + at.low * s.c,
                  *d = lower + at.high * s.c;
      const float right = at.fraction, left = 1 - right;
      float* into = to + (task * t.w + w) * s.c;
      for (int64_t i = 0; i < s.c; ++i)
        into[i] = top * (left * a[i] + right * b[i]) + bottom * (left * c[i] + right * d[i]);
    }
  });
}

// A task owns one row of dx and adds, in order, what every row of dy mixed from it sends back.
void CpuBackend::upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape &s = dx.shape(), &t = dy.shape();
  check_upsample(s, t);
  const std::vector<Between> rows = line_of_betweens(s.h, t.h), columns = line_of_betweens(s.w, t.w);
  const float* from = in(dy);
  float* to = out(dx);
  for_tasks(pool_, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    float* into = to + task * s.w * s.c;
    if (mode == Grad::overwrite) std::fill_n(into, s.w * s.c, 0.0f);
    for (int64_t oh = 0; oh < t.h; ++oh) {
      const Between& row = rows[static_cast<size_t>(oh)];
      const float weight = (row.low == h ? 1 - row.fraction : 0) + (row.high == h ? row.fraction : 0);
      if (row.low != h && row.high != h) continue;
      for (int64_t ow = 0; ow < t.w; ++ow) {
        const Between& column = columns[static_cast<size_t>(ow)];
        const float* gradient = from + ((n * t.h + oh) * t.w + ow) * s.c;
        add_scaled(weight * (1 - column.fraction), gradient, into + column.low * s.c, s.c);
        add_scaled(weight * column.fraction, gradient, into + column.high * s.c, s.c);
      }
    }
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
