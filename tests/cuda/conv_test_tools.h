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

}  // namespace furrow::gpu
