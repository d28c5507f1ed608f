// Comparing tensors: a bound of absolute and relative parts, and a message that names the worst element.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "kernels/tensor.h"

namespace furrow {

// |got - want| <= absolute + relative * |want|, for every element. Whoever sets one says where it comes from.
struct Tolerance {
  double absolute = 0, relative = 0;
};

inline double largest(const Tensor& t) {
  double size = 0;
  const Tensor wide = t.to(DType::f64);
  for (const double value : wide.values<double>()) size = std::max(size, std::abs(value));
  return size;
}

// Float64 against float64 with another order of summing: sums of up to K = 300 terms round by at most K * 2^-53 = 3e-14
// of the sum of magnitudes, which for the random tensors here is a few times the largest result.
inline Tolerance double_sums(const Tensor& want) { return {.absolute = 1e-13 * std::max(largest(want), 1e-3)}; }

// What a float32 sum of K products errs by, as a part of the terms' size. Rounding errors walk: about 2^-24 * sqrt(K),
// kept small by summing in two levels, and below K = 49 by summing in double and rounding once (kernels/short_sums.h).
// Bound: 4e-8 * sqrt(K). For K = 1 and 2 that is less than 2^-24 = 6.0e-8 of the result, which is the least that any
// float32 result may err by, and so the bound; its part over 1 is for the error of the sum in double.
inline double float_sum_error(int64_t length) {
  return std::max(1.0001 * 0x1p-24, 4e-8 * std::sqrt(static_cast<double>(length)));
}

// The largest result stands for the terms' size. Where a test has a handful of results, all of them may be near 0 by
// chance or behind a ReLU: it then says what size its sums have, the standard deviation of a sum of K such random
// terms.
inline Tolerance rounding(const Tensor& want, int64_t length, double deviation = 0) {
  return {.absolute = float_sum_error(length) * std::max(largest(want), deviation)};
}
// The same where the convolution is Winograd's F(4x4, 3x3). Its transforms err by a part of the largest result that
// does not depend on K: of 1.2 million results each, K = 144 to 9216, the worst were 0.7e-6 to 1.6e-6 of it
// (docs/accuracy.md); of 3000 random steps with fewer results, whose largest is smaller, 2.4e-6.
constexpr double kWinograd4Error = 3e-6;
inline double winograd4_sum_error(int64_t length) { return std::max(kWinograd4Error, float_sum_error(length)); }
inline Tolerance winograd4_rounding(const Tensor& want, int64_t length, double deviation = 0) {
  return {.absolute = winograd4_sum_error(length) * std::max(largest(want), deviation)};
}
// A short sum, computed in double and rounded once; 1e-14 is for the roundings in double.
inline Tolerance rounded_once(const Tensor& want) { return {.absolute = 1e-14 * largest(want), .relative = 0x1p-24}; }

// "(1,2,3,4)" for an element of an NHWC tensor.
inline std::string place_of(size_t element, const Shape& s) {
  const auto i = static_cast<int64_t>(element);
  std::ostringstream out;
  out << "(" << i / (s.h * s.w * s.c) << "," << i / (s.w * s.c) % s.h << "," << i / s.c % s.w << "," << i % s.c << ")";
  return out.str();
}

// True where every element of `got` (f32 or f64) is within the tolerance of `want`; NaN equals NaN, an infinity itself.
inline ::testing::AssertionResult close(const Tensor& got, const Tensor& want, Tolerance tolerance) {
  if (got.shape() != want.shape())
    return ::testing::AssertionFailure() << "shape " << to_string(got.shape()) << ", not " << to_string(want.shape());
  const Tensor wide_got = got.to(DType::f64), wide_want = want.to(DType::f64);
  const auto a = wide_got.values<double>(), b = wide_want.values<double>();
  size_t worst = 0, wrong = 0;
  double excess = -1;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::abs(a[i] - b[i]), allowed = tolerance.absolute + tolerance.relative * std::abs(b[i]);
    if (error <= allowed && std::isfinite(b[i])) continue;
    ++wrong;
    const double by = std::isfinite(error) ? error - allowed : INFINITY;  // a NaN on one side is as wrong as can be
    if (by > excess) worst = i, excess = by;
  }
  if (wrong == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << wrong << " of " << a.size() << " elements differ; worst at "
                                       << place_of(worst, got.shape()) << ": " << a[worst] << ", not " << b[worst]
                                       << " (by " << a[worst] - b[worst] << ", allowed "
                                       << tolerance.absolute + tolerance.relative * std::abs(b[worst]) << ")";
}

// True where shape, type and every bit agree.
inline ::testing::AssertionResult same_bits(const Tensor& got, const Tensor& want) {
  if (got.shape() != want.shape() || got.dtype() != want.dtype())
    return ::testing::AssertionFailure() << "another shape or type";
  const auto differs = [&](auto a, auto b) -> ::testing::AssertionResult {
    for (size_t i = 0; i < a.size(); ++i)
      if (std::memcmp(&a[i], &b[i], sizeof a[i]) != 0)
        return ::testing::AssertionFailure()
               << "bits differ at " << place_of(i, got.shape()) << ": " << a[i] << ", not " << b[i];
    return ::testing::AssertionSuccess();
  };
  return got.dtype() == DType::f64 ? differs(got.values<double>(), want.values<double>())
                                   : differs(got.values<float>(), want.values<float>());
}

}  // namespace furrow
