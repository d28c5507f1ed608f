// 1x1, strided and transposed convolutions of device `cpu` as products of panel matrices, over several tasks of pixels
// and of channels: what the ragged steps of cpu_planned_test.cc are too small for.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/run_step.h"

namespace furrow {
namespace {

using cpu::CpuBackend;
using cpu::Isa;

class CpuProducts : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const std::vector<Isa> isas = cpu::supported_isas();
    if (std::ranges::find(isas, GetParam()) == isas.end()) GTEST_SKIP() << "this CPU has no " << cpu::name(GetParam());
  }
};

struct Case {
  Step step;
  int64_t length;  // terms of a sum, the bias included
};

std::vector<Case> products() {
  std::vector<Case> out;
  const auto add = [&](const ConvStep& step) {
    const ConvGeometry& g = step.geometry;
    out.push_back({step, g.kernel_h * g.kernel_w * step.x[0].c + 1});
  };
  add(cases::conv({1, 14, 17, 72}, 300, 1));  // three tasks of pixels, of which the last is short, three of channels
  add(cases::without_activation(cases::conv({2, 23, 9, 256}, 65, 1)));
  add(cases::with_residual(cases::conv({1, 7, 31, 64}, 144, 1)));
  add(cases::conv({1, 19, 30, 40}, 272, 3, 2));
  add(cases::conv({2, 21, 22, 9}, 48, 3, 2));
  add(cases::conv({1, 33, 26, 56}, 20, 1, 2));
  add(cases::conv({1, 29, 40, 17}, 16, 7, 2));
  add(cases::conv({1, 31, 31, 50}, 33, 3, 3));
  for (const UpconvStep& step :
       {cases::upconv({1, 12, 15, 256}, 300), cases::upconv({3, 9, 22, 270}, 16), cases::upconv({1, 25, 8, 260}, 145)})
    out.push_back({step, step.x.c + 1});
  return out;
}

TEST_P(CpuProducts, AreCloseToRefWithTheSameBitsOnAnyNumberOfThreads) {
  ThreadPool pool(3);
  RefBackend ref(&pool);
  CpuBackend backend(GetParam(), &pool), alone(GetParam(), nullptr);
  uint64_t seed = 1;
  for (const Case& c : products()) {
    EXPECT_EQ(backend.algorithm(c.step).rfind("product " + std::string(cpu::name(GetParam())), 0), 0u)
        << backend.algorithm(c.step) << ' ' << problem(c.step);
    const std::vector<Tensor> x = random_inputs(c.step, seed++);
    const StepWeights weights = cases::random_weights(c.step, seed++);
    const Tensor got = run_step(backend, c.step, x, weights).y, want = run_step(ref, c.step, x, weights).y;
    EXPECT_TRUE(close(got, want, rounding(want, c.length))) << problem(c.step);
    EXPECT_TRUE(same_bits(got, run_step(alone, c.step, x, weights).y)) << problem(c.step);
  }
}

// Short sums, sources of four lanes, few results, and what more than y is asked of stay with the kernels they had; so
// do transposed convolutions whose result is padded or cropped.
TEST_P(CpuProducts, LeaveOthersAlone) {
  CpuBackend backend(GetParam(), nullptr);
  const auto is_product = [&](const Step& step) { return backend.algorithm(step).rfind("product", 0) == 0; };
  const Shape x{1, 16, 16, 64};
  EXPECT_TRUE(is_product(cases::conv(x, 16, 1)));
  EXPECT_FALSE(is_product(cases::conv({1, 16, 16, 48}, 16, 1)));
  EXPECT_FALSE(is_product(cases::conv({1, 16, 16, 4}, 16, 7, 2)));
  EXPECT_FALSE(is_product(cases::conv(x, 15, 1)));
  EXPECT_FALSE(is_product(cases::conv(x, 64, 16, 1, 1)));  // two sources
  EXPECT_FALSE(is_product(cases::with_pool(cases::conv(x, 16, 1))));
  EXPECT_FALSE(is_product(cases::with_head(cases::conv(x, 16, 1), 1)));
  const Shape deep{1, 16, 16, 256};
  EXPECT_TRUE(is_product(cases::upconv(deep, 16)));
  EXPECT_FALSE(is_product(cases::upconv({1, 16, 16, 255}, 16)));
  EXPECT_FALSE(is_product(cases::upconv(deep, 15)));
  EXPECT_FALSE(is_product(cases::upconv_at(deep, 16, 33, 32, 0, 0)));
  EXPECT_FALSE(is_product(cases::upconv_at(deep, 16, 32, 32, 0, 1)));
}

INSTANTIATE_TEST_SUITE_P(Isa, CpuProducts, ::testing::Values(Isa::portable, Isa::avx2, Isa::avx512),
                         [](const auto& isa) { return std::string(cpu::name(isa.param)); });

}  // namespace
}  // namespace furrow
