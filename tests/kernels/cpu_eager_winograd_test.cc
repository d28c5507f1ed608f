// Eager convolutions of device `cpu` and their gradients by Winograd's F(4x4, 3x3): which shapes take it, and all of
// its ways to split the work against `ref`, against each other and against planned steps.
#include "kernels/cpu/winograd4.h"
#include "tests/kernels/gradient_problem.h"
#include "tests/kernels/run_step.h"

namespace furrow {
namespace {

using cases::random_values;
constexpr ConvGeometry kSame{3, 3, 1, 1};

// Widths that end inside a tile by every remainder, blocks that are full and not, one source and two, batches.
const ConvProblem kProblems[] = {
    {{1, 13, 22, 40}, 0, 24, kSame},     // staged: 24 tiles
    {{3, 18, 15, 24}, 0, 40, kSame},     // a batch of three
    {{2, 15, 14, 33}, 20, 70, kSame},    // two sources
    {{1, 70, 67, 24}, 0, 40, kSame},     // fused: 18 x 17 tiles; both gradients of weights by segments
    {{2, 69, 72, 24}, 17, 40, kSame},    // fused, two sources
    {{1, 17, 14, 40}, 0, 300, kSame},    // by parts: one chunk of 20 tiles; the last panel has 12 lanes
    {{1, 16, 14, 150}, 24, 264, kSame},  // by parts both ways, sums of two parts
    {{3, 36, 41, 16}, 0, 500, kSame},    // by parts: 297 tiles in two chunks
};

TEST(CpuEagerWinograd, IsCloseToRefWithTheSameBitsForAnyNumberOfThreads) {
  for (const ConvProblem& p : kProblems) check_convolution(p);
}

TEST(CpuEagerWinograd, TakesWhatPlansTake) {
  const auto fits = [](Shape y, int64_t ic, int64_t oc) { return cpu::eager_winograd4_fits(kSame, ic, oc, y); };
  for (const ConvProblem& p : kProblems) EXPECT_TRUE(fits(p.x, p.x.c + p.second, p.oc)) << text(p);
  EXPECT_TRUE(fits({1, 16, 16, 1}, 16, 16));
  EXPECT_FALSE(fits({1, 16, 16, 1}, 15, 16));
  EXPECT_FALSE(fits({1, 16, 16, 1}, 16, 15));
  EXPECT_FALSE(fits({8, 12, 16, 1}, 16, 16)) << "12 tiles an image, whatever the batch";
  EXPECT_FALSE(fits({1, 1, 64, 1}, 16, 16)) << "a quarter of the tiles' results exist";
  EXPECT_FALSE(cpu::eager_winograd4_fits({3, 3, 1, 0}, 16, 16, {1, 16, 16, 1}));
  EXPECT_FALSE(cpu::eager_winograd4_fits({3, 3, 2, 1}, 16, 16, {1, 16, 16, 1}));
  // Gradients of weights sum over positions, of which there must be enough for the bound of direct sums.
  EXPECT_TRUE(cpu::winograd4_grad_fits(kSame, 16, 16, {2, 32, 32, 16}));
  EXPECT_FALSE(cpu::winograd4_grad_fits(kSame, 16, 16, {1, 32, 63, 16}));
}

// A planned step multiplies and adds the same numbers in the same order, however either splits its work.
TEST(CpuEagerWinograd, HasTheBitsOfPlannedSteps) {
  ThreadPool pool(3);
  for (const cpu::Isa isa : cpu::supported_isas())
    for (const ConvProblem& p : kProblems) {
      cpu::CpuBackend backend(isa, &pool);
      const ConvStep step = p.second > 0 ? cases::conv(p.x, p.second, p.oc, 3, 1) : cases::conv(p.x, p.oc);
      const std::vector<Tensor> x = random_inputs(step, 1);
      const StepWeights weights = cases::random_weights(step, 3);
      const Tensor x0 = x[0].to(DType::f32), x1 = p.second > 0 ? x[1].to(DType::f32) : Tensor();
      const Tensor w = weights.w.to(DType::f32), b = weights.b.to(DType::f32);
      Tensor y(step.y());
      backend.conv2d(
          {.x0 = &x0, .x1 = p.second > 0 ? &x1 : nullptr, .w = &w, .b = &b, .geometry = kSame, .act = Activation::relu},
          y);
      EXPECT_TRUE(same_bits(y, run_step(backend, step, x, weights).y)) << text(p) << ' ' << cpu::name(isa);
    }
}

// The last image of a batch alone has the bits it has in the batch.
TEST(CpuEagerWinograd, HasTheSameBitsAtAnyPlaceInABatch) {
  for (const ConvProblem& p : kProblems) {
    if (p.x.n == 1 || p.second > 0) continue;
    cpu::CpuBackend backend(nullptr);
    const Shape one{1, p.x.h, p.x.w, p.x.c};
    const Tensor x = random_values(p.x, 1, DType::f32), w = random_values({p.oc, 3, 3, p.x.c}, 2, DType::f32);
    Tensor last(one), y({p.x.n, p.x.h, p.x.w, p.oc}), alone({1, p.x.h, p.x.w, p.oc}), of_batch(alone.shape());
    std::ranges::copy(x.values<float>().last(static_cast<size_t>(one.elements())), last.values<float>().begin());
    backend.conv2d({.x0 = &x, .w = &w, .geometry = kSame}, y);
    backend.conv2d({.x0 = &last, .w = &w, .geometry = kSame}, alone);
    std::ranges::copy(y.values<float>().last(static_cast<size_t>(alone.shape().elements())),
                      of_batch.values<float>().begin());
    EXPECT_TRUE(same_bits(alone, of_batch)) << text(p);
  }
}

// What a call says it takes, it takes: of each way to split the work, and for one thread and three.
TEST(CpuEagerWinograd, TakesTheMemoryItForetells) {
  for (const int threads : {1, 3})
    for (const ConvProblem& p : kProblems) {
      ThreadPool pool(threads);
      cpu::CpuBackend backend(&pool);
      const Shape w{p.oc, 3, 3, p.x.c + p.second}, y{p.x.n, p.x.h, p.x.w, p.oc};
      const Shape second{p.x.n, p.x.h, p.x.w, p.second};
      Tensor x0(p.x), x1(second), weight(w), result(y);
      const std::function<void(Backend&)> calls[] = {
          [&](Backend& on) {
            on.conv2d({.x0 = &x0, .x1 = p.second > 0 ? &x1 : nullptr, .w = &weight, .geometry = kSame}, result);
          },
          [&](Backend& on) {
            on.conv2d_grad_input({.dy = &result, .w = &weight, .geometry = kSame}, &x0, p.second > 0 ? &x1 : nullptr,
                                 Grad::overwrite);
          },
          [&](Backend& on) {
            on.conv2d_grad_weight({.x0 = &x0, .x1 = p.second > 0 ? &x1 : nullptr, .dy = &result, .geometry = kSame},
                                  weight, nullptr, Grad::overwrite);
          }};
      size_t most = 0;
      for (const auto& call : calls) {
        most = std::max(most, backend.scratch_bytes(call));
        call(backend);
        EXPECT_EQ((most + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment, backend.scratch_held())
            << text(p) << ", threads " << threads;
      }
    }
}

}  // namespace
}  // namespace furrow
