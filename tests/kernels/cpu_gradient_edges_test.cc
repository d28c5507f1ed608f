// Convolutions of device `cpu` at the ends of what a batch can be: none, and sums over very many positions.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {
namespace {

using cases::random_values;
constexpr ConvGeometry kSame{3, 3, 1, 1};

// 5 channels are multiplied directly, 16 by Winograd's way: 8x8 pictures by F(2x2, 3x3), 16x16 by F(4x4, 3x3).
TEST(CpuGradient, ABatchOfNoImagesGivesNothingAndZeros) {
  for (const cpu::Isa isa : cpu::supported_isas())
    for (const int64_t channels : {5, 16})
      for (const int64_t side : {8, 16}) {
        cpu::CpuBackend backend(isa, nullptr);
        const Tensor w = random_values({16, 3, 3, channels}, 1, DType::f32);
        const Tensor up = random_values({16, 2, 2, channels}, 2, DType::f32);
        for (const int64_t images : {1, 0}) {  // the first leaves its numbers in the scratch memory
          Tensor x = random_values({images, side, side, channels}, 3, DType::f32);
          Tensor y({images, side, side, 16}), wide({images, 2 * side, 2 * side, 16}), dw(w.shape()), db({1, 1, 1, 16}),
              dup(up.shape());
          for (Tensor* t : {&dw, &db, &dup}) std::ranges::fill(t->values<float>(), 7.0f);
          backend.conv2d({.x0 = &x, .w = &w, .geometry = kSame}, y);
          backend.conv2d_grad_weight({.x0 = &x, .dy = &y, .geometry = kSame}, dw, &db, Grad::overwrite);
          backend.conv2d_grad_input({.dy = &y, .w = &w, .geometry = kSame}, &x, nullptr, Grad::overwrite);
          backend.upconv2x2(x, up, nullptr, wide);
          backend.upconv2x2_grad_weight(x, wide, dup, nullptr, Grad::overwrite);
          backend.upconv2x2_grad_input(wide, up, x, Grad::overwrite);
          for (const Tensor* t : {&dw, &db, &dup})
            EXPECT_EQ(largest(*t) > 0, images > 0) << cpu::name(isa) << channels;
        }
      }
}

// Sums of 65,536 positive products, which one float32 sum after another rounds by about 1e-5. Here at most 512 are
// summed before they are added to the rest, 128 times: each addition rounds by up to 2^-24 of a sum that is half the
// result on average, at random 2e-7 of it in all, and for the worst of some hundred elements four times that.
TEST(CpuGradient, LongSumsOfOneSignKeepTheirDigits) {
  for (const int64_t channels : {5, 16}) {
    const Shape s{1, 256, 256, channels}, out{1, 256, 256, 16}, w{16, 3, 3, channels};
    Tensor x = random_values(s, 1), dy = random_values(out, 2), want(w, DType::f64);
    for (Tensor* t : {&x, &dy})
      for (double& value : t->values<double>()) value = std::abs(value);
    ThreadPool two(2);
    RefBackend ref(&two);
    ref.conv2d_grad_weight({.x0 = &x, .dy = &dy, .geometry = kSame}, want, nullptr, Grad::overwrite);
    const Tensor x32 = x.to(DType::f32), dy32 = dy.to(DType::f32);
    for (const cpu::Isa isa : cpu::supported_isas()) {
      cpu::CpuBackend backend(isa, &two);
      Tensor dw(w);
      backend.conv2d_grad_weight({.x0 = &x32, .dy = &dy32, .geometry = kSame}, dw, nullptr, Grad::overwrite);
      EXPECT_TRUE(close(dw, want, {.absolute = 8e-7 * largest(want)})) << cpu::name(isa) << ", " << channels;
    }
  }
}

}  // namespace
}  // namespace furrow
