// The optimisers' kernels against the float64 oracle: several steps, segments, unaligned buffers, skipped steps.
#include "kernels/cuda/optim.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/half.h"
#include "kernels/ref/optim.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

const OptimKernels& kernels() { return KERNELS_UNDER_TEST(optim_kernels); }

std::vector<float> random_floats(int64_t count, uint64_t seed, float by) {
  std::vector<float> out;
  const Tensor random = cases::random_values({1, 1, 1, count}, seed);
  for (const double value : random.values<double>()) out.push_back(static_cast<float>(value) * by);
  return out;
}
std::vector<double> wide(const std::vector<float>& v) { return {v.begin(), v.end()}; }

// A buffer of `values` whose first element lies `offset` floats behind a 256-byte boundary.
class Buffer {
 public:
  Buffer(const std::vector<float>& values, size_t offset) : offset_(offset), memory_(shifted(values, offset)) {}
  float* data() { return memory_.data() + offset_; }
  std::vector<float> values() const {
    const std::vector<float> all = memory_.values();
    return {all.begin() + static_cast<ptrdiff_t>(offset_), all.end()};
  }

 private:
  static std::vector<float> shifted(std::vector<float> values, size_t offset) {
    values.insert(values.begin(), offset, std::numeric_limits<float>::quiet_NaN());
    return values;
  }
  size_t offset_;
  DeviceArray<float> memory_;
};

struct Problem {
  int64_t count;
  size_t offset = 0;
  std::vector<OptimSegment> segments;
  double lr = 1e-2, max_norm = 0;
  float loss_scale = 1;
  DType shadow = DType::bf16;
};

// Boundaries inside a thread's four elements, an empty segment, a frozen one, one without decay.
Problem ragged(int64_t count, size_t offset) {
  return {.count = count,
          .offset = offset,
          .segments = {{0, 1, 0.1f}, {5, 0.5f, 0}, {6, 1, 0.1f}, {6, 2, 0.2f}, {77, 0, 0.3f}, {131, 1, 0.01f}}};
}

// |got - want| <= absolute + relative |want|
void expect_close(const std::vector<float>& got, const std::vector<double>& want, double absolute, double relative,
                  const char* what) {
  size_t wrong = 0, worst = 0;
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(static_cast<double>(got[i]) - want[i]) <= absolute + relative * std::abs(want[i])))
      ++wrong, worst = i;
  EXPECT_EQ(wrong, 0u) << what << "[" << worst << "] is " << got[worst] << ", not " << want[worst];
}

void expect_state(const OptimState& got, const OptimState& want) {
  EXPECT_EQ(got.skip, want.skip);
  EXPECT_EQ(got.step, want.step);
  EXPECT_EQ(got.skipped, want.skipped);
  EXPECT_EQ(got.good_steps, want.good_steps);
  EXPECT_EQ(got.loss_scale, want.loss_scale);
  if (want.skip != 0) return;
  EXPECT_NEAR(got.norm, want.norm, 1e-13 * want.norm);  // float64 on both sides, added in another order
  EXPECT_NEAR(got.factor, want.factor, 1e-13 * want.factor);
}

