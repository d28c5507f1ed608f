// Eager convolutions in fp16, bf16 and tf32: held against `ref`, and which kernels they are computed by.
#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/counted_kernels.h"
#include "tests/cuda/device_under_test.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {
namespace {

using namespace cases;

// Of the largest result, operands rounded to 11 (fp16, tf32) or 8 bits and results to 11 or 8 (mma_conv_mainloop.h).
struct Bound {
  Precision precision;
  double error;
};
constexpr Bound kBounds[] = {{Precision::fp16, 2e-3}, {Precision::tf32, 1e-3}, {Precision::bf16, 1e-2}};

std::unique_ptr<Backend> narrow_backend(Precision precision) {
  const DeviceKind kind = testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
  return make_backend({kind, 0}, nullptr, {.precision = precision});
}

Tensor nothing(const Shape& shape, DType type) {
  Tensor t(shape, DType::f64);
  for (double& value : t.values<double>()) value = NAN;
  return t.to(type);
}

// A convolution, with its operands and, in float64, its results and gradients; those that are added to start at `old`.
struct Problem {
  ConvStep step;
  bool two = false;
  Tensor x[2], w, b, dy, old[2], old_w, old_b;

  explicit Problem(const ConvStep& s) : step(s), two(s.x[1].c > 0) {
    const StepWeights weights = random_weights(s, 3);
    w = weights.w, b = weights.b, dy = random_values(s.y(), 5);
    for (size_t i = 0; i < (two ? 2 : 1); ++i) {
      x[i] = random_values(s.x[i], 7 + i);
      old[i] = random_values(s.x[i], 17 + i);
    }
    old_w = random_values(w.shape(), 19), old_b = random_values(b.shape(), 20);
  }

  struct Results {
    Tensor y, dx[2], dw, db;
  };
  // As `backend` computes it.
  Results on(Backend& backend, Grad mode) const {
    const DType type = backend.dtype();
    const auto as = [&](const Tensor& t) { return t.empty() ? Tensor() : t.to(type); };
    const auto start = [&](const Tensor& t) {
      return mode == Grad::accumulate ? t.to(type) : nothing(t.shape(), type);
    };
    const Tensor x0 = as(x[0]), x1 = as(x[1]), weights = as(w), bias = as(b), gradient = as(dy);
    const Tensor* second = two ? &x1 : nullptr;
    Results out;
    out.y = nothing(step.y(), type);
    backend.conv2d({.x0 = &x0, .x1 = second, .w = &weights, .b = &bias, .geometry = step.geometry, .act = step.act},
                   out.y);
    for (int i = 0; i < (two ? 2 : 1); ++i) out.dx[i] = start(old[i]);
    backend.conv2d_grad_input({.dy = &gradient, .w = &weights, .geometry = step.geometry}, &out.dx[0],
                              two ? &out.dx[1] : nullptr, mode);
    out.dw = start(old_w), out.db = start(old_b);
    backend.conv2d_grad_weight({.x0 = &x0, .x1 = second, .dy = &gradient, .geometry = step.geometry}, out.dw, &out.db,
                               mode);
    return out;
  }
};

void expect_close(const Problem::Results& got, const Problem::Results& want, double bound, int64_t pixels) {
  const auto within = [&](const Tensor& t) { return Tolerance{.absolute = bound * largest(t)}; };
  EXPECT_TRUE(close(got.y, want.y, within(want.y))) << "y";
  EXPECT_TRUE(close(got.dx[0], want.dx[0], within(want.dx[0]))) << "dx0";
  if (!want.dx[1].empty()) { EXPECT_TRUE(close(got.dx[1], want.dx[1], within(want.dx[1]))) << "dx1"; }
  EXPECT_TRUE(close(got.dw, want.dw, within(want.dw))) << "dw";
  EXPECT_TRUE(close(got.db, want.db, rounding(want.db, pixels, 1))) << "db: of the float32 dy";
}

ConvStep oblong() {
  ConvStep step = conv({1, 9, 8, 6}, 7);
  step.geometry = {1, 5, 1, 2};
  return step;
}
ConvStep strided(Shape x, int64_t oc, int64_t kernel, int64_t stride, int64_t pad) {
  return with_pad(conv(x, oc, kernel, stride), pad);
}

// Channels beside every vector width, odd sizes, strides whose last row or column no output reads, two sources, borders
// that see nothing but zeros, and 1x1 with more channels than a head has.
std::vector<ConvStep> ragged() {
  return {conv({2, 9, 17, 3}, 65),
          conv({1, 9, 33, 17}, 70, 20, 3, 1),
          conv({2, 7, 9, 8}, 16, 24, 3, 1),
          without_activation(conv({1, 5, 18, 40}, 37, 1)),
          strided({2, 9, 18, 24}, 40, 3, 2, 1),
          strided({1, 11, 14, 5}, 9, 3, 3, 1),
          strided({1, 9, 20, 3}, 16, 7, 2, 3),
          strided({1, 8, 10, 70}, 34, 1, 2, 0),
          with_pad(conv({1, 12, 20, 17}, 9), 0),
          with_pad(conv({2, 5, 6, 3}, 8), 4),
          conv({3, 1, 7, 6}, 4),
          oblong()};
}

TEST(EagerMixed, ConvolutionsAndTheirGradientsAreThoseOfRef) {
  RefBackend ref(nullptr);
  for (const ConvStep& step : ragged()) {
    const Problem p(step);
    for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
      const Problem::Results want = p.on(ref, mode);
      for (const auto& [precision, error] : kBounds) {
        if (mode == Grad::accumulate && precision == Precision::bf16) continue;  // fp16's way
        SCOPED_TRACE(problem(step) + " " + std::string(name(precision)) +
                     (mode == Grad::accumulate ? " accumulate" : ""));
        expect_close(p.on(*narrow_backend(precision), mode), want, error, step.y().pixels());
      }
      if (HasFailure()) return;
    }
  }
}

