// Training on the vendor back-end: convolutions and both their gradients by the fake cuDNN's arithmetic, held against
// the reference, alone and in a step.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cuda/vendor/vendor_backend.h"
#include "kernels/ref/ref_backend.h"
#include "nn/train_step.h"
#include "tests/cuda/vendor/vendor_test_tools.h"
#include "tests/nn/support.h"

namespace furrow::gpu {
namespace {

using cudnn::kConvBackwardData;
using cudnn::kConvBackwardFilter;
using cudnn::kConvForward;
using fake::cublaslt_state;
using fake::cudnn_state;

class VendorTrainingTest : public fake::VendorTest {
 protected:
  static std::unique_ptr<VendorBackend> make(Precision precision = Precision::fp16) {
    return std::make_unique<VendorBackend>(make_emulated_runtime(), emulated::api, precision);
  }
};

struct Case {
  Shape x;
  int64_t second;  // channels of a second source, or 0
  int64_t oc;
  ConvGeometry geometry;
};
// Channels that fill no pitch, one pitch and more; sources whose border lies anywhere; strides; a 1x1 that is no head.
constexpr Case kCases[] = {{{2, 6, 5, 3}, 0, 9, {3, 3, 1, 1}}, {{1, 7, 6, 16}, 0, 8, {3, 3, 2, 1}},
                           {{1, 6, 6, 9}, 5, 7, {3, 3, 1, 1}}, {{2, 4, 5, 8}, 16, 40, {1, 1, 1, 0}},
                           {{1, 9, 9, 3}, 0, 4, {7, 7, 2, 3}}, {{1, 8, 7, 8}, 8, 8, {3, 3, 1, 1}}};

Shape result(const Case& c) {
  return {c.x.n, c.geometry.out(c.x.h, c.geometry.kernel_h), c.geometry.out(c.x.w, c.geometry.kernel_w), c.oc};
}

// Every tensor of a case in float64; those that are written hold numbers before.
struct Tensors {
  explicit Tensors(const Case& c)
      : x0(random_tensor(c.x, 1)),
        x1(random_tensor({c.x.n, c.x.h, c.x.w, std::max<int64_t>(c.second, 1)}, 2)),
        w(random_tensor({c.oc, c.geometry.kernel_h, c.geometry.kernel_w, c.x.c + c.second}, 3)),
        b(random_tensor({1, 1, 1, c.oc}, 4)),
        dy(random_tensor(result(c), 5)),
        y(random_tensor(result(c), 6)),
        dx0(random_tensor(c.x, 7)),
        dx1(random_tensor(x1.shape(), 8)),
        dw(random_tensor(w.shape(), 9)),
        db(random_tensor(b.shape(), 10)) {}
  void become(DType type) {
    for (Tensor* t : {&x0, &x1, &w, &b, &dy, &y, &dx0, &dx1, &dw, &db}) *t = t->to(type);
  }
  Tensor x0, x1, w, b, dy, y, dx0, dx1, dw, db;
};

void compute(Backend& backend, const Case& c, Grad mode, Tensors& t) {
  const Tensor* x1 = c.second > 0 ? &t.x1 : nullptr;
  const bool relu = c.oc != 9;
  backend.conv2d({.x0 = &t.x0,
                  .x1 = x1,
                  .w = &t.w,
                  .b = relu ? &t.b : nullptr,
                  .geometry = c.geometry,
                  .act = relu ? Activation::relu : Activation::none},
                 t.y);
  backend.conv2d_grad_input({.dy = &t.dy, .w = &t.w, .geometry = c.geometry}, &t.dx0, c.second > 0 ? &t.dx1 : nullptr,
                            mode);
  backend.conv2d_grad_weight({.x0 = &t.x0, .x1 = x1, .dy = &t.dy, .geometry = c.geometry}, t.dw, &t.db, mode);
}

// Operands and results rounded once each to 11 or 8 bits, sums in float32; the fake's tf32 keeps all of float32's.
double bar(Precision precision) {
  return precision == Precision::fp16 ? 2e-3 : precision == Precision::bf16 ? 1.6e-2 : 1e-6;
}

TEST_F(VendorTrainingTest, ConvolutionsAndGradientsAgreeWithTheReference) {
  RefBackend ref(nullptr);
  for (const Precision precision : {Precision::fp16, Precision::bf16, Precision::tf32})
    for (const Case& c : kCases)
      for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
        SCOPED_TRACE(std::string(name(precision)) + " " + std::to_string(c.x.c) + "+" + std::to_string(c.second) +
                     " to " + std::to_string(c.oc) + (mode == Grad::accumulate ? " added" : ""));
        Tensors want(c), got(c);
        compute(ref, c, mode, want);
        got.become(DType::f32);
        cudnn_state().operations.clear();
        compute(*make(precision), c, mode, got);
        const int sources = c.second > 0 ? 2 : 1;
        EXPECT_EQ(cudnn_state().operations[kConvForward], sources);
        EXPECT_EQ(cudnn_state().operations[kConvBackwardData], sources);
        EXPECT_EQ(cudnn_state().operations[kConvBackwardFilter], sources);
        EXPECT_LT(relative_error(got.y, want.y), bar(precision));
        EXPECT_LT(relative_error(got.dx0, want.dx0), bar(precision));
        if (c.second > 0) { EXPECT_LT(relative_error(got.dx1, want.dx1), bar(precision)); }
        EXPECT_LT(relative_error(got.dw, want.dw), bar(precision));
        EXPECT_LT(relative_error(got.db, want.db), 1e-6) << "summed from float32";
      }
}

TEST_F(VendorTrainingTest, OneSourceAloneMayWantItsGradient) {
  const Case& c = kCases[2];
  Tensors want(c), got(c);
  got.become(DType::f32);
  RefBackend(nullptr).conv2d_grad_input({.dy = &want.dy, .w = &want.w, .geometry = c.geometry}, nullptr, &want.dx1,
                                        Grad::overwrite);
  make()->conv2d_grad_input({.dy = &got.dy, .w = &got.w, .geometry = c.geometry}, nullptr, &got.dx1, Grad::overwrite);
  EXPECT_LT(relative_error(got.dx1, want.dx1), bar(Precision::fp16));
  EXPECT_EQ(cudnn_state().operations[kConvBackwardData], 1);
}

// A gradient of weights is written in the operands' type.
TEST_F(VendorTrainingTest, AGradientBeyondFp16IsInfinite) {
  const Case c{{1, 4, 4, 8}, 0, 8, {3, 3, 1, 1}};
  Tensors t(c);
  t.become(DType::f32);
  for (Tensor* tensor : {&t.x0, &t.dy}) std::ranges::fill(tensor->values<float>(), 100.0f);  // 16 products of 10^4
  make()->conv2d_grad_weight({.x0 = &t.x0, .dy = &t.dy, .geometry = c.geometry}, t.dw, &t.db, Grad::overwrite);
  EXPECT_TRUE(std::isinf(t.dw.values<float>()[4 * 8]));
  EXPECT_EQ(t.db.values<float>()[0], 1600);
}

TEST_F(VendorTrainingTest, ChosenStepsLeaveTrainingAlone) {
  const auto backend = make();
  backend->use([](const Step&) { return true; });
  Tensors t(kCases[0]);
  t.become(DType::f32);
  compute(*backend, kCases[0], Grad::overwrite, t);
  EXPECT_EQ(cudnn_state().executions, 0);
}

// A run must not end at its first smaller batch because cuDNN has no algorithm of fixed order for that one.
TEST_F(VendorTrainingTest, WhatCudnnHasNoAlgorithmForFurrowsKernelsCompute) {
  cudnn_state().no_engine = true;
  const auto backend = make();
  CudaBackend own(make_emulated_runtime(), emulated::api, Precision::fp16);
  for (const Case& c : {kCases[0], kCases[2]}) {
    Tensors want(c), got(c);
    want.become(DType::f32);
    got.become(DType::f32);
    compute(own, c, Grad::accumulate, want);
    for (int again = 0; again < 2; ++again) {
      got = Tensors(c);
      got.become(DType::f32);
      compute(*backend, c, Grad::accumulate, got);
    }
    for (const auto& [a, b] : {std::pair{got.y, want.y}, {got.dx0, want.dx0}, {got.dw, want.dw}, {got.db, want.db}})
      EXPECT_EQ(relative_error(a, b), 0);
  }
  EXPECT_EQ(cudnn_state().executions, 0);
}

// Pictures of 32 x 32 with a bright diagonal, and where it is.
MicroBatch lines(DType type) {
  Tensor x = random_tensor({2, 32, 32, 3}, 6), target({2, 32, 32, 1}, DType::f64);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < 32; ++i) {
      const int64_t pixel = (n * 32 + i) * 32 + (i + 9 * n) % 32;
      target.values<double>()[static_cast<size_t>(pixel)] = 1;
      for (int64_t c = 0; c < 3; ++c) x.values<double>()[static_cast<size_t>(3 * pixel + c)] = 2;
    }
  return {x.to(type), target.to(type)};
}

