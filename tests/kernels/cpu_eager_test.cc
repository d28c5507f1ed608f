// The eager operations of device `cpu` against `ref`; its gradients are in cpu_gradient_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda/runtime.h"
#include "kernels/device.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {
namespace {

const Shape kShapes[] = {{1, 1, 1, 1}, {1, 1, 7, 3}, {2, 5, 3, 17}, {3, 4, 6, 16}, {1, 31, 45, 24}};

struct Backends {
  ThreadPool pool{3};
  RefBackend ref{&pool};
  cpu::CpuBackend cpu{&pool};
};

// Runs `op(backend, inputs, y)` on both and compares; inputs are float64 values that float32 holds exactly.
template <class Op>
void compare(Backends& b, const std::vector<Tensor>& inputs, Shape y, double tolerance, const Op& op) {
  std::vector<Tensor> narrow;
  for (const Tensor& t : inputs) narrow.push_back(t.to(DType::f32));
  Tensor want = cases::random_values(y, 99), got = want.to(DType::f32);  // an operation must overwrite all of it
  op(b.ref, inputs, want);
  op(b.cpu, narrow, got);
  EXPECT_TRUE(close(got, want, {.absolute = tolerance * std::max(1.0, largest(want))})) << to_string(inputs[0].shape());
}

TEST(CpuEager, ConvolutionsAreCloseToRef) {
  Backends b;
  for (const Shape& x : kShapes)
    for (const int64_t kernel : {1, 3, 7})
      for (const int64_t stride : {1, 2, 3}) {
        const ConvGeometry g{kernel, kernel, stride, kernel / 2};
        const Shape second{x.n, x.h, x.w, 5}, y{x.n, g.out(x.h, kernel), g.out(x.w, kernel), 9};
        const double tolerance = float_sum_error(kernel * kernel * (x.c + 5));
        const std::vector<Tensor> inputs{cases::random_values(x, 1), cases::random_values(second, 2),
                                         cases::random_values({9, kernel, kernel, x.c + 5}, 3),
                                         cases::random_values({1, 1, 1, 9}, 4)};
        compare(b, inputs, y, tolerance, [&](Backend& on, const std::vector<Tensor>& in, Tensor& out) {
          on.conv2d({.x0 = &in[0], .x1 = &in[1], .w = &in[2], .b = &in[3], .geometry = g, .act = Activation::relu},
                    out);
        });
        const std::vector<Tensor> one{inputs[0], cases::random_values({9, kernel, kernel, x.c}, 5)};
        compare(b, one, y, tolerance, [&](Backend& on, const std::vector<Tensor>& in, Tensor& out) {
          on.conv2d({.x0 = &in[0], .w = &in[1], .geometry = g}, out);
        });
      }
}

TEST(CpuEager, ResamplingIsCloseToRef) {
  Backends b;
  for (const Shape& x : kShapes) {
    const Shape twice{x.n, 2 * x.h, 2 * x.w, x.c};
    compare(
        b, {cases::random_values(x, 1), cases::random_values({7, 2, 2, x.c}, 2), cases::random_values({1, 1, 1, 7}, 3)},
        {x.n, 2 * x.h, 2 * x.w, 7}, float_sum_error(x.c + 1),
        [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.upconv2x2(in[0], in[1], &in[2], out); });
    for (const Shape& y : {twice, Shape{x.n, 1, 1, x.c}, {x.n, x.h + 5, 2, x.c}})
      compare(b, {cases::random_values(x, 4)}, y, 2e-7,  // three roundings of values below 1, and of the weights
              [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.upsample_bilinear(in[0], out); });
    compare(b, {cases::random_values(twice, 5)}, x, 0,
            [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.max_pool2x2(in[0], out); });
    for (const int64_t top : {-1, 0, 2})
      for (const int64_t left : {-2, 0, 1})
        for (const Grad mode : {Grad::overwrite, Grad::accumulate})
          compare(
              b, {cases::random_values(x, 6)}, {x.n, x.h + 1, x.w + 2, x.c}, 1.2e-7,  // one addition
              [&](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.pad(in[0], top, left, out, mode); });
  }
}

TEST(CpuEager, ElementwiseIsCloseToRef) {
  Backends b;
  for (const Shape& x : kShapes) {
    const Shape c{1, 1, 1, x.c};
    Tensor var = cases::random_values(c, 4);
    for (double& v : var.values<double>()) v = static_cast<float>(std::abs(v) + 0.1);
    compare(b,
            {cases::random_values(x, 1), cases::random_values(c, 2), cases::random_values(c, 3),
             cases::random_values(c, 5), var},
            x, 3e-7,  // a subtraction, a product with a rounded factor, an addition; factors up to 3
            [](Backend& on, const std::vector<Tensor>& in, Tensor& out) {
              on.batch_norm(in[0], in[1], in[2], {.mean = &in[3], .var = &in[4], .eps = 1e-5}, out);
            });
    compare(b, {cases::random_values(x, 1), cases::random_values(x, 2)}, x, 6e-8,
            [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.add(in[0], in[1], out); });
    compare(b, {cases::random_values(x, 1)}, x, 0,
            [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.relu(in[0], out); });
    Tensor wide = cases::random_values(x, 6);
    for (double& v : wide.values<double>()) v *= 32;
    compare(b, {wide}, x, 2e-7,  // exp to an ulp or two, a sum, a quotient
            [](Backend& on, const std::vector<Tensor>& in, Tensor& out) { on.sigmoid(in[0], out); });
  }
}

TEST(CpuEager, SpecialValuesAreThoseOfRef) {
  Backends b;
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const float values[] = {nan, inf, -inf, 1000, -1000, 0, -0.0f, 88.8f, -88.8f, -104, 1e-30f, nan};
  Tensor x({1, 2, 6, 1}, DType::f64);
  for (size_t i = 0; i < 12; ++i) x.values<double>()[i] = values[i];
  using Inputs = std::vector<Tensor>;
  compare(b, {x}, x.shape(), 0, [](Backend& on, const Inputs& in, Tensor& out) { on.relu(in[0], out); });
  compare(b, {x}, x.shape(), 2e-7, [](Backend& on, const Inputs& in, Tensor& out) { on.sigmoid(in[0], out); });
  compare(b, {x}, {1, 1, 3, 1}, 0, [](Backend& on, const Inputs& in, Tensor& out) { on.max_pool2x2(in[0], out); });
}

TEST(CpuEager, DropoutDrawsTheNumbersOfRef) {
  Backends b;
  for (const Shape& shape : {kShapes[0], kShapes[1], kShapes[2], kShapes[4]})
    for (const uint64_t first : {0u, 3u}) {
      const Dropout draw{.p = 0.2, .seed = 5, .stream = 6, .first = first};
      const Tensor x = cases::random_values(shape, 31), before = cases::random_values(shape, 32);
      for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
        Tensor want = before.to(DType::f64), got = before.to(DType::f32);
        b.ref.dropout(x, draw, want, mode);
        b.cpu.dropout(x.to(DType::f32), draw, got, mode);
        EXPECT_TRUE(close(got, want, {.absolute = 3 * 0x1p-24}));  // 1/(1-p) rounded, a product, a sum below 2.5
      }
    }
}

