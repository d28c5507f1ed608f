// Planned steps of device `cpu` against `ref`, for each instruction set this CPU can run, with direct convolutions
// alone (MemoryClass::low) and with Winograd's where they fit. cpu_winograd_test.cc has what only the latter have.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/run_step.h"

namespace furrow {
namespace {

using cpu::CpuBackend;
using cpu::Isa;

struct Kernels {
  Isa isa;
  MemoryClass memory;
};

class CpuPlanned : public ::testing::TestWithParam<Kernels> {
 protected:
  void SetUp() override {
    const std::vector<Isa> isas = cpu::supported_isas();
    if (std::ranges::find(isas, GetParam().isa) == isas.end())
      GTEST_SKIP() << "this CPU has no " << cpu::name(GetParam().isa);
  }
  static CpuBackend backend_on(ThreadPool* pool) { return CpuBackend(GetParam().isa, pool, GetParam().memory); }
};

bool is_winograd(const Backend& backend, const Step& step) { return backend.algorithm(step).starts_with("winograd"); }

bool is_gate(const Step& step) {
  return std::holds_alternative<GateStep>(step) || std::holds_alternative<ChannelGateStep>(step);
}

// Terms of one sum: what the rounding errors of a float32 result add up over.
int64_t reduction_length(const Step& step) {
  if (const auto* conv = std::get_if<ConvStep>(&step))
    return conv->geometry.kernel_h * conv->geometry.kernel_w * cases::input_channels(*conv) + 1;
  if (const auto* up = std::get_if<UpconvStep>(&step)) return up->x.c + 1;
  return 4;
}

// A bias in (-1, 1) and K products of two such numbers over sqrt(K): deviations of 1/sqrt(3) and 1/3. Of a few results
// a ReLU may leave none that is larger.
const double kDeviation = std::sqrt(1.0 / 3 + 1.0 / 9);

// A gate is no sum: exp, 1 + that, a division and a product round, the first perhaps by twice as much.
constexpr double kGateRoundings = 5 * 0x1p-24;

// Compares what the step asked for; `length` as above, of y and of the head.
void expect_close(const Backend& backend, const StepResults& got, const StepResults& want, const Step& step) {
  const auto rounding = is_winograd(backend, step) ? winograd4_rounding : furrow::rounding;
  const int64_t length = reduction_length(step);
  const auto* conv = std::get_if<ConvStep>(&step);
  const int64_t head_length = conv != nullptr ? length + conv->oc : 0;
  Tolerance tolerance = rounding(want.y, length, kDeviation);
  if (std::holds_alternative<UpsampleStep>(step)) tolerance = rounded_once(want.y);
  if (std::holds_alternative<MeanStep>(step)) tolerance = rounded_once(want.y);  // in double
  if (std::holds_alternative<NearestStep>(step)) tolerance = {};
  if (is_gate(step))  // the sum with a residual rounds once more; its terms are up to 1
    tolerance.absolute = cases::has_residual(step) ? kGateRoundings + 0x1p-24 * largest(want.y)
                                                   : kGateRoundings * largest(want.y);
  EXPECT_TRUE(close(got.y, want.y, tolerance)) << "y of " << problem(step);
  EXPECT_TRUE(close(got.pooled, want.pooled, rounding(want.pooled, length, kDeviation)))
      << "pooled of " << problem(step);
  EXPECT_TRUE(close(got.head, want.head, rounding(want.head, head_length, kDeviation))) << "head of " << problem(step);
}

void expect_within(const StepResults& got, const StepResults& want, Tolerance tolerance, const Step& step) {
  EXPECT_TRUE(close(got.y, want.y, tolerance)) << "y of " << problem(step);
  EXPECT_TRUE(close(got.pooled, want.pooled, tolerance)) << "pooled of " << problem(step);
  EXPECT_TRUE(close(got.head, want.head, tolerance)) << "head of " << problem(step);
}

void expect_same_bits(const StepResults& a, const StepResults& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.y, b.y)) << what;
  EXPECT_TRUE(same_bits(a.pooled, b.pooled)) << what;
  EXPECT_TRUE(same_bits(a.head, b.head)) << what;
}

// Every value an integer in [-4, 4], so that every sum of a convolution is exact in float32, in any order.
void make_integers(Tensor& t) {
  if (t.empty()) return;
  for (double& value : t.values<double>()) value = std::round(value * 4);
}

