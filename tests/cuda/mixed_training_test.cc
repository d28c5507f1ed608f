// A training step in mixed precision: which kernels it runs, how near it is to fp32, what it learns, and what it says
// of gradients that are not finite.
#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.h"
#include "nn/train_step.h"
#include "tests/cuda/counted_kernels.h"
#include "tests/cuda/device_under_test.h"
#include "tests/nn/support.h"

namespace furrow::gpu {
namespace {

std::unique_ptr<Backend> backend_of(Precision precision) {
  const DeviceKind kind = testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
  return make_backend({kind, 0}, nullptr, {.precision = precision});
}

// Pictures of 32 x 32 with a bright diagonal, and where it is.
MicroBatch lines(int64_t images, uint64_t seed) {
  Tensor x = random_tensor({images, 32, 32, 3}, seed), target({images, 32, 32, 1});
  for (int64_t n = 0; n < images; ++n)
    for (int64_t i = 0; i < 32; ++i) {
      const int64_t pixel = (n * 32 + i) * 32 + (i + 9 * n) % 32;
      target.values<float>()[static_cast<size_t>(pixel)] = 1;
      for (int64_t c = 0; c < 3; ++c) x.values<double>()[static_cast<size_t>(3 * pixel + c)] = 2;
    }
  return {x.to(DType::f32), std::move(target)};
}

const Architecture kNetwork{.base = 4};
TrainOptions options(float loss_scale = 1) {
  return {
      .loss = loss_of(dice_focal_form("L6")), .max_norm = 1, .scaling = {.interval = 2000}, .loss_scale = loss_scale};
}

// Loss and gradient of one step, before anything is updated; the loss scale taken out.
struct Gradient {
  double loss = 0;
  std::vector<std::pair<std::string, Tensor>> of;
};
Gradient gradient_of(Backend& backend, float loss_scale) {
  const auto network = random_network(kNetwork, 5, backend.dtype());
  TrainStep train(*network, backend, options(loss_scale));
  MicroBatch batch = lines(2, 6);
  if (backend.dtype() == DType::f64) batch = {batch.x.to(DType::f64), batch.target.to(DType::f64)};
  Gradient out;
  out.loss = train.accumulate({&batch, 1}).total;
  Tensor all = train.parameters().on_host(train.parameters().gradients()).to(DType::f64);
  for (double& value : all.values<double>()) value /= static_cast<double>(loss_scale);
  for (const FlatParameters::Entry& entry : train.parameters().entries())
    out.of.emplace_back(entry.key, FlatParameters::window(all, entry).to(DType::f64));
  return out;
}

double length(const Tensor& t) { return std::sqrt(dot(t, t)); }
double distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values<double>().size(); ++i)
    sum += std::pow(a.values<double>()[i] - b.values<double>()[i], 2);
  return std::sqrt(sum);
}

// How far a step may be off. Loss: logits are off by up to 2e-3 of the largest (tf32, fp16; bf16 eight times that;
// network_test.cc), at random, which leaves 4.4e-5 of their mean over 2048 pixels, and the loss changes by less than
// they do. Gradient: some 40 results in a row are rounded by half a unit each, and batch norms over as few as 8 values
// and maxima that change places make more of it: 0.013, 0.011 and 0.062 of its length were measured, that is 27, 22 and
// 16 units (2^-11; bf16 2^-8). 50 are allowed of the whole, and of a parameter alone 600, in tf32 and fp16, where the
// worst, behind the smallest batch norms, were 291 and 225; bf16's worst is off by 0.68 of its length, and no bound
// would say much. A layer whose gradient is another's, or not there, is off by its own length and more.
struct Bound {
  Precision precision;
  float loss_scale;
  double unit, loss;
};
constexpr Bound kBounds[] = {
    {Precision::fp16, 65536, 0x1p-11, 5e-5}, {Precision::tf32, 1, 0x1p-11, 5e-5}, {Precision::bf16, 1, 0x1p-8, 4e-4}};

TEST(MixedTraining, AStepIsNearTheExactOne) {
  const Gradient want = gradient_of(*ref_backend(), 1);
  for (const Bound& bound : kBounds) {
    SCOPED_TRACE(name(bound.precision));
    const Gradient got = gradient_of(*backend_of(bound.precision), bound.loss_scale);
    EXPECT_NEAR(got.loss, want.loss, bound.loss * want.loss);
    double off = 0, all = 0;
    int compared = 0;
    ASSERT_EQ(got.of.size(), want.of.size());
    for (size_t i = 0; i < want.of.size(); ++i) {
      const auto& [key, exact] = want.of[i];
      const double by = distance(got.of[i].second, exact), size = length(exact);
      off += by * by, all += size * size;
      if (size < 1e-9) continue;  // a bias before a batch norm has no gradient but rounding
      if (bound.precision != Precision::bf16) { EXPECT_LT(by / size, 600 * bound.unit) << key; }
      ++compared;
    }
    EXPECT_GT(compared, 50);
    EXPECT_LT(std::sqrt(off / all), 50 * bound.unit);
  }
}

