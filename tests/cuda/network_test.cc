// Whole networks on the CUDA kernels: plans in every precision, gradients through the tape, and the trace of what ran.
#include <gtest/gtest.h>

#include "kernels/cuda/api.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/half.h"
#include "nn/plan.h"
#include "tests/cuda/device_under_test.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/run_step.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

// The back-end under test: emulated, or a GPU's.
std::unique_ptr<Backend> cuda_kernels(Precision precision) {
  const DeviceKind kind = gpu::testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
  return make_backend({kind, 0}, nullptr, {.precision = precision});
}

struct Bound {
  Precision precision;
  double error;   // of the largest logit
};
// Float32 sums and, but in fp32, operands rounded by half a unit in the last of 11, 11 or 8 bits (tf32, fp16, bf16); 18
// layers add it up to 2.4e-7, 4.4e-4, 4.9e-4 and 3.5e-3 on the emulator (docs/accuracy.md). Up to three times that is
// allowed.
constexpr Bound kBounds[] = {
    {Precision::fp32, 7e-7}, {Precision::tf32, 1.2e-3}, {Precision::fp16, 1.4e-3}, {Precision::bf16, 1e-2}};

// Two plans of one back-end in turn, each run with an input of its own: a replay (on a GPU the third run of a plan on)
// that computed nothing, or with another plan's buffers, would give an earlier answer.
TEST(CudaPlan, OfAUNetIsThePlanOnRef) {
  auto ref = ref_backend();
  const Shape shapes[] = {{1, 32, 48, 3}, {2, 17, 45, 3}};
  const size_t order[] = {0, 0, 1, 0, 1, 1};
  for (const bool bilinear : {false, true}) {
    const auto network = random_network({.base = 8, .classes = bilinear ? 2 : 1, .bilinear = bilinear}, 5, DType::f32);
    std::vector<Tensor> inputs, wanted;
    for (const size_t which : order) {
      inputs.push_back(random_tensor(shapes[which], 6 + inputs.size()).to(DType::f32));
      wanted.push_back(Plan(*network, *ref, shapes[which]).run(inputs.back().to(DType::f64)));
    }
    for (const auto& [precision, bound] : kBounds) {
      auto cuda = cuda_kernels(precision);
      Plan plans[] = {Plan(*network, *cuda, shapes[0]), Plan(*network, *cuda, shapes[1])};
      for (size_t i = 0; i < inputs.size(); ++i)
        EXPECT_LT(relative_error(plans[order[i]].run(inputs[i]), wanted[i]), bound)
            << name(precision) << " " << to_string(shapes[order[i]]) << bilinear << " run " << i;
    }
  }
}

// A first convolution reads more of its input than 16 bits hold (kernels/cuda/image.h): its head, in float32, is much
// nearer to the reference than that of a rounded input could be. Weights are of 16 bits.
TEST(CudaPlan, ReadsTheInputWithTwiceTheDigits) {
  auto ref = ref_backend();
  for (const auto& [precision, type] : {std::pair{Precision::fp16, DType::f16}, {Precision::bf16, DType::bf16}})
    for (const int64_t channels : {1, 3, 4}) {
      ConvStep step = cases::conv({1, 12, 20, channels}, 16);
      step.head = 1, step.act = Activation::none;
      StepWeights weights = cases::random_weights(step, 3);
      weights.w = gpu::rounded_to(type, weights.w);
      const Tensor x = cases::random_values(step.x[0], 4);
      const Tensor want = run_step(*ref, step, {x}, weights).head,
                   coarse = run_step(*ref, step, {gpu::rounded_to(type, x)}, weights).head,
                   got = run_step(*cuda_kernels(precision), step, {x}, weights).head;
      EXPECT_LT(relative_error(got, want), relative_error(coarse, want) / 20) << name(precision) << " " << channels;
    }
}

