// What a Quantisation makes of a plan: which steps compute from bytes, which values are stored so, and how far the
// logits move.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/cpu/cpu_backend.h"
#include "nn/plan.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

using Values = std::map<std::string, Tensor, std::less<>>;

Values values_of(Plan& plan, const Tensor& x) {
  Values out;
  plan.run_watched(x, [&](size_t, double, const std::vector<Plan::Written>& written) {
    for (const Plan::Written& w : written) out[w.name] = w.value.to(DType::f64);
  });
  return out;
}

// Every value's whole range in 255 steps. The plan says what a Quantisation calls it: here that is the picture alone.
Quantisation quantisation_of(const Values& values) {
  Quantisation out;
  for (const auto& [written, value] : values) {
    const std::string name = written == "input" ? Quantisation::kPixels : written;
    const auto [low, high] = std::ranges::minmax(value.values<double>());
    const double least = std::min(low, 0.0), scale = (std::max(high, 0.0) - least) / 255;
    out.values[name] = {static_cast<float>(scale), static_cast<int32_t>(std::lround(-least / scale))};
  }
  return out;
}

double rms(const Tensor& t, const Tensor* less = nullptr) {
  double sum = 0;
  const auto values = t.values<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    const double d = values[i] - (less == nullptr ? 0 : less->values<double>()[i]);
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(values.size()));
}

size_t steps_in_bytes(const Plan& plan) {
  return static_cast<size_t>(std::ranges::count_if(
      plan.steps(), [](const Plan::StepInfo& s) { return s.algorithm.find(" int8 ") != std::string::npos; }));
}
size_t convolutions(const Plan& plan) {
  return static_cast<size_t>(std::ranges::count_if(
      plan.steps(), [](const Plan::StepInfo& s) { return s.op.starts_with("conv2d") || s.op.starts_with("upconv"); }));
}

const Architecture kArchitectures[] = {
    {.base = 16},
    {.base = 8, .classes = 2, .bilinear = true},
    {.family = "attention-unet", .base = 8},
    {.family = "resnet50-unet", .base = 8},
};

class Quantise : public ::testing::Test {
 protected:
  ThreadPool pool_{2};
  cpu::CpuBackend backend_{&pool_};
};

TEST_F(Quantise, ComputesAllThatItCanFromBytesAndMovesLogitsLittle) {
  for (const Architecture& a : kArchitectures) {
    const auto network = random_network(a, 3, DType::f32);
    const Tensor x = random_tensor({2, 64, 80, 3}, 4).to(DType::f32);
    Plan real(*network, backend_, x.shape());
    const Values values = values_of(real, x);
    const Quantisation quantisation = quantisation_of(values);
    Plan plan(*network, backend_, x.shape(), {.quantisation = quantisation});
    // Gates have too few channels, and a ResNet's first layer is 7x7.
    const size_t all = convolutions(plan), in_bytes = steps_in_bytes(plan);
    if (a.attention()) {
      EXPECT_TRUE(in_bytes >= all / 2 && in_bytes < all) << a.text() << "\n" << plan.describe();
    } else {
      EXPECT_EQ(in_bytes, a.family == "resnet50-unet" ? all - 1 : all) << a.text() << "\n" << plan.describe();
    }
    const Tensor want = real.run(x).to(DType::f64), got = plan.run(x).to(DType::f64);
    EXPECT_LT(rms(got, &want), 0.06 * rms(want)) << a.text();
    EXPECT_GT(rms(got, &want), 0) << a.text();
    // A value stored as bytes holds multiples of its scale; the run that is watched is the one that is not.
    size_t stored = 0;
    for (const auto& [name, value] : values_of(plan, x)) {
      const Quantised& q = quantisation.values.at(name == "input" ? Quantisation::kPixels : name);
      const auto is_multiple = [&](double v) {
        const double steps = v / static_cast<double>(q.scale);
        return std::abs(steps - std::round(steps)) < 1e-4;
      };
      stored += std::ranges::all_of(value.values<double>(), is_multiple) ? 1 : 0;
    }
    EXPECT_GT(stored, plan.steps().size() / 4) << a.text();
    Tensor watched = plan.run_watched(x, [](size_t, double, const std::vector<Plan::Written>&) {}).to(DType::f64);
    EXPECT_TRUE(std::ranges::equal(watched.values<double>(), got.values<double>())) << a.text();
  }
}