TEST_P(CpuPlanned, IsCloseToRefOnRaggedShapes) {
  ThreadPool pool(2);
  RefBackend ref(&pool);
  CpuBackend backend = backend_on(&pool);
  uint64_t seed = 1;
  for (const Step& step : cases::ragged_steps()) {
    const std::vector<Tensor> x = random_inputs(step, seed++);
    const StepWeights weights = cases::random_weights(step, seed++);
    expect_close(backend, run_step(backend, step, x, weights), run_step(ref, step, x, weights), step);
  }
}

TEST_P(CpuPlanned, EqualsRefWhereSumsAreExact) {
  ThreadPool pool(2);
  RefBackend ref(&pool);
  CpuBackend backend = backend_on(&pool);
  uint64_t seed = 1;
  for (const Step& step : cases::ragged_steps()) {
    if (std::holds_alternative<UpsampleStep>(step) || std::holds_alternative<MeanStep>(step) || is_gate(step))
      continue;  // fractions
    if (is_winograd(backend, step)) continue;  // points between the integers
    std::vector<Tensor> x = random_inputs(step, seed++);
    StepWeights weights = cases::random_weights(step, seed++);
    for (Tensor* t : {&weights.w, &weights.b, &weights.head_w, &weights.head_b}) {
      if (!t->empty()) *t = cases::random_values(t->shape(), seed++);
      make_integers(*t);
    }
    for (Tensor& t : x) make_integers(t);
    expect_within(run_step(backend, step, x, weights), run_step(ref, step, x, weights), Tolerance{}, step);
  }
}

TEST_P(CpuPlanned, IsCloseToRefOnEveryLayerOfAUNet) {
  ThreadPool pool(2);
  RefBackend ref(&pool);
  CpuBackend backend = backend_on(&pool);
  uint64_t seed = 1;
  for (const Step& step : cases::unet_steps(16, 64, 3, 2)) {
    const std::vector<Tensor> x = random_inputs(step, seed++);
    const StepWeights weights = cases::random_weights(step, seed++);
    expect_close(backend, run_step(backend, step, x, weights), run_step(ref, step, x, weights), step);
  }
}

TEST_P(CpuPlanned, HasTheSameBitsForAnyNumberOfThreads) {
  CpuBackend alone = backend_on(nullptr);
  std::vector<Step> steps = cases::ragged_steps();
  for (const Step& step : cases::unet_steps(16, 32)) steps.push_back(step);
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    CpuBackend backend = backend_on(&pool);
    for (const Step& step : steps) {
      const std::vector<Tensor> x = random_inputs(step, 5);
      const StepWeights weights = cases::random_weights(step, 6);
      expect_same_bits(run_step(backend, step, x, weights), run_step(alone, step, x, weights),
                       problem(step) + " on " + std::to_string(threads) + " threads");
    }
  }
}

// Image n of a batch as a tensor of its own.
Tensor image(const Tensor& batch, int64_t n) {
  if (batch.empty()) return {};
  const Shape s = batch.shape();
  Tensor out({1, s.h, s.w, s.c}, batch.dtype());
  const size_t bytes = out.bytes();
  std::memcpy(const_cast<void*>(data_of(out)),
              static_cast<const std::byte*>(data_of(batch)) + static_cast<size_t>(n) * bytes, bytes);
  return out;
}

Step single(Step step) {
  if (auto* conv = std::get_if<ConvStep>(&step)) conv->x[0].n = conv->x[1].n = 1;
  if (auto* up = std::get_if<UpconvStep>(&step)) up->x.n = up->y.n = 1;
  if (auto* up = std::get_if<UpsampleStep>(&step)) up->x.n = up->y.n = 1;
  if (auto* pool = std::get_if<PoolStep>(&step)) pool->x.n = 1;
  if (auto* gate = std::get_if<GateStep>(&step)) gate->x.n = 1;
  if (auto* nearest = std::get_if<NearestStep>(&step)) nearest->x.n = 1;
  if (auto* mean = std::get_if<MeanStep>(&step)) mean->x.n = 1;
  if (auto* gate = std::get_if<ChannelGateStep>(&step)) gate->x.n = 1;
  return step;
}

