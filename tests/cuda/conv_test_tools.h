// What the tests of the convolution kernels share.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cuda/conv.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {

inline const ConvKernels& kernels() { return KERNELS_UNDER_TEST(conv_kernels); }

// A float32 image with `extra` pad channels.
class DeviceImage : public PitchedImage {
 public:
  DeviceImage(const Shape& shape, int64_t extra) : PitchedImage(shape, DType::f32, shape.c + extra) {}
  DeviceImage(const Tensor& t, int64_t extra) : PitchedImage(t, DType::f32, t.shape().c + extra) {}
};

// Values of a tensor as float32, and back.
inline std::vector<float> floats_of(const Tensor& t) {
  const Tensor narrow = t.to(DType::f32);
  const auto values = narrow.values<float>();
  return {values.begin(), values.end()};
}
inline Tensor tensor_of(const Shape& shape, const std::vector<float>& values) {
  Tensor out(shape, DType::f32);
  require(values.size() == out.values<float>().size(), "tensor_of: size");
  std::copy(values.begin(), values.end(), out.values<float>().begin());
  return out;
}

// Rounding errors of a sum of K products walk: about 2^-24 * sqrt(K) of the terms' size, kept small by summing in two
// levels. The largest result stands for the terms' size. Bound: 4e-8 * sqrt(K) of it, and nothing else from K = 49 on.
//
// Shorter sums are one chain and cannot all keep it. K of 1, 2: rounding the result alone takes up to 2^-24 = 6.0e-8 of
// the largest. Up to 8: the operation before it, a product or a partial sum as large, takes as much again, 1.2e-7.
// Up to 48: a chain whose partial sums grow evenly to the largest result errs by 1.45e-8 * sqrt(K) of it as a standard
// deviation (0.42 * 2^-24 a rounding, a third of K full-sized ones), so the bound is 2.8 of those, and hundreds of
// thousands of results meet 5: measured were 1.9 times the bound, or 4.97 * 2^-24, at most. What such a chain may err by,
// (K + 1)/2 units for its sums and one for its products, is allowed, up to 5 units of 2^-24.
inline Tolerance rounding(const Tensor& want, int64_t length) {
  const auto K = static_cast<double>(length);
  const double bound = length < 49 ? std::min((K + 3) / 2, 5.0) * 0x1p-24 : 4e-8 * std::sqrt(K);
  return {.absolute = bound * largest(want)};
}

}  // namespace furrow::gpu