TEST_F(Quantise, LeavesWhatIsNamedOrUnknownInFloat) {
  const auto network = random_network({.base = 8}, 5, DType::f32);
  const Tensor x = random_tensor({1, 32, 48, 3}, 6).to(DType::f32);
  Plan real(*network, backend_, x.shape());
  Quantisation quantisation = quantisation_of(values_of(real, x));
  const auto plan_of = [&] { return Plan(*network, backend_, x.shape(), {.quantisation = quantisation}); };
  const size_t all = steps_in_bytes(plan_of());
  quantisation.floats = {"down2.maxpool_conv.1.double_conv.0"};
  Plan mixed = plan_of();
  EXPECT_EQ(steps_in_bytes(mixed), all - 1);
  for (const Plan::StepInfo& step : mixed.steps())
    EXPECT_TRUE(!step.where.starts_with("down2.maxpool_conv.1.double_conv.0") ||
                step.algorithm.find("int8") == std::string::npos);
  // All in float32: nothing has changed.
  for (const Plan::StepInfo& step : real.steps())
    quantisation.floats.insert(step.where.substr(0, step.where.find_first_of("+ ")));
  Plan none = plan_of();
  EXPECT_EQ(steps_in_bytes(none), 0u);
  EXPECT_LT(relative_error(none.run(x), real.run(x)), 1e-2);  // the first layer's result is not stored as bytes either
  quantisation.values.clear();
  quantisation.floats.clear();
  quantisation.values[real.steps()[1].writes.front()] = {0.01f, 0};
  EXPECT_EQ(steps_in_bytes(plan_of()), 1u) << "the picture has no bytes, the first layer's result has";
}

// Files from before a first layer was computed from bytes have a scale of `input`, and nobody held masks against it.
TEST_F(Quantise, LeavesThePictureOfEarlierFilesInFloat) {
  const auto network = random_network({.base = 8}, 5, DType::f32);
  const Tensor x = random_tensor({1, 32, 48, 3}, 6).to(DType::f32);
  Plan real(*network, backend_, x.shape());
  EXPECT_EQ(real.steps()[0].quantised_as(0), Quantisation::kPixels);
  Quantisation quantisation = quantisation_of(values_of(real, x));
  const auto in_bytes = [&] {
    return steps_in_bytes(Plan(*network, backend_, x.shape(), {.quantisation = quantisation}));
  };
  const size_t all = in_bytes();
  auto picture = quantisation.values.extract(Quantisation::kPixels);
  picture.key() = "input";
  quantisation.values.insert(std::move(picture));
  EXPECT_EQ(in_bytes(), all - 1);
}

TEST_F(Quantise, TakesAQuarterOfTheMemory) {
  const auto network = random_network({.base = 16}, 7, DType::f32);
  const Tensor x = random_tensor({1, 128, 128, 3}, 8).to(DType::f32);
  Plan real(*network, backend_, x.shape());
  Plan plan(*network, backend_, x.shape(), {.quantisation = quantisation_of(values_of(real, x))});
  EXPECT_LT(plan.weights().bytes() * 3, real.weights().bytes());
  EXPECT_LT(plan.activation_bytes() * 2, real.activation_bytes());
  const PlanSize size = plan_size(*network, backend_, x.shape(), {.quantisation = quantisation_of(values_of(real, x))});
  EXPECT_LE(size.arena, plan.peak_bytes() + Arena::kAlignment);
  EXPECT_GE(size.arena + Arena::kAlignment, plan.activation_bytes());
}

TEST_F(Quantise, IsNotForBackendsWithoutBytes) {
  const auto network = random_network({.base = 4}, 9);
  const auto ref = ref_backend();
  const Tensor x = random_tensor({1, 32, 32, 3}, 10);
  Plan real(*network, *ref, x.shape());
  Plan plan(*network, *ref, x.shape(), {.quantisation = quantisation_of(values_of(real, x))});
  EXPECT_EQ(steps_in_bytes(plan), 0u);
  EXPECT_TRUE(std::ranges::equal(plan.run(x).values<double>(), real.run(x).values<double>()));
}

TEST_F(Quantise, HasTheSameBitsForAnyNumberOfThreadsAndAnyPlaceInABatch) {
  const auto network = random_network({.base = 8}, 11, DType::f32);
  const Tensor one = random_tensor({1, 48, 33, 3}, 12).to(DType::f32);
  Plan real(*network, backend_, one.shape());
  const Quantisation quantisation = quantisation_of(values_of(real, one));
  Plan plan(*network, backend_, one.shape(), {.quantisation = quantisation});
  const Tensor want = plan.run(one);
  Tensor three({3, 48, 33, 3});
  for (size_t i = 0; i < 3; ++i)
    std::ranges::copy(one.values<float>(),
                      three.values<float>().begin() + static_cast<std::ptrdiff_t>(i * one.values<float>().size()));
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    cpu::CpuBackend backend(&pool);
    Plan batch(*network, backend, three.shape(), {.quantisation = quantisation});
    const Tensor got = batch.run(three);
    const size_t each = want.values<float>().size();
    for (size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(std::ranges::equal(want.values<float>(), got.values<float>().subspan(i * each, each))) << threads;
  }
}

}  // namespace
}  // namespace furrow