TEST(CpuDevice, IsChosenByNameAndByAuto) {
  EXPECT_EQ(choose_device("cpu").device.kind, DeviceKind::cpu);
  const std::string no_cuda = gpu::why_no_cuda(0);
  const ChosenDevice chosen = choose_device("auto");
  EXPECT_EQ(chosen.device.kind, no_cuda.empty() ? DeviceKind::cuda : DeviceKind::cpu);
  if (!no_cuda.empty()) {
    EXPECT_EQ(chosen.reason, "cpu: " + no_cuda);
  }
  ThreadPool pool(2);
  const std::unique_ptr<Backend> backend = make_backend(choose_device("cpu").device, &pool);
  EXPECT_EQ(backend->name(), "cpu (" + std::string(cpu::name(cpu::choose_isa())) + ")");
  EXPECT_EQ(backend->dtype(), DType::f32);
}

ErrorCode refusal(const char* device) {
  try {
    choose_device(device);
  } catch (const Error& error) { return error.code(); }
  return ErrorCode::internal;
}

TEST(CpuDevice, OthersAreRefusedInWords) {
  EXPECT_EQ(refusal("cuda:999"), ErrorCode::device);
  EXPECT_EQ(refusal("gpu"), ErrorCode::usage);
  EXPECT_EQ(refusal("cpu:1"), ErrorCode::usage);
}

TEST(CpuDevice, AnInstructionSetCanBeForced) {
  for (const cpu::Isa isa : cpu::supported_isas()) EXPECT_EQ(cpu::choose_isa(cpu::name(isa)), isa);
  EXPECT_EQ(cpu::choose_isa(""), cpu::supported_isas().back());
  EXPECT_EQ(cpu::supported_isas().front(), cpu::Isa::portable);
  try {
    cpu::choose_isa("sse9");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::usage); }
  ASSERT_EQ(setenv("FURROW_ISA", "portable", 1), 0);
  EXPECT_EQ(cpu::CpuBackend(nullptr).name(), "cpu (portable)");
  unsetenv("FURROW_ISA");
}

}  // namespace
}  // namespace furrow
