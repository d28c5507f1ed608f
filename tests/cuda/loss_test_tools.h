// What the tests of the losses' kernels share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/loss.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {

inline const LossKernels& kernels() { return KERNELS_UNDER_TEST(loss_kernels); }

// float32 arithmetic per pixel (exp, log1p, power and a few products: some 8 roundings of 2^-24), float64 sums.
constexpr double kBound = 1e-6;
// Below 2^-126 a float32 p is a multiple of 2^-149. Dice divides by as little as eps = 1e-6, so that a pixel of an
// empty picture is off by up to 1.4e-39, and a sum over thousands of them by 1e-35.
constexpr double kPixelFloor = 1.5e-39, kValueFloor = 1e-35;

inline void expect_value(double got, double want) {
  EXPECT_TRUE(std::isfinite(got));
  EXPECT_LE(std::abs(got - want), kBound * std::abs(want) + kValueFloor) << got << ", not " << want;
}

inline Tensor scaled(Tensor t, double by) {
  for (double& value : t.values<double>()) value *= by;
  return t;
}

// The largest finite number of a type.
inline double largest_of(DType type) { return type == DType::f16 ? 65504 : type == DType::bf16 ? 0x1.FEp127 : 3.4e38; }
inline double smallest_of(DType type) { return type == DType::f16 ? 0x1p-24 : 0x1p-133; }  // subnormal

// Labels of [0, classes), one in classes + 1 of them `ignored`.
inline Tensor random_labels(const Shape& s, int classes, int32_t ignored) {
  const Tensor random = cases::random_values({s.n, s.h, s.w, 1}, 9);
  Tensor labels(random.shape(), DType::i32);
  for (size_t i = 0; i < labels.values<int32_t>().size(); ++i) {
    const int drawn = static_cast<int>((random.values<double>()[i] + 1) / 2 * (classes + 1));
    labels.values<int32_t>()[i] = drawn >= classes ? ignored : drawn;
  }
  return labels;
}

// As the device reads them: bytes or words.
inline std::vector<std::byte> label_bytes(const Tensor& labels, DType type) {
  std::vector<std::byte> bytes;
  for (const int32_t y : labels.values<int32_t>()) {
    const auto* from = reinterpret_cast<const std::byte*>(&y);  // little-endian: the first byte is the u8
    bytes.insert(bytes.end(), from, from + (type == DType::u8 ? 1 : 4));
  }
  return bytes;
}

}  // namespace furrow::gpu
