// Gradients of the convolutions in `ref` against finite differences.
#include <gtest/gtest.h>

#include "kernels/ref/ref_backend.h"
#include "tests/kernels/gradient_check.h"

namespace furrow {
namespace {

using cases::random_values;

struct ConvProblem {
  Shape x;             // of the first source
  int64_t second = 0;  // channels of the second, 0: none
  int64_t oc = 1;
  ConvGeometry geometry;
  std::string text() const {
    return to_string(x) + "+" + std::to_string(second) + " -> " + std::to_string(oc) + " k" +
           std::to_string(geometry.kernel_h) + "x" + std::to_string(geometry.kernel_w) + "s" +
           std::to_string(geometry.stride) + "p" + std::to_string(geometry.pad);
  }
};

const ConvProblem kProblems[] = {
    {{1, 1, 1, 1}, 0, 1, {1, 1, 1, 0}},  {{2, 3, 5, 3}, 0, 5, {1, 1, 1, 0}},  {{1, 5, 4, 5}, 3, 3, {1, 1, 1, 0}},
    {{1, 5, 3, 5}, 0, 1, {1, 1, 2, 0}},  {{1, 1, 1, 17}, 0, 3, {3, 3, 1, 1}}, {{2, 5, 3, 3}, 0, 5, {3, 3, 1, 1}},
    {{1, 4, 5, 17}, 0, 3, {3, 3, 1, 1}}, {{2, 3, 4, 5}, 3, 1, {3, 3, 1, 1}},  {{1, 3, 3, 1}, 17, 5, {3, 3, 1, 1}},
    {{2, 5, 7, 3}, 0, 3, {3, 3, 2, 1}},  {{1, 6, 4, 3}, 5, 3, {3, 3, 2, 1}},  {{1, 4, 5, 3}, 0, 5, {3, 3, 1, 0}},
    {{1, 5, 6, 3}, 0, 5, {7, 7, 1, 3}},  {{2, 9, 7, 3}, 0, 3, {7, 7, 2, 3}},  {{1, 7, 8, 1}, 3, 17, {7, 7, 2, 3}},
    {{1, 8, 5, 5}, 0, 3, {7, 7, 2, 3}},  {{1, 4, 6, 3}, 0, 3, {1, 5, 1, 2}},  {{1, 3, 3, 3}, 0, 1, {3, 3, 1, 4}},
};

Tensor conv2d(RefBackend& ref, const ConvProblem& p, const Tensor& x0, const Tensor& x1, const Tensor& w,
              const Tensor& b) {
  Tensor y({p.x.n, p.geometry.out(p.x.h, p.geometry.kernel_h), p.geometry.out(p.x.w, p.geometry.kernel_w), p.oc},
           DType::f64);
  ref.conv2d({.x0 = &x0, .x1 = p.second > 0 ? &x1 : nullptr, .w = &w, .b = &b, .geometry = p.geometry}, y);
  return y;
}

TEST(Gradient, Conv2d) {
  RefBackend ref(nullptr);
  for (const ConvProblem& p : kProblems) {
    const ConvGeometry& g = p.geometry;
    const bool two = p.second > 0;
    const Tensor x0 = random_values(p.x, 1), x1 = random_values({p.x.n, p.x.h, p.x.w, p.second}, 2);
    const Tensor w = random_values({p.oc, g.kernel_h, g.kernel_w, p.x.c + p.second}, 3),
                 b = random_values({1, 1, 1, p.oc}, 4);
    const auto forward = [&] { return conv2d(ref, p, x0, x1, w, b); };
    const Tensor dy = random_values(forward().shape(), 5);

    const Conv2dGradInput to_input{.dy = &dy, .w = &w, .geometry = g};
    const Conv2dGradWeight to_weight{.x0 = &x0, .x1 = two ? &x1 : nullptr, .dy = &dy, .geometry = g};
    // Each gradient alone, in either mode, then all together: the same numbers.
    Tensor other0(x0.shape(), DType::f64), other1(x1.shape(), DType::f64), dw(w.shape(), DType::f64);
    const Tensor dx0 = both_modes(x0.shape(), [&](Tensor& dx, Grad mode) {
      ref.conv2d_grad_input(to_input, &dx, two ? &other1 : nullptr, mode);
    });
    expect_gradient(dx0, x0, dy, forward, kLinear, "dx0 of " + p.text());
    if (two) {
      const Tensor dx1 =
          both_modes(x1.shape(), [&](Tensor& dx, Grad mode) { ref.conv2d_grad_input(to_input, &other0, &dx, mode); });
      expect_gradient(dx1, x1, dy, forward, kLinear, "dx1 of " + p.text());
      Tensor alone0(x0.shape(), DType::f64), alone1(x1.shape(), DType::f64);
      ref.conv2d_grad_input(to_input, &alone0, nullptr, Grad::overwrite);
      ref.conv2d_grad_input(to_input, nullptr, &alone1, Grad::overwrite);
      EXPECT_TRUE(same_bits(alone0, dx0)) << p.text();
      EXPECT_TRUE(same_bits(alone1, dx1)) << p.text();
    }
    const Tensor weight =
        both_modes(w.shape(), [&](Tensor& t, Grad mode) { ref.conv2d_grad_weight(to_weight, t, nullptr, mode); });
    expect_gradient(weight, w, dy, forward, kLinear, "dw of " + p.text());
    const Tensor bias =
        both_modes(b.shape(), [&](Tensor& t, Grad mode) { ref.conv2d_grad_weight(to_weight, dw, &t, mode); });
    expect_gradient(bias, b, dy, forward, kLinear, "db of " + p.text());
  }
}

TEST(Gradient, Upconv2x2) {
  RefBackend ref(nullptr);
  for (const Shape& in : {Shape{1, 1, 1, 1}, {2, 3, 5, 3}, {1, 5, 1, 17}, {1, 2, 3, 5}})
    for (const int64_t oc : {1, 3, 5}) {
      const Tensor x = random_values(in, 1), w = random_values({oc, 2, 2, in.c}, 2),
                   b = random_values({1, 1, 1, oc}, 3);
      const auto forward = [&] {
        Tensor y({in.n, 2 * in.h, 2 * in.w, oc}, DType::f64);
        ref.upconv2x2(x, w, &b, y);
        return y;
      };
      const Tensor dy = random_values(forward().shape(), 4);
      const std::string what = to_string(in) + " -> " + std::to_string(oc);
      Tensor unused(w.shape(), DType::f64);
      expect_gradient(both_modes(in, [&](Tensor& t, Grad mode) { ref.upconv2x2_grad_input(dy, w, t, mode); }), x, dy,
                      forward, kLinear, "dx " + what);
      expect_gradient(
          both_modes(w.shape(), [&](Tensor& t, Grad mode) { ref.upconv2x2_grad_weight(x, dy, t, nullptr, mode); }), w,
          dy, forward, kLinear, "dw " + what);
      expect_gradient(
          both_modes(b.shape(), [&](Tensor& t, Grad mode) { ref.upconv2x2_grad_weight(x, dy, unused, &t, mode); }), b,
          dy, forward, kLinear, "db " + what);
    }
}

}  // namespace
}  // namespace furrow