// Gates, residuals, strides and 3x3 maxima, an odd size and so a cut. 40 to 80 layers of random weights, none of which
// is wide: the bounds of a U-Net hold for them.
TEST(CudaPlan, OfEveryFamilyIsThePlanOnRef) {
  auto ref = ref_backend();
  for (const char* family : {"attention-unet", "resnet50-unet", "resnet50-attention-unet", "bisenet"}) {
    const bool parser = std::string_view(family) == "bisenet";
    const auto network = random_network({family, 4, 3, parser ? 19 : 1, false}, 5, DType::f32);
    const Shape shape{1, 33, 40, 3};
    const Tensor x = random_tensor(shape, 6).to(DType::f32);
    const Tensor want = Plan(*network, *ref, shape).run(x.to(DType::f64));
    for (const auto& [precision, bound] : kBounds) {
      auto cuda = cuda_kernels(precision);
      Plan plan(*network, *cuda, shape);
      for (int run = 0; run < 3; ++run)
        EXPECT_LT(relative_error(plan.run(x), want), bound) << family << " " << name(precision) << " run " << run;
    }
  }
}

TEST(CudaPlan, TraceNamesTheKernelsDeviceAndPrecisionOfEveryStep) {
  const auto network = random_network({.base = 4}, 5, DType::f32);
  for (const auto& [precision, bound] : kBounds) {
    auto cuda = cuda_kernels(precision);
    Plan plan(*network, *cuda, {1, 32, 32, 3});
    Trace trace;
    emu::reset_counters();
    plan.run(random_tensor({1, 32, 32, 3}, 6).to(DType::f32), &trace);
    ASSERT_EQ(trace.records().size(), plan.steps().size());
    const std::string how = (gpu::testing_on_gpu() ? "cuda " : "emulated ") + std::string(name(precision));
    for (size_t i = 1; i < trace.records().size(); ++i)
      EXPECT_EQ(trace.records()[i].algorithm.rfind(how, 0), 0u)
          << trace.records()[i].where << ": " << trace.records()[i].algorithm;
    if (!gpu::testing_on_gpu()) {
      EXPECT_GE(emu::counters().launches, plan.steps().size()) << "a step that launched nothing";
    }
  }
}

TEST(CudaPlan, ManyClassesAndOneChannelToo) {
  auto ref = ref_backend();
  const auto network = random_network({.base = 4, .in_channels = 1, .classes = 40}, 9, DType::f32);
  const Tensor x = random_tensor({1, 32, 32, 1}, 6).to(DType::f32);
  Plan exact(*network, *ref, x.shape());
  const Tensor want = exact.run(x.to(DType::f64));
  for (const auto& [precision, bound] : kBounds) {
    auto cuda = cuda_kernels(precision);
    Plan fast(*network, *cuda, x.shape());
    const Tensor got = fast.run(x);
    EXPECT_LT(relative_error(got, want), bound) << name(precision);
    // A head of its own is summed in fp32: hardly a logit is a number of 11 bits.
    int64_t short_ones = 0;
    for (const float value : got.values<float>()) short_ones += f16_to_f32(f32_to_f16(value)) == value;
    EXPECT_LT(short_ones, got.shape().elements() / 100) << name(precision);
  }
}

// Of every parameter, in float64; empty where a parameter has none.
std::vector<Tensor> training_gradients(Network& network, Backend& on, const Tensor& x, const Tensor& dy) {
  Tape tape(on, Mode::training);
  tape.backward(network.forward(tape, tape.input(x.to(on.dtype()))), dy.to(on.dtype()));
  std::vector<Tensor> gradients;
  for (const Module::Keyed& k : network.parameters()) {
    const Tensor& gradient = tape.grad(*k.parameter);
    gradients.push_back(gradient.empty() ? Tensor() : gradient.to(DType::f64));
  }
  return gradients;
}

// Every value times 1 + 2^-24 or 1 - 2^-24, by chance.
Tensor nudged(const Tensor& t, uint64_t seed) {
  Tensor out = t.to(DType::f64);
  const Philox generator(seed);
  auto values = out.values<double>();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= 1 + (generator.uniform(0, i) < 0.5 ? -0x1p-24 : 0x1p-24);
  return out;
}

// How far the gradients of `ref` move, as parts of their largest, when a rounding of float32 is added to the input and
// to every parameter: the most of three draws.
std::vector<double> response_to_roundings(Network& network, const Tensor& x, const Tensor& dy,
                                          const std::vector<Tensor>& gradients) {
  auto ref = ref_backend();
  const auto parameters = network.parameters();
  std::vector<Tensor> values;
  for (const Module::Keyed& k : parameters) values.push_back(k.parameter->value);
  std::vector<double> response(parameters.size());
  for (uint64_t seed = 100; seed < 400; seed += 100) {
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i].dtype() == DType::f64) parameters[i].parameter->value = nudged(values[i], seed * 100 + i);
    const std::vector<Tensor> moved = training_gradients(network, *ref, nudged(x, seed), dy);
    for (size_t i = 0; i < moved.size(); ++i)
      if (!gradients[i].empty()) response[i] = std::max(response[i], relative_error(moved[i], gradients[i]));
  }
  for (size_t i = 0; i < values.size(); ++i) parameters[i].parameter->value = values[i];
  return response;
}