TEST_P(CpuPlanned, HasTheSameBitsAtAnyPositionOfABatch) {
  ThreadPool pool(3);
  CpuBackend backend = backend_on(&pool);
  int batches = 0;
  for (const Step& step : cases::ragged_steps()) {
    const int64_t n = output_shape(step).n;
    if (n == 1) continue;
    ++batches;
    const std::vector<Tensor> x = random_inputs(step, 7);
    const StepWeights weights = cases::random_weights(step, 8);
    const StepResults all = run_step(backend, step, x, weights);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<Tensor> one;
      for (const Tensor& t : x) one.push_back(image(t, i));
      expect_same_bits({image(all.y, i), image(all.pooled, i), image(all.head, i)},
                       run_step(backend, single(step), one, weights), problem(step) + ", image " + std::to_string(i));
    }
  }
  EXPECT_GT(batches, 10);
}

// Values that are no numbers reach exactly the results that ref lets them reach: ReLU and the maximum keep NaN, and the
// lanes that fill a block up leak nothing (0 * inf would be NaN). Not so Winograd's, whose tiles are summed up
// together.
TEST_P(CpuPlanned, CarriesNaNAndInfinityAsRefDoes) {
  RefBackend ref(nullptr);
  CpuBackend backend = backend_on(nullptr);
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  std::vector<Step> steps;
  for (const int64_t c : {2, 3, 16, 19}) {
    const Shape x{1, 9, 31, c};
    steps.push_back(cases::with_head(cases::with_pool(cases::conv(x, 17)), 3, true));
    steps.push_back(cases::with_pool(cases::conv(x, 3)));
    steps.push_back(cases::without_activation(cases::conv(x, 5, 8, 1, 1)));
    steps.push_back(cases::conv(x, 16, 3, 2));
    steps.push_back(cases::upconv(x, 5));
    steps.push_back(PoolStep{x});
    steps.push_back(cases::upsample(x, 17, 61));  // every other line lies on a source line: weights of 0
    steps.push_back(cases::upsample_at(x, 18, 62, 20, 61, 1, -1));
    steps.push_back(NearestStep{x, 17, 61});
    steps.push_back(ChannelGateStep{x, true});
  }
  for (const Step& step : steps) {
    if (is_winograd(backend, step)) continue;
    std::vector<Tensor> x = random_inputs(step, 9);
    for (Tensor& t : x) {
      if (t.shape().h == 1) continue;  // the logits of channels
      const auto values = t.values<double>();
      const auto at = [&](int64_t h, int64_t w) { return static_cast<size_t>((h * t.shape().w + w) * t.shape().c); };
      values[at(0, 0)] = nan, values[at(4, 13)] = inf, values[at(8, 30)] = nan, values[at(6, 24)] = -inf;
    }
    const StepWeights weights = cases::random_weights(step, 10);
    const StepResults got = run_step(backend, step, x, weights), want = run_step(ref, step, x, weights);
    const Tolerance loose{.absolute = 1e-5};  // of values near 1; the other tests measure the digits
    const auto count_nan = [](const Tensor& t) {
      return std::ranges::count_if(t.values<double>(), [](double v) { return std::isnan(v); });
    };
    expect_within(got, want, loose, step);
    EXPECT_GT(count_nan(want.y), 0) << problem(step);
    EXPECT_LT(count_nan(want.y), want.y.shape().elements()) << problem(step);
  }
}

// Every step leaves its results ready for the next one, padding included: a convolution that reads the placed result
// has the same bits as one that reads it placed anew. (Buffers start full of NaN.)
TEST_P(CpuPlanned, ResultsCanBeReadByAConvolution) {
  CpuBackend backend = backend_on(nullptr);
  int read = 0;
  const auto check = [&](const Placed& placed, const std::string& what) {
    if (placed.data == nullptr || placed.shape.elements() == 0) return;
    Tensor dense(placed.shape, DType::f32);
    backend.unplace(placed, dense);
    for (const int64_t kernel : {3, 5}) {
      const ConvStep next = cases::conv(placed.shape, 4, kernel);
      const StepWeights weights = cases::random_weights(next, 11);
      GuardedBuffer y(backend.placed_bytes(next.y())), workspace(backend.workspace_bytes(next));
      StepBuffers buffers;
      buffers.x[0] = placed, buffers.y = {y.data(), next.y()}, buffers.workspace = workspace.data();
      backend.run(next, backend.prepare(next, weights).get(), buffers);
      Tensor got(next.y(), DType::f32);
      backend.unplace(buffers.y, got);
      EXPECT_TRUE(same_bits(got, run_step(backend, next, {dense}, weights).y)) << problem(next) << " after " << what;
      ++read;
    }
  };
  for (const Step& step : cases::ragged_steps())
    run_step(backend, step, random_inputs(step, 12), cases::random_weights(step, 13), [&](const StepBuffers& left) {
      check(left.y, op_name(step) + " " + problem(step));
      check(left.pooled, "the maximum of " + problem(step));
    });
  EXPECT_GT(read, 300);
}