struct Gradient {
  double loss = 0;
  Tensor of;
};
Gradient gradient_of(Backend& backend, float loss_scale) {
  const auto network = random_network({.base = 2}, 5, backend.dtype());
  TrainStep train(*network, backend, {.loss = loss_of(dice_focal_form("L6")), .max_norm = 1, .loss_scale = loss_scale});
  const MicroBatch batch = lines(backend.dtype());
  Gradient out{train.accumulate({&batch, 1}).total,
               train.parameters().on_host(train.parameters().gradients()).to(DType::f64)};
  for (double& value : out.of.values<double>()) value /= static_cast<double>(loss_scale);
  return out;
}

// Of the exact gradient's length.
double distance(const Tensor& got, const Tensor& want) {
  double off = 0;
  for (size_t i = 0; i < want.values<double>().size(); ++i)
    off += std::pow(got.values<double>()[i] - want.values<double>()[i], 2);
  return std::sqrt(off / dot(want, want));
}

// Of 18 convolutions, 4 transposed ones and the head: the 18, four of which read two sources; the first one's input
// gradient is nobody's.
TEST_F(VendorTrainingTest, AStepCallsEveryConvolutionsPlans) {
  const Gradient want = gradient_of(*ref_backend(), 1), got = gradient_of(*make(), 1024);
  EXPECT_EQ(cudnn_state().operations[kConvForward], 18 + 4);
  EXPECT_EQ(cudnn_state().operations[kConvBackwardData], 17 + 4);
  EXPECT_EQ(cudnn_state().operations[kConvBackwardFilter], 18 + 4);
  EXPECT_EQ(cublaslt_state().products.size(), 0u) << "transposed convolutions are Furrow's";
  // As many units as tests/cuda/mixed_training_test.cc allows Furrow's kernels, whose roundings these are. Measured
  // 0.0144 of the gradient's length; Furrow's kernels on the same step 0.0143.
  EXPECT_NEAR(got.loss, want.loss, 5e-5 * want.loss);
  EXPECT_LT(distance(got.of, want.of), 50 * 0x1p-11);
}

}  // namespace
}  // namespace furrow::gpu
