// What the reference loops share: indexing by pixel, the inner channel loop, storing a gradient.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/backend.h"

namespace furrow::ref {

// A tensor as pixels: at(n, h, w)[c], and for a convolution weight at(oc, kh, kw)[ic].
// Throws ErrorCode::internal for a tensor that is not float64.
struct Pixels {
  double* data;
  Shape shape;
  explicit Pixels(Tensor& t) : data(t.values<double>().data()), shape(t.shape()) {}
  double* at(int64_t n, int64_t h, int64_t w) const { return data + ((n * shape.h + h) * shape.w + w) * shape.c; }
};
struct ConstPixels {
  const double* data;
  Shape shape;
  explicit ConstPixels(const Tensor& t) : data(t.values<double>().data()), shape(t.shape()) {}
  const double* at(int64_t n, int64_t h, int64_t w) const { return data + ((n * shape.h + h) * shape.w + w) * shape.c; }
};

// sum[c] += factor * row[c]: the inner loop of every convolution and gradient, over contiguous channels.
inline void add_scaled(double factor, const double* row, double* sum, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) sum[c] += factor * row[c];
}

// Stores a finished gradient value, or adds it to what is there.
inline void store(double& to, double value, Grad mode) { to = mode == Grad::overwrite ? value : to + value; }
inline void store(double* to, const double* values, int64_t count, Grad mode) {
  for (int64_t i = 0; i < count; ++i) store(to[i], values[i], mode);
}

// Makes `t` the start of a sum that is added to in place.
inline void begin_sum(Tensor& t, Grad mode) {
  if (mode == Grad::accumulate) return;
  for (double& value : t.values<double>()) value = 0;
}

// w {OC,KH,KW,IC} with the output channels innermost, [KH][KW][IC][OC]: a forward convolution then runs over contiguous
// outputs, whose sums are independent, and not along one long chain of additions.
inline std::vector<double> output_channels_last(const Tensor& w) {
  const Shape& s = w.shape();
  const int64_t taps = s.h * s.w * s.c;
  const auto from = w.values<double>();
  std::vector<double> to(from.size());
  for (int64_t oc = 0; oc < s.n; ++oc)
    for (int64_t t = 0; t < taps; ++t) to[static_cast<size_t>(t * s.n + oc)] = from[static_cast<size_t>(oc * taps + t)];
  return to;
}

// 1/(1+exp(-x)). Neither form overflows: the exponent is never positive.
inline double stable_sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);  // NaN comes here, and stays
  return e / (1 + e);
}

// The shape of a vector of `channels` values.
inline Shape vector_shape(int64_t channels) { return {1, 1, 1, channels}; }

// An optional vector (a bias): null or empty stands for zeros.
inline const double* vector_or_null(const Tensor* b, int64_t channels, const char* text) {
  if (b == nullptr || b->empty()) return nullptr;
  require(b->shape() == vector_shape(channels), text);
  return b->values<double>().data();
}

}  // namespace furrow::ref