TEST_P(CpuPlanned, NamesTheAlgorithm) {
  CpuBackend backend = backend_on(nullptr);
  const std::string isa(cpu::name(GetParam().isa));
  EXPECT_EQ(backend.name(), "cpu (" + isa + ")");
  EXPECT_EQ(backend.algorithm(cases::conv({1, 8, 8, 16}, 16)).rfind("direct " + isa + " nChw16c ", 0), 0u);
  // Tiles of short sums, pixels x channels: of three taps; of as many channels as a register has, or half of them.
  const auto tile = [&](const Step& step) {
    return backend.algorithm(step).substr(("direct " + isa + " nChw16c ").size());
  };
  std::array<std::string, 3> tiles = {"4x4", "4x4", "8x2"};
  if (GetParam().isa == Isa::avx2) tiles = {"4x8", "6x8", "12x4"};
  if (GetParam().isa == Isa::avx512) tiles = {"12x16", "8x16", "16x8"};
  EXPECT_EQ(tile(cases::conv({1, 8, 8, 3}, 1)), tiles[0] + " in double");
  EXPECT_EQ(tile(cases::conv({1, 8, 8, 16}, 9, 1)), tiles[1] + " in double");
  EXPECT_EQ(tile(cases::conv({1, 8, 8, 16}, 2, 1)), tiles[2] + " in double");
  EXPECT_EQ(backend.algorithm(cases::upconv({1, 8, 8, 16}, 16)).rfind("gemm " + isa, 0), 0u);
  EXPECT_EQ(backend.algorithm(PoolStep{{1, 8, 8, 16}}), "max " + isa + " nChw16c");
  EXPECT_EQ(backend.algorithm(NearestStep{{1, 8, 8, 16}, 16, 16}), "nearest portable nChw16c");
  EXPECT_EQ(backend.algorithm(MeanStep{{1, 8, 8, 16}}), "mean portable nChw16c");
  EXPECT_EQ(backend.algorithm(ChannelGateStep{{1, 8, 8, 16}}), "channel gate portable nChw16c");
}

TEST_P(CpuPlanned, RefusesBuffersOfAnotherShapeAndForeignWeights) {
  CpuBackend backend = backend_on(nullptr);
  RefBackend ref(nullptr);
  const ConvStep step = cases::conv({1, 4, 4, 3}, 8);
  const StepWeights weights = cases::random_weights(step, 1);
  GuardedBuffer x(backend.placed_bytes(step.x[0])), y(backend.placed_bytes(step.y()));
  StepBuffers buffers;
  buffers.x[0] = {x.data(), step.x[0]}, buffers.y = {y.data(), {1, 4, 5, 8}};
  EXPECT_THROW(backend.run(step, backend.prepare(step, weights).get(), buffers), Error);
  buffers.y.shape = step.y();
  EXPECT_THROW(backend.run(step, ref.prepare(step, weights).get(), buffers), Error);
  EXPECT_THROW(backend.run(step, nullptr, buffers), Error);
  ConvStep other = step;
  other.oc = 9;
  EXPECT_THROW(backend.prepare(other, weights), Error);
}

std::vector<Kernels> all_kernels() {
  std::vector<Kernels> all;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512})
    for (const MemoryClass memory : {MemoryClass::normal, MemoryClass::low}) all.push_back({isa, memory});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Isa, CpuPlanned, ::testing::ValuesIn(all_kernels()), [](const auto& kernels) {
  return std::string(cpu::name(kernels.param.isa)) + (kernels.param.memory == MemoryClass::low ? "_direct" : "");
});

}  // namespace
}  // namespace furrow