// Gradients of a training step, 40 reductions deep and more, batch norms included: each layer rounds, and what follows
// multiplies that by its condition. In the encoder of a ResNet50 and before gates, batch norms normalise sums that all
// but cancel, where that is thousands; so the bound is what the network makes of roundings in float64: a float32
// gradient may be as far from ref's as eight times what those move when the input and each parameter are rounded once,
// beside what its own sum over the pixels may err by, and no further than `cap`. Measured: 6.9 times; of the largest
// 8e-6 in the U-Nets, 3.0e-5 with gates, 1.5e-4 with a ResNet50.
TEST(CudaTape, GradientsAreThoseOfRef) {
  const struct {
    Architecture network;
    int64_t side;
    double cap;  // of the largest gradient of a parameter
  } cases[] = {{{.base = 2}, 32, 2e-5},
               {{.base = 2, .bilinear = true}, 32, 2e-5},
               {{"attention-unet", 4}, 32, 8e-5},
               {{"resnet50-attention-unet", 4}, 64, 4e-4}};  // 8 values to a channel at its deep end
  for (const auto& [a, side, cap] : cases) {
    const Tensor x = random_tensor({2, side, side, 3}, 6).to(DType::f32),
                 dy = random_tensor({2, side, side, 1}, 7).to(DType::f32);
    const auto exact = random_network(a, 5), narrow = random_network(a, 5, DType::f32);
    const auto wide_parameters = exact->parameters(), parameters = narrow->parameters();
    ASSERT_EQ(wide_parameters.size(), parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i)  // the same numbers
      if (parameters[i].parameter->value.dtype() == DType::f32)
        wide_parameters[i].parameter->value = parameters[i].parameter->value.to(DType::f64);
    auto ref = ref_backend(), cuda = cuda_kernels(Precision::fp32);
    const std::vector<Tensor> want = training_gradients(*exact, *ref, x, dy),
                              got = training_gradients(*narrow, *cuda, x, dy);
    const std::vector<double> response = response_to_roundings(*exact, x, dy, want);
    const double own = 4e-8 * std::sqrt(static_cast<double>(x.shape().pixels()));
    int compared = 0;
    double largest_error = 0, largest_ratio = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      if (want[i].empty()) continue;
      double size = 0;
      for (const double v : want[i].values<double>()) size = std::max(size, std::abs(v));
      if (size < 1e-9) continue;  // a bias before a batch norm of the batch has no gradient but rounding
      const double error = relative_error(got[i], want[i]);
      EXPECT_LT(error, std::min(cap, 8 * response[i] + own)) << a.text() << " " << parameters[i].key;
      EXPECT_LT(response[i], 1e-2) << "too ill-conditioned to say anything: " << a.text() << " " << parameters[i].key;
      ++compared;
      largest_error = std::max(largest_error, error);
      if (response[i] > 0) largest_ratio = std::max(largest_ratio, (error - own) / response[i]);
    }
    EXPECT_GT(compared, 50);
    RecordProperty("error_" + a.text(), std::to_string(largest_error));
    RecordProperty("of_response_" + a.text(), std::to_string(largest_ratio));
  }
}

TEST(CudaDevice, PrecisionBelongsToTheCudaKernels) {
  EXPECT_EQ(precision_on({DeviceKind::cpu_emulated, 0}, {}), Precision::fp16);
  EXPECT_EQ(precision_on({DeviceKind::cpu, 0}, {}), Precision::fp32);
  EXPECT_EQ(precision_on({DeviceKind::cpu, 0}, Precision::fp32), Precision::fp32);
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::ref}) {
    try {
      precision_on({kind, 0}, Precision::bf16);
      ADD_FAILURE();
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::usage); }
  }
  EXPECT_EQ(make_backend(choose_device("cpu-emulated").device, nullptr)->name(), "cpu-emulated (fp16)");
}

}  // namespace
}  // namespace furrow