// Every schedule of threads and of copies gives the same bits: nothing is read before it was written.
TEST(EagerMixed, NoScheduleMatters) {
  for (const Precision precision : {Precision::fp16, Precision::tf32}) {
    const Problem p(conv({1, 5, 9, 6}, 12, 10, 3, 1));
    const auto backend = narrow_backend(precision);
    const Problem::Results want = p.on(*backend, Grad::accumulate);
    in_every_schedule([&] {
      const Problem::Results got = p.on(*backend, Grad::accumulate);
      for (const auto& [a, b] : {std::pair{&got.y, &want.y},
                                 {&got.dx[0], &want.dx[0]},
                                 {&got.dx[1], &want.dx[1]},
                                 {&got.dw, &want.dw},
                                 {&got.db, &want.db}})
        EXPECT_TRUE(same_bits(*a, *b));
    });
  }
}

struct UpResults {
  Tensor y, dx, dw, db;
};
UpResults upconv_on(Backend& backend, const Shape& x_shape, int64_t oc, Grad mode) {
  const DType type = backend.dtype();
  const UpconvStep step = upconv(x_shape, oc);
  const StepWeights weights = random_weights(step, 3);
  const Tensor x = random_values(x_shape, 7).to(type), w = weights.w.to(type), b = weights.b.to(type),
               dy = random_values(step.y, 5).to(type);
  const auto start = [&](const Shape& shape, uint64_t seed) {
    return mode == Grad::accumulate ? random_values(shape, seed).to(type) : nothing(shape, type);
  };
  UpResults out{nothing(step.y, type), start(x_shape, 11), start(w.shape(), 12), start(b.shape(), 13)};
  backend.upconv2x2(x, w, &b, out.y);
  backend.upconv2x2_grad_input(dy, w, out.dx, mode);
  backend.upconv2x2_grad_weight(x, dy, out.dw, &out.db, mode);
  return out;
}

