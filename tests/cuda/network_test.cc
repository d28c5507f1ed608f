// Whole networks on the CUDA kernels: plans in every precision, gradients through the tape, and the trace of what ran.
#include <gtest/gtest.h>

#include "kernels/cuda/api.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/half.h"
#include "nn/plan.h"
#include "tests/cuda/device_under_test.h"
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
// layers add it up to 4.0e-7, 4.0e-4, 4.0e-4 and 3.6e-3 (docs/accuracy.md). Two to five times that is allowed.
constexpr Bound kBounds[] = {
    {Precision::fp32, 2e-6}, {Precision::tf32, 2e-3}, {Precision::fp16, 2e-3}, {Precision::bf16, 1e-2}};

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

// Gates, residuals, strides and 3x3 maxima, an odd size and so a cut. 40 to 80 layers of random weights, none of which
// is wide: the bounds of a U-Net hold for them.
TEST(CudaPlan, OfEveryFamilyIsThePlanOnRef) {
  auto ref = ref_backend();
  for (const char* family : {"attention-unet", "resnet50-unet", "resnet50-attention-unet"}) {
    const auto network = random_network({family, 4, 3, 1, false}, 5, DType::f32);
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

// Gradients of a training step: 40 reductions deep, batch norm included. Each rounds by 4e-8 * sqrt(K) of its largest
// value and the next multiplies that by its condition; 2e-4 of the largest gradient of each parameter is what float32
// leaves.
TEST(CudaTape, GradientsAreThoseOfRef) {
  for (const Architecture& a : {Architecture{.base = 2}, {.base = 2, .bilinear = true}, {"attention-unet", 4},
                                {"resnet50-attention-unet", 4}}) {
    // In training the batch norms of gates and of the deep end of a ResNet normalise sums that all but cancel: there a
    // float32 gradient says little, on any device.
    const Mode mode = a.attention() || a.resnet() ? Mode::inference : Mode::training;
    const Tensor x = random_tensor({2, 32, 32, 3}, 6), dy = random_tensor({2, 32, 32, 1}, 7);
    const auto exact = random_network(a, 5), narrow = random_network(a, 5, DType::f32);
    auto ref = ref_backend(), cuda = cuda_kernels(Precision::fp32);
    Tape want(*ref, mode), got(*cuda, mode);
    want.backward(exact->forward(want, want.input(x)), dy);
    got.backward(narrow->forward(got, got.input(x.to(DType::f32))), dy.to(DType::f32));
    const auto wanted = exact->parameters(), found = narrow->parameters();
    ASSERT_EQ(wanted.size(), found.size());
    int compared = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const Tensor& gradient = want.grad(*wanted[i].parameter);
      if (gradient.empty()) continue;
      // A bias before a batch norm of the batch has no gradient but rounding.
      if (double size = 0; [&] {
            for (double v : gradient.values<double>()) size = std::max(size, std::abs(v));
            return size;
          }() < (mode == Mode::training ? 1e-9 : 1e-30))
        continue;
      EXPECT_LT(relative_error(got.grad(*found[i].parameter), gradient), 2e-4) << a.text() << " " << wanted[i].key;
      ++compared;
    }
    EXPECT_GT(compared, 50);
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
