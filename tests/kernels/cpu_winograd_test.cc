// Planned convolutions of device `cpu` by Winograd's F(4x4, 3x3): what cpu_planned_test.cc does not ask of every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/winograd4.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/run_step.h"

namespace furrow {
namespace {

using cpu::CpuBackend;
using cpu::Isa;

class CpuWinograd : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const std::vector<Isa> isas = cpu::supported_isas();
    if (std::ranges::find(isas, GetParam()) == isas.end()) GTEST_SKIP() << "this CPU has no " << cpu::name(GetParam());
  }
};

// All three schedules over several tasks and chunks: blocks that are full and not, one source and two, widths 24, 40,
// pictures that end inside a tile by every remainder, batches; with all that may follow a convolution.
std::vector<ConvStep> steps() {
  std::vector<ConvStep> out;
  const auto add = [&](Shape x, int64_t second, int64_t oc) {
    out.push_back(second > 0 ? cases::conv(x, second, oc, 3, 1) : cases::conv(x, oc));
  };
  add({1, 73, 66, 24}, 0, 40);   // fused: 19 x 17 tiles
  add({1, 72, 68, 40}, 24, 72);  // fused, two sources, two groups of blocks
  add({3, 70, 71, 16}, 0, 16);
  add({1, 75, 69, 24}, 5, 17);
  add({1, 70, 68, 128}, 0, 24);
  add({1, 72, 72, 48}, 84, 24);   // 9 blocks: staged, 2 chunks
  add({3, 41, 50, 40}, 0, 24);    // staged: 429 tiles
  add({1, 17, 14, 40}, 24, 300);  // by parts
  add({2, 13, 16, 160}, 0, 33);
  add({1, 34, 32, 40}, 24, 264);  // 72 tiles: staged, several tasks of products
  add({3, 21, 30, 24}, 0, 260);   // by parts, the last block of 4 channels
  add({5, 30, 31, 150}, 0, 256);  // by parts, 2 chunks, sums of 2 parts
  for (const size_t plain : {1, 2, 5, 6, 7}) {
    const ConvStep s = out[plain];
    out.push_back(cases::with_pool(s));
    out.push_back(cases::with_head(cases::with_pool(s), 3, true));
    out.push_back(cases::with_head(cases::without_activation(s), 17));
    out.push_back(cases::without_activation(s));
    out.back().residual = true;
  }
  return out;
}

TEST_P(CpuWinograd, TakesTheseSteps) {
  CpuBackend backend(GetParam(), nullptr), low(GetParam(), nullptr, MemoryClass::low);
  int fused = 0, staged = 0, by_parts = 0;
  for (const ConvStep& step : steps()) {
    const std::string name = backend.algorithm(step);
    EXPECT_TRUE(name.starts_with("winograd 4x4 " + std::string(cpu::name(GetParam())))) << name << problem(step);
    EXPECT_TRUE(low.algorithm(step).starts_with("direct ")) << low.algorithm(step);
    ++(cpu::Winograd4Schedule(step).fused ? fused : name.ends_with(", weights anew") ? by_parts : staged);
  }
  EXPECT_GE(fused, 12);
  EXPECT_GE(staged, 12);
  EXPECT_GE(by_parts, 5);
}

TEST_P(CpuWinograd, LeavesOthersToOtherKernels) {
  CpuBackend backend(GetParam(), nullptr);
  const Shape x{1, 64, 64, 32};
  const auto other = [&](const ConvStep& step) { return !backend.algorithm(step).starts_with("winograd "); };
  EXPECT_FALSE(other(cases::conv(x, 32)));
  EXPECT_TRUE(other(cases::conv(x, 15)));
  EXPECT_TRUE(other(cases::conv({1, 64, 64, 15}, 32)));
  EXPECT_TRUE(other(cases::conv({1, 64, 64, 3}, 32)));
  EXPECT_TRUE(other(cases::conv(x, 3, 32, 3, 1)));  // a source of narrow pixels
  EXPECT_TRUE(other(cases::conv(x, 32, 3, 2)));
  EXPECT_TRUE(other(cases::conv(x, 32, 1)));
  EXPECT_TRUE(other(cases::conv({1, 1, 64, 32}, 32)));    // three quarters of whose tiles' results do not exist
  EXPECT_TRUE(other(cases::conv({1, 12, 12, 32}, 32)));   // nine tiles would not use the weights enough
  EXPECT_TRUE(other(cases::conv({16, 12, 12, 32}, 32)));  // nor do a batch's, whose bits are those of one image
}

TEST_P(CpuWinograd, IsCloseToRef) {
  ThreadPool pool(2);
  RefBackend ref(&pool);
  CpuBackend backend(GetParam(), &pool);
  uint64_t seed = 1;
  for (const ConvStep& step : steps()) {
    const std::vector<Tensor> x = random_inputs(step, seed++);
    const StepWeights weights = cases::random_weights(step, seed++);
    const StepResults got = run_step(backend, step, x, weights), want = run_step(ref, step, x, weights);
    const int64_t length = 9 * cases::input_channels(step) + 1;
    EXPECT_TRUE(close(got.y, want.y, winograd4_rounding(want.y, length))) << problem(step);
    EXPECT_TRUE(close(got.pooled, want.pooled, winograd4_rounding(want.pooled, length))) << problem(step);
    EXPECT_TRUE(close(got.head, want.head, winograd4_rounding(want.head, length + step.oc))) << problem(step);
  }
}