TEST(EagerMixed, TransposedConvolutionsAreThoseOfRef) {
  RefBackend ref(nullptr);
  for (const auto& [shape, oc] :
       {std::pair<Shape, int64_t>{{2, 5, 3, 17}, 9}, {{1, 4, 9, 40}, 70}, {{1, 1, 7, 4}, 8}, {{3, 6, 5, 1}, 1}})
    for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
      const UpResults want = upconv_on(ref, shape, oc, mode);
      for (const auto& [precision, error] : kBounds) {
        SCOPED_TRACE(to_string(shape) + " " + std::to_string(oc) + " " + std::string(name(precision)));
        const UpResults got = upconv_on(*narrow_backend(precision), shape, oc, mode);
        EXPECT_TRUE(close(got.y, want.y, {.absolute = error * largest(want.y)}));
        EXPECT_TRUE(close(got.dx, want.dx, {.absolute = error * largest(want.dx)}));
        EXPECT_TRUE(close(got.dw, want.dw, {.absolute = error * largest(want.dw)}));
        EXPECT_TRUE(close(got.db, want.db, rounding(want.db, 4 * shape.pixels(), 1)));
      }
    }
}

// Small gradients are added to large ones in float32: a sum rounded to the storage type would lose all of them.
TEST(EagerMixed, GradientsAreAddedInFloat32) {
  const ConvStep step = conv({1, 6, 7, 12}, 10);
  Problem p(step);
  for (double& value : p.dy.values<double>()) value *= 0x1p-12;
  for (double& value : p.old[0].values<double>()) value = 1;
  RefBackend ref(nullptr);
  const Tensor want = p.on(ref, Grad::accumulate).dx[0];
  double moved = 0;
  for (const double value : want.values<double>()) moved = std::max(moved, std::abs(value - 1));
  EXPECT_LT(moved, 0x1p-10);
  for (const auto& [precision, error] : kBounds) {
    const Tensor got = p.on(*narrow_backend(precision), Grad::accumulate).dx[0];
    EXPECT_TRUE(close(got, want, {.absolute = error * moved + 0x1p-24})) << name(precision);  // and the sum is rounded
  }
}

class Counted : public ::testing::Test {
 protected:
  static Launches launches(Precision precision, const std::function<void(Backend&)>& body) {
    CudaBackend backend(make_emulated_runtime(), counted_kernels(), precision);
    counted() = {};
    body(backend);
    return counted();
  }
};

TEST_F(Counted, TensorCoresComputeWhatTheyTake) {
  const Problem plain(conv({1, 5, 9, 6}, 12)), two(conv({1, 5, 9, 6}, 12, 10, 3, 1));
  for (const auto& bound : kBounds) {
    SCOPED_TRACE(name(bound.precision));
    EXPECT_EQ(launches(bound.precision, [&](Backend& b) { plain.on(b, Grad::overwrite); }),
              (Launches{.mma_conv = 2, .mma_grad_weight = 1, .mma_grad_bias = 1}));
    EXPECT_EQ(launches(bound.precision, [&](Backend& b) { two.on(b, Grad::accumulate); }),
              (Launches{.mma_conv = 3, .mma_grad_weight = 1, .mma_grad_bias = 1}))
        << "a gradient for each source";
    EXPECT_EQ(launches(bound.precision,
                       [&](Backend& b) {
                         upconv_on(b, {1, 3, 4, 5}, 6, Grad::overwrite);
                       }),
              (Launches{.mma_conv = 1, .mma_upconv = 1, .mma_grad_weight = 1, .mma_grad_bias = 1}));
  }
  EXPECT_EQ(launches(Precision::fp32, [&](Backend& b) { two.on(b, Grad::overwrite); }),
            (Launches{.conv = 1, .conv_grad_input = 1, .conv_grad_weight = 1}));
  EXPECT_EQ(launches(Precision::fp32,
                     [&](Backend& b) {
                       upconv_on(b, {1, 3, 4, 5}, 6, Grad::overwrite);
                     }),
            (Launches{.upconv = 1, .upconv_grad_input = 1, .upconv_grad_weight = 1}));
}

