// Nearest pixels, global means and channel attention of the Backend page on the CUDA kernels, eager and planned, held
// against `ref`: on the device under test, and on one whose memory is not the host's.
#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/pitched_image.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/kernels/gradient_problem.h"
#include "tests/kernels/run_step.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

class ChannelBackend : public ::testing::Test {
 protected:
  static std::unique_ptr<Backend> under_test(Precision precision) {
    const DeviceKind kind = testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
    return make_backend({kind, 0}, nullptr, {.precision = precision});
  }
  // The eager operation on both devices, in both modes.
  void check(const furrow::Problem& p) {
    CudaBackend apart(std::make_unique<SeparateRuntime>(), separate_kernels(), Precision::fp32);
    const auto here = under_test(Precision::fp32);
    for (Backend* backend : {static_cast<Backend*>(&apart), here.get()})
      for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
        if (mode == Grad::accumulate && !p.accumulates) continue;
        Tensors want = outputs(p), got = narrowed(outputs(p));
        p.run(ref_, p.in, want, mode);
        p.run(*backend, narrowed(p.in), got, mode);
        for (size_t i = 0; i < got.size(); ++i)
          EXPECT_TRUE(close(got[i], want[i], {.absolute = p.tolerance * std::max(1.0, largest(want[i]))}))
              << p.what << " " << backend->name() << ", output " << i;
      }
  }
  void TearDown() override { EXPECT_EQ(SeparateRuntime::alive(), 0) << "a device leaks"; }
  RefBackend ref_{nullptr};
};

TEST_F(ChannelBackend, EagerOperations) {
  for (const Shape& x : {Shape{1, 1, 1, 1}, {3, 5, 7, 19}, {2, 9, 13, 3}, {1, 6, 5, 24}}) {
    const Shape z{x.n, 1, 1, x.c}, large{x.n, 2 * x.h, 2 * x.w - 1, x.c};
    const std::string what = to_string(x);
    Tensor logits = random_values(z, 2);
    for (double& value : logits.values<double>()) value *= 8;
    const Tensors in{random_values(x, 1), logits, random_values(x, 3)};
    const double sums = float_sum_error(x.h * x.w) + 6 * 0x1p-23;
    check({"channel_gate " + what,
           in,
           {x},
           5 * 0x1p-23,
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.channel_gate(t[0], t[1], out[0]); },
           false});
    check({"channel_gate_grad " + what, in, {x, z}, sums, [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], &out[0], &out[1], mode);
           }});
    check({"channel_gate_grad of x " + what, in, {x}, sums, [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], &out[0], nullptr, mode);
           }});
    check({"channel_gate_grad of z " + what, in, {z}, sums, [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], nullptr, &out[0], mode);
           }});
    check({"global_mean " + what,
           {in[0]},
           {z},
           float_sum_error(x.h * x.w),
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.global_mean(t[0], out[0]); },
           false});
    check({"global_mean_grad " + what,
           {logits},
           {x},
           2 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.global_mean_grad(t[0], out[0], mode); }});
    check({"upsample_nearest " + what,
           {in[0]},
           {large},
           0,
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.upsample_nearest(t[0], out[0]); },
           false});
    check(
        {"upsample_nearest_grad " + what,
         {random_values(large, 4)},
         {x},
         1.0001 * 0x1p-24,
         [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.upsample_nearest_grad(t[0], out[0], mode); }});
  }
}

TEST_F(ChannelBackend, RefusesOtherShapes) {
  const auto backend = under_test(Precision::fp32);
  Tensor x({1, 4, 6, 3}), y({1, 4, 6, 3}), z({1, 1, 1, 3}), pixel({1, 4, 6, 1}), two({2, 8, 12, 3});
  EXPECT_THROW(backend->channel_gate(x, pixel, y), Error);
  EXPECT_THROW(backend->channel_gate_grad(x, z, x, &two, nullptr, Grad::overwrite), Error);
  EXPECT_THROW(backend->global_mean(x, pixel), Error);
  EXPECT_THROW(backend->global_mean_grad(pixel, y, Grad::overwrite), Error);
  EXPECT_THROW(backend->upsample_nearest(x, two), Error);
  EXPECT_THROW(backend->upsample_nearest_grad(two, x, Grad::overwrite), Error);
}

// Values of the storage type go in, so that the arithmetic of float32 and one rounding of the result differ.
TEST_F(ChannelBackend, PlannedStepsInEveryPrecision) {
  for (const auto& [precision, type] : {std::pair{Precision::fp32, DType::f32},
                                        {Precision::tf32, DType::f32},
                                        {Precision::fp16, DType::f16},
                                        {Precision::bf16, DType::bf16}}) {
    const auto backend = under_test(precision);
    uint64_t seed = 1;
    for (const Step& step : cases::ragged_channel_steps()) {
      std::vector<Tensor> x = random_inputs(step, seed++);
      for (Tensor& t : x) t = rounded_to(type, t);
      const Tensor want = run_step(ref_, step, x, {}).y, got = run_step(*backend, step, x, {}).y;
      Tolerance tolerance = of_largest(5.5 * 0x1p-23, want, type);  // as in channel_gate_test.cc
      if (const auto* mean = std::get_if<MeanStep>(&step))
        tolerance = of_largest(float_sum_error(mean->x.h * mean->x.w), want, type);
      if (std::holds_alternative<NearestStep>(step)) tolerance = {};
      EXPECT_TRUE(close(got, want, tolerance)) << op_name(step) << " " << problem(step) << " " << name(precision);
    }
  }
}

}  // namespace
}  // namespace furrow::gpu
