// The five steps of the ladder against float64, and the counters that docs/ladder.md quotes.
#include "kernels/cuda/ladder.h"

#include <cmath>
#include <fstream>
#include <iostream>
#include <sstream>

#include "kernels/half.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {
namespace {

const LadderKernels& kernels() { return KERNELS_UNDER_TEST(ladder_kernels); }

using Step = void (*)(Stream, const LadderArgs&);

double rounded(double v, bool half) { return half ? f16_to_f32(f32_to_f16(static_cast<float>(v))) : v; }

// `t` with `pitch` elements per pixel, the pads zero, as float or float16 bits.
template <class T> std::vector<T> pitched(const Tensor& t, int pitch) {
  const Shape& s = t.shape();
  std::vector<T> out(static_cast<size_t>(s.pixels() * pitch));
  for (int64_t i = 0; i < s.elements(); ++i) {
    const auto v = static_cast<float>(t.values<double>()[static_cast<size_t>(i)]);
    T& to = out[static_cast<size_t>(i / s.c * pitch + i % s.c)];
    if constexpr (sizeof(T) == 4) to = v;
    else to = f32_to_f16(v);
  }
  return out;
}

struct Problem {
  Shape x;
  int x_pitch;
  int64_t oc;
  int y_pitch;
};

// One problem and its result in float64, made once for all schedules.
template <class T> class Case {
 public:
  explicit Case(const Problem& p, bool with_nan = false) : p_(p) {
    const bool half = sizeof(T) == 2;
    x_ = cases::random_values(p.x, 1);
    for (double& v : x_.values<double>()) v = rounded(v, half);
    if (with_nan) x_.values<double>()[static_cast<size_t>(p.x.elements() / 2)] = NAN;
    const ConvStep step = cases::conv(p.x, p.oc);
    StepWeights weights = cases::random_weights(step, 2);
    for (double& v : weights.w.values<double>()) v = rounded(v, half);
    w_ = weights.w;
    b_ = weights.b;
    want_ = Tensor(step.y(), DType::f64);
    RefBackend(nullptr).conv2d({.x0 = &x_, .w = &w_, .b = &b_, .geometry = step.geometry, .act = Activation::relu},
                               want_);
  }

  void check(Step step) const {
    const DType type = sizeof(T) == 4 ? DType::f32 : DType::f16;
    DeviceArray<T> x(pitched<T>(x_, p_.x_pitch)), w(pitched<T>(w_, p_.x_pitch)),
        y(static_cast<size_t>(p_.x.pixels() * p_.y_pitch));
    const auto bias = b_.values<double>();
    DeviceArray<float> b(std::vector<float>(bias.begin(), bias.end()));
    const auto n = static_cast<int>(p_.x.n), height = static_cast<int>(p_.x.h), width = static_cast<int>(p_.x.w);
    step({}, {.x = {x.data(), type, n, height, width, static_cast<int>(p_.x.c), p_.x_pitch},
              .w = w.data(),
              .b = b.data(),
              .y = {y.data(), type, n, height, width, static_cast<int>(p_.oc), p_.y_pitch}});
    Tensor got(want_.shape(), DType::f64);
    const std::vector<T> values = y.values();
    for (size_t i = 0; i < values.size(); ++i) {
      double v = 0;
      if constexpr (sizeof(T) == 4) v = values[i];
      else v = f16_to_f32(values[i]);
      const auto pixel = static_cast<int64_t>(i) / p_.y_pitch, c = static_cast<int64_t>(i) % p_.y_pitch;
      if (c < p_.oc) got.values<double>()[static_cast<size_t>(pixel * p_.oc + c)] = v;
      else ASSERT_EQ(v, 0) << "pad channel " << c << " of pixel " << pixel;
    }
    EXPECT_TRUE(close(got, want_, tolerance()));
  }

 private:
  // float32: sums of K terms in float32 round like a random walk, 4e-8 * sqrt(K) of the largest result. float16:
  // besides, one rounding of the result, and tensor cores, which cut instead of rounding: up to 2 units for each 16
  // terms.
  Tolerance tolerance() const {
    const auto k = static_cast<double>(9 * p_.x.c);
    double largest_number = 1e-3;
    for (const double v : want_.values<double>()) if (v > largest_number) largest_number = v;
    if (sizeof(T) == 4) return {.absolute = 4e-8 * std::sqrt(k) * largest_number};
    return {.absolute = (4e-8 * std::sqrt(k) + 2 * 0x1p-23 * (k / 16 + 9)) * largest_number + 0x1p-25,
            .relative = 0x1p-11};
  }

  Problem p_;
  Tensor x_, w_, b_, want_;
};

// Two and more blocks along every axis, pads, batches, channel counts beside every vector, one pixel, one column.
const Problem kFloatProblems[] = {
    {{1, 9, 17, 19}, 20, 37, 40}, {{2, 9, 11, 3}, 4, 5, 6}, {{3, 2, 1, 9}, 9, 4, 4}, {{1, 1, 1, 1}, 1, 1, 3}};
const Problem kHalfProblems[] = {
    {{1, 9, 17, 33}, 48, 70, 72}, {{2, 9, 11, 3}, 16, 5, 8}, {{3, 2, 1, 16}, 16, 32, 32}, {{1, 1, 1, 1}, 32, 1, 3}};

template <class T> void check_everywhere(std::span<const Problem> problems, Step step) {
  for (const Problem& p : problems) {
    SCOPED_TRACE(to_string(p.x) + " -> " + std::to_string(p.oc));
    const Case<T> plain(p), with_nan(p, true);
    if (&p == problems.data())
      in_every_schedule([&] { plain.check(step); });  // the rest in one: they differ in shape only
    else plain.check(step);
    with_nan.check(step);
  }
}

TEST(Ladder, Step1Naive) { check_everywhere<float>(kFloatProblems, kernels().naive); }
TEST(Ladder, Step2SharedTile) { check_everywhere<float>(kFloatProblems, kernels().shared_tile); }
TEST(Ladder, Step3RegisterTile) { check_everywhere<float>(kFloatProblems, kernels().register_tile); }
TEST(Ladder, Step4Mma) { check_everywhere<uint16_t>(kHalfProblems, kernels().mma); }
TEST(Ladder, Step5PipelinedHalo) { check_everywhere<uint16_t>(kHalfProblems, kernels().pipelined_halo); }
TEST(Ladder, Step5PipelinedHaloUnswizzled) {
  const Case<uint16_t> plain(kHalfProblems[0]);
  in_every_schedule([&] { plain.check(kernels().pipelined_halo_unswizzled); });
}

TEST(Ladder, RefusesPitchesThatTensorCoresCannotRead) {
  uint16_t element = 0;
  const float bias = 0;
  LadderArgs args{.x = {&element, DType::f16, 1, 1, 1, 8, 8},
                  .w = &element,
                  .b = &bias,
                  .y = {&element, DType::f16, 1, 1, 1, 1, 1}};
  EXPECT_THROW(kernels().mma({}, args), Error);
  EXPECT_THROW(kernels().naive({}, args), Error);   // another element type
}

// The problem of docs/ladder.md: 1x16x32x32 -> 64 channels. Every row that this prints stands in the page.
TEST(Ladder, CountersAreThoseOfThePage) {
  if (testing_on_gpu()) GTEST_SKIP() << "the emulator counts, a GPU does not";
  std::ifstream file(FURROW_SOURCE_DIR "/docs/ladder.md");
  std::stringstream page;
  page << file.rdbuf();
  const Problem problem{{1, 16, 32, 32}, 32, 64, 64};
  const Case<float> wide(problem);
  const Case<uint16_t> half(problem);
  const auto count = [&](const char* step, const auto& with, Step kernel) {
    emu::reset_counters();
    with.check(kernel);
    const emu::Counters c = emu::counters();
    std::ostringstream row;
    row << "| " << step << " | " << c.blocks << " | " << c.threads << " | " << c.shared_peak << " | " << c.barriers
        << " | " << c.async_copies << " | " << c.ldmatrix << " | " << c.ldmatrix_conflicts << " | " << c.mma << " |";
    std::cout << row.str() << "\n";
    EXPECT_NE(page.str().find(row.str()), std::string::npos) << "docs/ladder.md does not say: " << row.str();
  };
  count("1 naive", wide, kernels().naive);
  count("2 shared tile", wide, kernels().shared_tile);
  count("3 register tile", wide, kernels().register_tile);
  count("4 mma", half, kernels().mma);
  count("5 pipelined halo", half, kernels().pipelined_halo);
  count("5 without swizzle", half, kernels().pipelined_halo_unswizzled);
}

}  // namespace
}  // namespace furrow::gpu
