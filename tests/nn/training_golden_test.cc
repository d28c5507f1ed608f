// Training against PyTorch: steps in float64 on `ref`, gradients in float32 on what computes in float32. The golden
// numbers and how they were made: tests/data/make_training_golden.py.
#include "tests/nn/training_golden.h"

#include <gtest/gtest.h>

#include <ostream>

namespace furrow {
namespace {

struct Case {
  const char* name;
  const char* loss;
  bool bilinear;
  double dropout;
  uint64_t seed;
  double lr, weight_decay, max_norm;
};
void PrintTo(const Case& c, std::ostream* to) { *to << c.name; }
const Case kCases[] = {{"L6_transposed", "L6", false, 0, 11, 1e-3, 1e-2, 0.05},
                       {"L1_bilinear", "L1", true, 0, 21, 3e-3, 5e-2, 0.06},
                       {"L6_dropout", "L6", false, 0.2, 31, 1e-3, 1e-5, 0.1}};

Tensor marks(const Shape& shape, uint64_t seed, double share) {
  Tensor t = drawn(shape, seed, 1);
  for (double& value : t.values<double>()) value = value < share;
  return t;
}

// A case on a back-end: the network, the batch, the step.
struct Training {
  std::unique_ptr<Network> network;
  std::vector<MicroBatch> batch;
  std::unique_ptr<TrainStep> step;
  Training(const Case& c, Backend& backend)
      : network(build({.base = 2, .bilinear = c.bilinear, .dropout = c.dropout})) {
    network->initialise(c.seed, backend.dtype());
    const Tensor x = drawn({2, 37, 45, 3}, c.seed + 1, 0), t = marks({2, 37, 45, 1}, c.seed + 1, 0.1);
    batch.push_back({x.to(backend.dtype()), t.to(backend.dtype())});
    step = std::make_unique<TrainStep>(*network, backend,
                                       TrainOptions{.loss = loss_of(dice_focal_form(c.loss)),
                                                    .weight_decay = c.weight_decay,
                                                    .max_norm = c.max_norm,
                                                    .seed = c.seed + 2});
  }
};

// Arrays in PyTorch's order against their summaries. `digits` is relative to the tensor's largest magnitude, and for
// the sums to its norm; 1e-16 is for tensors that are zero but for rounding.
void expect_arrays(const NamedTensors& arrays, const std::string& prefix, double digits) {
  size_t compared = 0;
  for (const NamedTensor& array : arrays) {
    const Tensor* want = training_golden().find(prefix + array.name);
    if (want == nullptr) continue;
    ++compared;
    const auto summary = want->values<double>();
    const std::vector<double> values = array.to<double>();
    double sum = 0, squares = 0, dot = 0, size = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      sum += values[i];
      squares += values[i] * values[i];
      dot += values[i] * std::cos(static_cast<double>(i + 1));
      size = std::max(size, std::abs(values[i]));
    }
    const double of_sums = digits * std::sqrt(summary[1] * static_cast<double>(values.size())) + 1e-15;
    EXPECT_NEAR(sum, summary[0], of_sums) << prefix << array.name;
    EXPECT_NEAR(squares, summary[1], 2 * digits * summary[1] + 1e-30) << prefix << array.name;
    EXPECT_NEAR(dot, summary[2], of_sums) << prefix << array.name;
    EXPECT_NEAR(size, summary[3], digits * summary[3] + 1e-16) << prefix << array.name;
    const size_t samples = std::min<size_t>(32, values.size());
    ASSERT_EQ(summary.size(), 4 + samples) << prefix << array.name;
    for (size_t i = 0; i < samples; ++i)
      EXPECT_NEAR(values[i * values.size() / samples], summary[4 + i], digits * summary[3] + 1e-16)
          << prefix << array.name << " element " << i * values.size() / samples;
  }
  EXPECT_GT(compared, 50u) << prefix;
}

// The gradients under their keys, in PyTorch's order.
NamedTensors gradients_of(const Training& t) {
  const auto twin = build(t.network->architecture());
  twin->initialise(0, t.network->dtype());
  const auto parameters = twin->parameters();
  for (const FlatParameters::Entry& entry : t.step->parameters().entries())
    std::ranges::find(parameters, entry.key, &Module::Keyed::key)->parameter->value =
        FlatParameters::window(t.step->parameters().gradients(), entry);
  NamedTensors all = twin->state(), out;
  for (const NamedTensor& array : all)
    if (std::ranges::find(t.step->parameters().entries(), array.name, &FlatParameters::Entry::key) !=
        t.step->parameters().entries().end())
      out.push_back(array);
  return out;
}

class TrainingGolden : public testing::TestWithParam<Case> {};

// Sums of thousands of float64 products in another order leave 1e-13; batch norm and 20 steps of AdamW, which divides
// every gradient by its own size, multiply that. 1e-7 is what the project promises; the first step is held to more.
TEST_P(TrainingGolden, StepsAreThoseOfPyTorchInFloat64) {
  const Case& c = GetParam();
  ThreadPool pool(2);
  auto backend = ref_backend(&pool);
  Training t(c, *backend);
  const std::string prefix = std::string(c.name) + "/";
  const auto losses = training_golden().get(prefix + "loss").values<double>(),
             norms = training_golden().get(prefix + "norm").values<double>();
  for (size_t step = 0; step < 20; ++step) {
    const StepResult result = t.step->run(t.batch, c.lr);
    const double digits = step == 0 ? 1e-10 : 1e-7;
    EXPECT_NEAR(result.loss.total, losses[3 * step], digits) << "step " << step;
    EXPECT_NEAR(result.loss.dice, losses[3 * step + 1], digits);
    EXPECT_NEAR(result.loss.focal, losses[3 * step + 2], digits);
    EXPECT_NEAR(result.gradient_norm, norms[step], digits * norms[step]);
    if (step == 0) expect_arrays(gradients_of(t), prefix + "gradient/", 1e-9);
    if (step == 0) expect_arrays(t.network->state(), prefix + "step1/", 1e-8);
    if (step == 19) expect_arrays(t.network->state(), prefix + "step20/", 1e-7);
  }
  EXPECT_EQ(t.step->state().step, 20);
}

// Float32 gradients of one step, as far from float64's as PyTorch's own, twice at most: the largest difference of each
// tensor, and the root of the mean of its square. A result that is stored in float32 is off by half a unit of its last
// place whoever computes it, which a tensor of one element may or may not show: that much is added.
void expect_as_good_as_pytorch(const Case& c, Backend& backend) {
  auto exact_backend = ref_backend();
  Training exact(c, *exact_backend), narrow(c, backend);
  exact.step->accumulate(exact.batch);
  narrow.step->accumulate(narrow.batch);
  const auto peer = training_golden().get(std::string(c.name) + "/float32").values<double>();
  const auto& entries = exact.step->parameters().entries();
  ASSERT_EQ(peer.size(), 2 * entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const Tensor want = FlatParameters::window(exact.step->parameters().gradients(), entries[i]);
    const Tensor got = FlatParameters::window(narrow.step->parameters().gradients(), entries[i]).to(DType::f64);
    double largest = 0, squares = 0, size = 0;
    for (size_t k = 0; k < want.values<double>().size(); ++k) {
      const double distance = std::abs(got.values<double>()[k] - want.values<double>()[k]);
      largest = std::isnan(distance) ? distance : std::max(largest, distance);
      squares += distance * distance;
      size = std::max(size, std::abs(want.values<double>()[k]));
    }
    const double stored = 0x1p-24 * size;
    EXPECT_LE(largest, 2 * peer[2 * i] + stored) << entries[i].key << " of size " << size;
    EXPECT_LE(std::sqrt(squares / static_cast<double>(entries[i].count)), 2 * peer[2 * i + 1] + stored)
        << entries[i].key << " of size " << size;
  }
}

TEST_P(TrainingGolden, TheCudaKernelsGradientsAreAsGoodAsPyTorchs) {
  expect_as_good_as_pytorch(GetParam(), *cuda_kernels());
}

TEST_P(TrainingGolden, DeviceCpusGradientsAreAsGoodAsPyTorchs) {
  ThreadPool pool(2);
  const auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
  expect_as_good_as_pytorch(GetParam(), *backend);
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainingGolden, testing::ValuesIn(kCases),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace furrow