// Of 18 convolutions, 4 transposed ones and the head: the 18 and their input gradients, but for the first one's, which
// is nobody's; two for each of the 4 that read two sources, and one for each transposed one.
TEST(MixedTraining, EveryConvolutionButTheHeadRunsOnTensorCores) {
  const MicroBatch batch = lines(1, 6);
  const auto launches = [&](Precision precision) {
    CudaBackend backend(make_emulated_runtime(), counted_kernels(), precision);
    const auto network = random_network({.base = 1}, 5, DType::f32);
    TrainStep train(*network, backend, options());
    counted() = {};
    train.run({&batch, 1}, 1e-3);
    return counted();
  };
  EXPECT_EQ(launches(Precision::fp16), (Launches{.conv = 1,
                                                 .conv_grad_input = 1,
                                                 .conv_grad_weight = 1,
                                                 .mma_conv = 18 + 17 + 4 + 4,
                                                 .mma_upconv = 4,
                                                 .mma_grad_weight = 18 + 4,
                                                 .mma_grad_bias = 4}));
  EXPECT_EQ(launches(Precision::fp32), (Launches{.conv = 19,
                                                 .conv_grad_input = 18,
                                                 .conv_grad_weight = 19,
                                                 .upconv = 4,
                                                 .upconv_grad_input = 4,
                                                 .upconv_grad_weight = 4}));
}

// fp16 learns what fp32 does. A gradient that is off by 0.013 of its length turns a step by as much, and what it gains
// is off by less; allowed are 3 % of what the CPU's float32 kernels have gained, measured were 0.3 %.
TEST(MixedTraining, StepsReduceTheLoss) {
  const auto cpu = make_backend({DeviceKind::cpu, 0}, nullptr), mixed = backend_of(Precision::fp16);
  const MicroBatch batch = lines(2, 6);
  constexpr size_t kSteps = 3;
  const auto losses = [&](Backend& backend, float loss_scale) {
    const auto network = random_network(kNetwork, 5, DType::f32);
    TrainStep train(*network, backend, options(loss_scale));
    std::vector<double> out;
    for (size_t step = 0; step < kSteps; ++step) out.push_back(train.run({&batch, 1}, 3e-3).loss.total);
    EXPECT_EQ(train.state().good_steps, static_cast<int>(kSteps));
    return out;
  };
  const std::vector<double> want = losses(*cpu, 1), got = losses(*mixed, 65536);
  for (size_t step = 1; step < kSteps; ++step) {
    const double gained = want[0] - want[step];
    EXPECT_LT(got[step], got[step - 1]);
    EXPECT_GT(gained, 0.01 * want[0]);
    EXPECT_NEAR(got[0] - got[step], gained, 0.03 * gained) << step;
  }
}

// At a loss scale of 2^26 the gradient of the second convolution's result is the last to leave fp16's range: what comes
// before it in the network is not finite, what comes after is. The step is left out, the scale halved, and the next
// step is a good one.
TEST(MixedTraining, AnOverflowIsNamedLeftOutAndScaledAway) {
  const auto backend = backend_of(Precision::fp16);
  const auto network = random_network(kNetwork, 5, DType::f32);
  TrainStep train(*network, *backend, options(0x1p26f));
  const MicroBatch batch = lines(2, 6);
  const Tensor before = train.parameters().on_host(train.parameters().values()).to(DType::f64);
  StepResult result = train.run({&batch, 1}, 3e-3);
  ASSERT_TRUE(result.skipped);
  EXPECT_TRUE(std::isfinite(result.loss.total)) << "the loss is float32 and is not scaled";
  EXPECT_EQ(result.bad.key, "inc.double_conv.0.weight");
  EXPECT_EQ(result.bad.elements, result.bad.of);
  EXPECT_EQ(result.bad.began, "inc.double_conv.3.weight");
  EXPECT_EQ(train.state().loss_scale, 0x1p25f);
  EXPECT_EQ(distance(train.parameters().on_host(train.parameters().values()).to(DType::f64), before), 0);
  result = train.run({&batch, 1}, 3e-3);
  EXPECT_FALSE(result.skipped);
  EXPECT_EQ(result.bad.key, "");
  EXPECT_EQ(train.state().good_steps, 1);
  EXPECT_EQ(train.state().skipped, 1);
  EXPECT_GT(distance(train.parameters().on_host(train.parameters().values()).to(DType::f64), before), 0);
}

}  // namespace
}  // namespace furrow::gpu