// Three steps of either optimiser. Every step starts the oracle from the device's own buffers, so that what is compared
// is the rounding of one step: moments some 3 float32 roundings, the change of a parameter some 8, and p one.
template <class Launch, class Oracle>
void expect_steps(const Problem& problem, double moment_scale, const Launch& launch, const Oracle& oracle) {
  const auto n = static_cast<size_t>(problem.count);
  Buffer p(random_floats(problem.count, 1, 1), problem.offset), m(std::vector<float>(n), problem.offset),
      v(std::vector<float>(n), problem.offset);
  DeviceArray<std::byte> workspace(optim_workspace(problem.count));
  DeviceArray<OptimSegment> segments(problem.segments);
  DeviceArray<double> lr(std::vector<double>{problem.lr});
  OptimState expected{.loss_scale = problem.loss_scale};
  DeviceArray<OptimState> state(std::vector<OptimState>{expected});
  for (uint64_t step = 0; step < 3; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const std::vector<float> gradient = random_floats(problem.count, 10 + step, problem.loss_scale);
    Buffer g(gradient, problem.offset);
    DeviceArray<uint16_t> shadow(n);
    std::vector<double> want_p = wide(p.values()), want_m = wide(m.values()), want_v = wide(v.values());
    const std::vector<double> before = want_p;
    kernels().prepare({}, {.gradient = g.data(),
                           .count = problem.count,
                           .max_norm = problem.max_norm,
                           .scaling = {.interval = 2},
                           .state = state.data(),
                           .workspace = workspace.data()});
    launch(OptimBuffers{.gradient = g.data(),
                        .parameters = p.data(),
                        .shadow = shadow.data(),
                        .shadow_type = problem.shadow,
                        .count = problem.count,
                        .segments = segments.data(),
                        .segment_count = static_cast<int>(problem.segments.size()),
                        .lr = lr.data(),
                        .state = state.data()},
           m.data(), v.data());
    ref::optim_prepare(wide(gradient), problem.max_norm, {.interval = 2}, expected);
    expect_state(state.values()[0], expected);
    oracle(problem, expected, wide(gradient), want_m, want_v, want_p);
    double change = 0;
    for (size_t i = 0; i < n; ++i) change = std::max(change, std::abs(want_p[i] - before[i]));
    EXPECT_GT(change, 0);
    // The decay multiplies p by a rounded 1 - lr * decay, the product is rounded, and so is the difference: 3 of 2^-24.
    expect_close(p.values(), want_p, 8 * 0x1p-24 * change, 3 * 0x1p-24, "parameter");
    expect_close(m.values(), want_m, 4 * 0x1p-24 * moment_scale, 0, "first moment");
    expect_close(v.values(), want_v, 4 * 0x1p-24 * moment_scale, 0, "second moment");
    const std::vector<uint16_t> copies = shadow.values();
    const std::vector<float> now = p.values();
    for (size_t i = 0; i < n; ++i)
      ASSERT_EQ(copies[i], problem.shadow == DType::f16 ? f32_to_f16(now[i]) : f32_to_bf16(now[i])) << i;
  }
}

void expect_adamw(const Problem& problem, const AdamW& options) {
  expect_steps(
      problem, 1,
      [&](const OptimBuffers& b, float* m, float* v) {
        kernels().adamw({}, {options, b, m, v});
      },
      [&](const Problem& q, const OptimState& s, const std::vector<double>& g, auto& m, auto& v, auto& p) {
        ref::adamw(options, q.lr, q.segments, s, g, m, v, p);
      });
}
void expect_sgd(const Problem& problem, const Sgd& options) {  // gradients up to 1 plus momentum: a buffer up to 3
  expect_steps(
      problem, 3,
      [&](const OptimBuffers& b, float* buffer, float*) {
        kernels().sgd({}, {options, b, options.momentum == 0 ? nullptr : buffer});
      },
      [&](const Problem& q, const OptimState& s, const std::vector<double>& g, auto& buffer, auto&, auto& p) {
        ref::sgd(options, q.lr, q.segments, s, g, buffer, p);
      });
}

TEST(CudaOptim, AdamWInEverySchedule) {
  in_every_schedule([] {
    expect_adamw(ragged(2050, 0), {});  // three blocks, a tail of two
    Problem clipped = ragged(1031, 0);
    clipped.max_norm = 1;
    clipped.loss_scale = 1024;
    clipped.shadow = DType::f16;
    expect_adamw(clipped, {.beta1 = 0.8, .beta2 = 0.98, .eps = 1e-3});
  });
}

TEST(CudaOptim, UnalignedBuffersAndAFewParameters) {
  for (const size_t offset : {1u, 2u, 3u}) expect_adamw(ragged(1030, offset), {});
  for (const int64_t count : {140, 141, 143}) expect_adamw(ragged(count, 0), {});
  Problem one{.count = 1, .segments = {{0, 1, 0.5f}}};
  expect_adamw(one, {});
}

TEST(CudaOptim, Sgd) {
  for (const size_t offset : {0u, 1u}) {
    expect_sgd(ragged(1030, offset), {});
    expect_sgd(ragged(1030, offset), {.momentum = 0.9});
    Problem clipped = ragged(1030, offset);
    clipped.max_norm = 0.5;
    expect_sgd(clipped, {.momentum = 0.9, .nesterov = true});
  }
}

TEST(CudaOptim, NormOfSeveralChunksAndOfHugeGradients) {
  in_every_schedule([] {
    const int64_t count = 2 * kNormChunk + 7;
    for (const float size : {1.0f, 1e38f, 1e-30f}) {  // squares that overflow and vanish in float32
      const std::vector<float> gradient = random_floats(count, 3, size);
      Buffer g(gradient, 0);
      DeviceArray<std::byte> workspace(optim_workspace(count));
      OptimState expected{.loss_scale = 0.25f};
      DeviceArray<OptimState> state(std::vector<OptimState>{expected});
      kernels().prepare({}, {.gradient = g.data(),
                             .count = count,
                             .max_norm = 2,
                             .scaling = {},
                             .state = state.data(),
                             .workspace = workspace.data()});
      ref::optim_prepare(wide(gradient), 2, {}, expected);
      expect_state(state.values()[0], expected);
    }
  });
}