// Heads, in fp32: as exact as there.
TEST_F(Counted, HeadsStayInFloat32) {
  RefBackend ref(nullptr);
  for (const int64_t oc : {1, 32}) {
    const Problem head(without_activation(conv({1, 5, 9, 16}, oc, 1)));
    Problem::Results got;
    EXPECT_EQ(launches(Precision::fp16, [&](Backend& b) { got = head.on(b, Grad::overwrite); }),
              (Launches{.conv = 1, .conv_grad_input = 1, .conv_grad_weight = 1}));
    const Problem::Results want = head.on(ref, Grad::overwrite);
    EXPECT_TRUE(close(got.y, want.y, rounding(want.y, 16)));
    EXPECT_TRUE(close(got.dx[0], want.dx[0], rounding(want.dx[0], oc)));
  }
}

// A device that grants a block little shared memory: shorter rows, then nothing that the kernels could use.
class Granting : public SeparateRuntime {
 public:
  explicit Granting(size_t bytes) : bytes_(bytes) {}
  size_t shared_limit() const override { return bytes_; }

 private:
  size_t bytes_;
};

TEST_F(Counted, WhatDoesNotFitSharedMemoryStaysInFloat32) {
  RefBackend ref(nullptr);
  const Problem p(conv({1, 6, 7, 40}, 72, 3));
  const Problem::Results want = p.on(ref, Grad::overwrite);
  const MmaConvShape shape{.type = DType::f16, .oc = 72, .c = {40, 0}, .pitch = {40, 0}};
  const size_t narrow_rows = mma_conv_shared_bytes(mma_conv_layout(shape, 32), 0);
  ASSERT_LT(narrow_rows, mma_conv_shared_bytes(mma_conv_layout(shape, 64), 0));
  const size_t enough = mma_grad_weight_shared_bytes(DType::f16, 3, 1);
  ASSERT_GE(enough, narrow_rows);
  for (const size_t granted : {enough, narrow_rows - 1}) {
    CudaBackend backend(std::make_unique<Granting>(granted), separate_kernels(), Precision::fp16);
    const Problem::Results got = p.on(backend, Grad::overwrite);
    const bool fits = granted >= narrow_rows;
    EXPECT_TRUE(close(got.y, want.y, {.absolute = (fits ? 2e-3 : float_sum_error(360)) * largest(want.y)}));
    EXPECT_EQ(static_cast<bool>(close(got.y, want.y, rounding(want.y, 360))), !fits)
        << "another precision than expected";
    EXPECT_TRUE(close(got.dx[0], want.dx[0], {.absolute = 2e-3 * largest(want.dx[0])}));
    EXPECT_EQ(static_cast<bool>(close(got.dx[0], want.dx[0], rounding(want.dx[0], 72 * 9))), !fits)
        << "another precision of dx than expected";
    EXPECT_TRUE(close(got.dw, want.dw, {.absolute = 2e-3 * largest(want.dw)}));
    EXPECT_EQ(static_cast<bool>(close(got.dw, want.dw, rounding(want.dw, 42))), granted < enough)
        << "another precision of dw than expected";
  }
}

// Nothing to compute from or to: what fp32 does.
TEST_F(Counted, EmptyImages) {
  const Problem none(conv({0, 5, 9, 6}, 12));
  EXPECT_EQ(launches(Precision::fp16, [&](Backend& b) { none.on(b, Grad::overwrite); }),
            (Launches{.conv = 1, .conv_grad_input = 1, .conv_grad_weight = 1}));
}

}  // namespace
}  // namespace furrow::gpu
