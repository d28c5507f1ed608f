// Resampling by its formulas, in float64, for what the reference back-end does not have; resample_test.cc holds them
// against numbers of PyTorch 1.13.
#pragma once

#include <cmath>

#include "kernels/cuda/resample.h"
#include "kernels/tensor.h"

namespace furrow::gpu::oracle {

inline double& at(Tensor& t, int64_t n, int64_t h, int64_t w, int64_t c) {
  const Shape& s = t.shape();
  return t.values<double>()[static_cast<size_t>(((n * s.h + h) * s.w + w) * s.c + c)];
}
inline double at(const Tensor& t, int64_t n, int64_t h, int64_t w, int64_t c) {
  const Shape& s = t.shape();
  return t.values<double>()[static_cast<size_t>(((n * s.h + h) * s.w + w) * s.c + c)];
}

template <class Body>
void for_each_value(const Shape& s, const Body& body) {
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t h = 0; h < s.h; ++h)
      for (int64_t w = 0; w < s.w; ++w)
        for (int64_t c = 0; c < s.c; ++c) body(n, h, w, c);
}

// Maximum of 3x3 windows every 2 pixels, padded by one; where `dx` is given, dy is added at each maximum.
inline Tensor pool3x3(const Tensor& x, const Tensor* dy = nullptr, Tensor* dx = nullptr) {
  const Shape s = x.shape();
  Tensor y({s.n, (s.h + 1) / 2, (s.w + 1) / 2, s.c}, DType::f64);
  for_each_value(y.shape(), [&](int64_t n, int64_t h, int64_t w, int64_t c) {
    double largest = -INFINITY;
    int64_t row = -1, column = -1;
    for (int64_t i = 2 * h - 1; i <= 2 * h + 1; ++i)
      for (int64_t j = 2 * w - 1; j <= 2 * w + 1; ++j) {
        if (i < 0 || j < 0 || i >= s.h || j >= s.w) continue;
        const double value = at(x, n, i, j, c);
        if (row < 0 || value > largest || std::isnan(value)) largest = value, row = i, column = j;
      }
    at(y, n, h, w, c) = largest;
    if (dx != nullptr) at(*dx, n, row, column, c) += at(*dy, n, h, w, c);
  });
  return y;
}

struct Mix {
  int64_t low, high;
  double fraction;
};
inline Mix mix(ResizeRule rule, int64_t o, int64_t in, int64_t out) {
  const double ratio = static_cast<double>(in) / static_cast<double>(out);
  double source = 0;
  if (rule == ResizeRule::nearest) {
    const int64_t line = o * in / out;
    return {line, line, 0};
  }
  if (rule == ResizeRule::half_pixel)
    source = std::max(0.0, (static_cast<double>(o) + 0.5) * ratio - 0.5);
  else if (out > 1)
    source = static_cast<double>(o * (in - 1)) / static_cast<double>(out - 1);
  const int64_t low = std::min(static_cast<int64_t>(source), in - 1);
  return {low, std::min(low + 1, in - 1), source - static_cast<double>(low)};
}

inline Tensor resize(ResizeRule rule, const Tensor& x, int64_t h, int64_t w) {
  const Shape s = x.shape();
  Tensor y({s.n, h, w, s.c}, DType::f64);
  for_each_value(y.shape(), [&](int64_t n, int64_t oh, int64_t ow, int64_t c) {
    const Mix r = mix(rule, oh, s.h, h), q = mix(rule, ow, s.w, w);
    const double upper = (1 - q.fraction) * at(x, n, r.low, q.low, c) + q.fraction * at(x, n, r.low, q.high, c);
    const double lower = (1 - q.fraction) * at(x, n, r.high, q.low, c) + q.fraction * at(x, n, r.high, q.high, c);
    at(y, n, oh, ow, c) = (1 - r.fraction) * upper + r.fraction * lower;
  });
  return y;
}

// Adds the gradient of resize to dx.
inline void resize_grad(ResizeRule rule, const Tensor& dy, Tensor& dx) {
  const Shape s = dx.shape(), out = dy.shape();
  for_each_value(out, [&](int64_t n, int64_t oh, int64_t ow, int64_t c) {
    const Mix r = mix(rule, oh, s.h, out.h), q = mix(rule, ow, s.w, out.w);
    const double g = at(dy, n, oh, ow, c);
    at(dx, n, r.low, q.low, c) += (1 - r.fraction) * (1 - q.fraction) * g;
    at(dx, n, r.low, q.high, c) += (1 - r.fraction) * q.fraction * g;
    at(dx, n, r.high, q.low, c) += r.fraction * (1 - q.fraction) * g;
    at(dx, n, r.high, q.high, c) += r.fraction * q.fraction * g;
  });
}

}  // namespace furrow::gpu::oracle