TEST(CudaOptim, ANonFiniteGradientChangesNothingButTheState) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const int64_t count = 1500;
    std::vector<float> gradient = random_floats(count, 4, 1);
    gradient[1499] = bad;
    const std::vector<float> before = random_floats(count, 5, 1);
    Buffer g(gradient, 0), p(before, 0), m(before, 0), v(before, 0);
    DeviceArray<std::byte> workspace(optim_workspace(count));
    DeviceArray<OptimSegment> segments(std::vector<OptimSegment>{{0, 1, 0.1f}});
    DeviceArray<double> lr(std::vector<double>{0.1});
    DeviceArray<uint16_t> shadow(std::vector<uint16_t>(1500, 0x1234));
    OptimState expected{.step = 41, .loss_scale = 64, .good_steps = 1};
    DeviceArray<OptimState> state(std::vector<OptimState>{expected});
    kernels().prepare({}, {.gradient = g.data(),
                           .count = count,
                           .max_norm = 1,
                           .scaling = {.interval = 2},
                           .state = state.data(),
                           .workspace = workspace.data()});
    const OptimBuffers buffers{.gradient = g.data(),
                               .parameters = p.data(),
                               .shadow = shadow.data(),
                               .count = count,
                               .segments = segments.data(),
                               .segment_count = 1,
                               .lr = lr.data(),
                               .state = state.data()};
    kernels().adamw({}, {{}, buffers, m.data(), v.data()});
    kernels().sgd({}, {{.momentum = 0.9}, buffers, m.data()});
    ref::optim_prepare(wide(gradient), 1, {.interval = 2}, expected);
    EXPECT_EQ(expected.skip, 1);
    EXPECT_EQ(expected.loss_scale, 32);
    expect_state(state.values()[0], expected);
    EXPECT_EQ(p.values(), before);
    EXPECT_EQ(m.values(), before);
    EXPECT_EQ(v.values(), before);
    EXPECT_EQ(shadow.values(), std::vector<uint16_t>(1500, 0x1234));
  }
}

// 300 doublings leave float32, and so do 300 halvings: the scale stays at the last power of two that is allowed.
TEST(CudaOptim, TheLossScaleStaysFiniteAndPositive) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [value, last] : {std::pair{1.0f, 0x1p127f}, std::pair{infinity, kLeastLossScale}}) {
    Buffer g(std::vector<float>{value}, 0);
    DeviceArray<std::byte> workspace(optim_workspace(1));
    OptimState expected{.loss_scale = 1024};
    DeviceArray<OptimState> state(std::vector<OptimState>{expected});
    for (int step = 0; step < 300; ++step) {
      kernels().prepare({}, {.gradient = g.data(),
                             .count = 1,
                             .max_norm = 1,
                             .scaling = {.interval = 1},
                             .state = state.data(),
                             .workspace = workspace.data()});
      ref::optim_prepare(std::vector<double>{static_cast<double>(value)}, 1, {.interval = 1}, expected);
    }
    EXPECT_EQ(expected.loss_scale, last);
    expect_state(state.values()[0], expected);
  }
}

// The bias corrections of a late step, by squaring.
TEST(CudaOptim, ALateStep) {
  const std::vector<float> gradient = random_floats(8, 6, 1), before = random_floats(8, 7, 1);
  const std::vector<float> moments(8, 0.25f);
  for (const int64_t late : {int64_t{999}, int64_t{1} << 40}) {
    Buffer g(gradient, 0), p(before, 0), m(moments, 0), v(moments, 0);
    DeviceArray<OptimSegment> segments(std::vector<OptimSegment>{{}});
    DeviceArray<double> lr(std::vector<double>{0.1});
    const OptimState at{.step = late, .factor = 1};
    DeviceArray<OptimState> state(std::vector<OptimState>{at});
    kernels().adamw({}, {{},
                         {.gradient = g.data(),
                          .parameters = p.data(),
                          .count = 8,
                          .segments = segments.data(),
                          .segment_count = 1,
                          .lr = lr.data(),
                          .state = state.data()},
                         m.data(),
                         v.data()});
    std::vector<double> want_p = wide(before), want_m = wide(moments), want_v = wide(moments);
    ref::adamw({}, 0.1, std::vector<OptimSegment>{{}}, at, wide(gradient), want_m, want_v, want_p);
    expect_close(p.values(), want_p, 8 * 0x1p-24 * 0.1, 3 * 0x1p-24, "parameter");
  }
}

}  // namespace
}  // namespace furrow::gpu