TEST_P(CpuWinograd, HasTheSameBitsForAnyNumberOfThreadsAndAnyPlaceInABatch) {
  CpuBackend alone(GetParam(), nullptr);
  ThreadPool pool(3);
  CpuBackend backend(GetParam(), &pool);
  for (const ConvStep& step : steps()) {
    const std::vector<Tensor> x = random_inputs(step, 5);
    const StepWeights weights = cases::random_weights(step, 6);
    const StepResults all = run_step(backend, step, x, weights), once = run_step(alone, step, x, weights);
    EXPECT_TRUE(same_bits(all.y, once.y) && same_bits(all.pooled, once.pooled) && same_bits(all.head, once.head))
        << problem(step);
    if (step.x[0].n == 1) continue;
    ConvStep last = step;
    last.x[0].n = last.x[1].n = 1;
    const auto cut = [&](const Tensor& t) {
      if (t.empty()) return Tensor();
      Tensor out({1, t.shape().h, t.shape().w, t.shape().c}, t.dtype());
      std::memcpy(const_cast<void*>(data_of(out)),
                  static_cast<const std::byte*>(data_of(t)) + static_cast<size_t>(t.shape().n - 1) * out.bytes(),
                  out.bytes());
      return out;
    };
    std::vector<Tensor> one;
    for (const Tensor& t : x) one.push_back(cut(t));
    const StepResults single = run_step(alone, last, one, weights);
    EXPECT_TRUE(same_bits(cut(all.y), single.y) && same_bits(cut(all.pooled), single.pooled) &&
                same_bits(cut(all.head), single.head))
        << problem(step);
  }
}

// A value that is no number reaches all that ref lets it reach, and nothing outside the tiles that read it: those of
// 4x4 results whose windows of 6x6 hold it.
TEST_P(CpuWinograd, KeepsNaNAndInfinityInTheirTiles) {
  RefBackend ref(nullptr);
  CpuBackend backend(GetParam(), nullptr);
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const ConvStep step = cases::without_activation(cases::conv({1, 23, 30, 19}, 17));
    std::vector<Tensor> x = random_inputs(step, 9);
    const int64_t h = 9, w = 15;
    x[0].values<double>()[static_cast<size_t>((h * 30 + w) * 19 + 18)] = value;
    const StepWeights weights = cases::random_weights(step, 10);
    const Tensor got = run_step(backend, step, x, weights).y.to(DType::f64), want = run_step(ref, step, x, weights).y;
    int inside = 0;
    for (int64_t i = 0; i < 23; ++i)
      for (int64_t j = 0; j < 30; ++j)
        for (int64_t c = 0; c < 17; ++c) {
          const auto at = static_cast<size_t>((i * 30 + j) * 17 + c);
          const double a = got.values<double>()[at], b = want.values<double>()[at];
          const int64_t top = i / 4 * 4 - 1, left = j / 4 * 4 - 1;
          if (h >= top && h < top + 6 && w >= left && w < left + 6) {
            ++inside;
            EXPECT_TRUE(std::isfinite(b) || !std::isfinite(a)) << i << ' ' << j;
          } else {
            ASSERT_NEAR(a, b, 1e-5) << i << ' ' << j << ' ' << c;
          }
        }
    EXPECT_EQ(inside, 2 * 16 * 17);  // 9 ends the windows of rows 4 to 7 and is inside those of 8 to 11; 15 likewise
  }
}

TEST_P(CpuWinograd, PacksThirtySixValuesForNineWeights) {
  CpuBackend backend(GetParam(), nullptr), low(GetParam(), nullptr, MemoryClass::low);
  const ConvStep step = cases::conv({1, 32, 32, 64}, 64);
  const StepWeights weights = cases::random_weights(step, 1);
  constexpr size_t kBias = 64 * sizeof(float), kWeights = 64 * 64 * 9 * sizeof(float);
  EXPECT_EQ(low.prepare(step, weights)->bytes(), kBias + kWeights);
  EXPECT_EQ(backend.prepare(step, weights)->bytes(), kBias + 4 * kWeights);
  EXPECT_EQ(backend.packed_bytes(step), kBias + 4 * kWeights);
}

TEST_P(CpuWinograd, PacksNineForManyChannelsOfASmallPicture) {
  CpuBackend backend(GetParam(), nullptr);
  const ConvStep step = cases::conv({1, 32, 32, 64}, 256);
  constexpr size_t kBytes = (256 + 64 * 256 * 9) * sizeof(float);
  EXPECT_EQ(backend.prepare(step, cases::random_weights(step, 1))->bytes(), kBytes);
  EXPECT_EQ(backend.packed_bytes(step), kBytes);
}

TEST_P(CpuWinograd, RefusesBuffersOfAnotherShapeAndNoWorkspace) {
  CpuBackend backend(GetParam(), nullptr);
  const ConvStep step = cases::conv({1, 16, 16, 16}, 16);
  const StepWeights weights = cases::random_weights(step, 1);
  const auto packed = backend.prepare(step, weights);
  GuardedBuffer x(backend.placed_bytes(step.x[0])), y(backend.placed_bytes(step.y())),
      workspace(backend.workspace_bytes(step));
  StepBuffers buffers;
  buffers.x[0] = {x.data(), step.x[0]}, buffers.y = {y.data(), {1, 16, 17, 16}}, buffers.workspace = workspace.data();
  EXPECT_THROW(backend.run(step, packed.get(), buffers), Error);
  buffers.y.shape = step.y(), buffers.workspace = nullptr;
  EXPECT_THROW(backend.run(step, packed.get(), buffers), Error);
  ConvStep other = step;
  other.oc = 17;
  EXPECT_THROW(backend.prepare(other, weights), Error);
}

INSTANTIATE_TEST_SUITE_P(Isa, CpuWinograd, ::testing::Values(Isa::portable, Isa::avx2, Isa::avx512),
                         [](const auto& isa) { return std::string(cpu::name(isa.param)); });

}  // namespace
}  // namespace furrow
