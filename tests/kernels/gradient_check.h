// Gradients against central finite differences, and the two ways of storing one.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "kernels/backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {

inline double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values<double>().size(); ++i) sum += a.values<double>()[i] * b.values<double>()[i];
  return sum;
}

// How far to step, and how well the difference then agrees, relative to the largest gradient.
struct Difference {
  double step, tolerance;
};
// A function linear in the tensor has no curvature, so a step of 1 costs nothing but the rounding of two sums S of
// sum(y * dy): 2^-53 * |S| * a few, with S up to about 100 times a gradient.
inline constexpr Difference kLinear{1, 1e-12};
// A smooth one loses step^2/6 of its third derivative (1.7e-9 of it) and |S| * 2^-53 / step to rounding (1e-12 * |S|).
inline constexpr Difference kSmooth{1e-4, 1e-7};
// A maximum or a ReLU is linear until the step reaches the next kink: the tests keep values at least 1e-6 apart.
inline constexpr Difference kKinked{1e-7, 1e-7};

// The gradient of sum(forward() * dy) with respect to every element of `t`, which `forward` reads, by differences.
inline Tensor numeric_gradient(Tensor t, const Tensor& dy, const std::function<Tensor()>& forward, Difference how) {
  Tensor gradient(t.shape(), DType::f64);
  for (size_t i = 0; i < t.values<double>().size(); ++i) {
    double& value = t.values<double>()[i];
    const double before = value;
    value = before + how.step;
    const double above = dot(forward(), dy);
    value = before - how.step;
    const double below = dot(forward(), dy);
    value = before;
    gradient.values<double>()[i] = (above - below) / (2 * how.step);
  }
  return gradient;
}

// Runs a gradient both ways: overwriting a tensor full of NaN, and adding to one full of random numbers; the second
// must be those numbers plus the first (to the rounding of one or, where the sum goes in place, a few additions).
// Returns the first.
inline Tensor both_modes(const Shape& shape, const std::function<void(Tensor&, Grad)>& gradient) {
  Tensor fresh(shape, DType::f64);
  for (double& value : fresh.values<double>()) value = NAN;
  gradient(fresh, Grad::overwrite);
  const Tensor before = cases::random_values(shape, 77);
  Tensor added = before.to(DType::f64), expected = before.to(DType::f64);
  gradient(added, Grad::accumulate);
  for (size_t i = 0; i < expected.values<double>().size(); ++i)
    expected.values<double>()[i] += fresh.values<double>()[i];
  EXPECT_TRUE(close(added, expected, {.absolute = 1e-14 * (1 + largest(fresh))}))
      << "accumulate is not overwrite plus what was there";
  return fresh;
}

inline void expect_gradient(const Tensor& gradient, const Tensor& t, const Tensor& dy,
                            const std::function<Tensor()>& forward, Difference how, const std::string& what) {
  const Tensor numeric = numeric_gradient(t, dy, forward, how);
  EXPECT_GT(largest(numeric), 0) << what << ": nothing was tested";
  EXPECT_TRUE(close(gradient, numeric, {.absolute = how.tolerance * largest(numeric)})) << what;
}

}  // namespace furrow
