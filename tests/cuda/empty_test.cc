// Images without a value: a launch function whose result has none does nothing, whatever its pointers; a sum over no
// pixels is zero; a loss or a statistic of no values is an error that says so.
#include <gtest/gtest.h>

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/conv.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/loss.h"
#include "kernels/cuda/metrics.h"
#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_conv_grad.h"
#include "kernels/cuda/picture.h"
#include "kernels/cuda/resample.h"
#include "tests/cuda/device_under_test.h"

namespace furrow::gpu {
namespace {

constexpr ConstImage kNone{.data = nullptr, .type = DType::f32, .n = 0, .h = 4, .w = 6, .c = 8, .pitch = 8};
Image none(int n, int h, int w, int c = 8) { return {nullptr, DType::f32, n, h, w, c, c}; }

class Empty : public ::testing::Test {
 protected:
  void SetUp() override { emu::reset_counters(); }
  void TearDown() override {
    if (!testing_on_gpu()) { EXPECT_EQ(emu::counters().launches, launches_); }
  }
  uint64_t launches_ = 0;   // expected
  DeviceArray<float> some_{64};
};

// The launch is refused for a reason that contains `part`.
template <class Body> ::testing::AssertionResult refused(const char* part, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.reason().find(part) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "refused for another reason: " << error.reason();
  }
  return ::testing::AssertionFailure() << "not refused";
}

TEST_F(Empty, Elementwise) {
  const ElementwiseKernels& k = KERNELS_UNDER_TEST(elementwise_kernels);
  const Image y = none(0, 4, 6);
  k.relu({}, {kNone, y});
  k.add({}, {kNone, kNone, y});
  k.fill({}, {none(2, 0, 3), 1});
  k.convert({}, {kNone, y});
  k.relu_grad({}, {.y = kNone, .dy = kNone, .da = y});
  k.gate({}, {kNone, none(0, 4, 6, 1), y});
  k.gate_grad({}, {.x = kNone, .logits = none(0, 4, 6, 1), .dy = kNone, .dx = y});
  k.dropout({}, {.x = kNone, .y = y});
  k.channel_gate({}, {.x = kNone, .logits = none(0, 1, 1), .residual = {}, .y = y});
  k.channel_gate_grad({}, {.x = kNone, .logits = none(0, 1, 1), .dy = kNone, .dx = y});
  EXPECT_TRUE(refused("nothing to combine", [&] { k.combine({}, {kNone, kNone, y}); }));
}

TEST_F(Empty, Resample) {
  const ResampleKernels& k = KERNELS_UNDER_TEST(resample_kernels);
  Image row = none(2, 1, 6);
  row.data = some_.data();
  k.pool2x2({}, {row, none(2, 0, 3)});   // one row has no window of two
  k.pool2x2({}, {kNone, none(0, 2, 3)});
  k.pool3x3({}, {kNone, none(0, 2, 3)});
  k.pool2x2_grad({}, {.x = kNone, .dy = none(0, 2, 3), .dx = none(0, 4, 6)});
  k.resize({}, {.x = kNone, .y = none(0, 8, 12), .rule = ResizeRule::align_corners, .h = 8, .w = 12});
  k.resize_grad({}, {.dy = none(0, 8, 12), .dx = none(0, 4, 6), .rule = ResizeRule::nearest, .h = 8, .w = 12});
  k.pad({}, {.x = kNone, .y = none(0, 8, 8)});
  k.global_mean({}, {.x = kNone, .y = none(0, 1, 1)});
  k.global_mean_grad({}, {.dy = none(0, 1, 1), .dx = none(0, 4, 6)});
  EXPECT_TRUE(refused("the mean of no pixels", [&] { k.global_mean({}, {.x = none(1, 0, 6), .y = none(1, 1, 1)}); }));
}

// dx of one row pooled is zero, or what it was: the result has values, though no window reads them.
TEST_F(Empty, AGradientOfNoWindowIsZero) {
  launches_ = 1;
  Image row = none(1, 1, 6), dx = row;
  DeviceArray<float> result(48);
  row.data = some_.data(), dx.data = result.data();
  KERNELS_UNDER_TEST(resample_kernels).pool2x2_grad({}, {.x = row, .dy = none(1, 0, 3), .dx = dx});
  EXPECT_EQ(result.values(), std::vector<float>(48));
}

TEST_F(Empty, BatchNorm) {
  const BatchNormKernels& k = KERNELS_UNDER_TEST(batch_norm_kernels);
  const float* const p = some_.data();
  const BatchNormVectors with{.gamma = p, .beta = p, .mean = p, .rstd = p};
  k.apply({}, {.x = kNone, .y = none(0, 4, 6), .with = with});
  float* const out = some_.data();
  BatchNormGradArgs grad{.x = kNone, .dy = kNone, .with = with, .sums = out, .workspace = out};
  grad.dx = none(0, 4, 6);
  k.grad_apply({}, grad);
  EXPECT_TRUE(refused("no statistics", [&] { k.grad_reduce({}, grad); }));
  EXPECT_TRUE(refused("no variance", [&] { k.stats({}, {.x = kNone, .mean = out, .rstd = out, .workspace = out}); }));
}

TEST_F(Empty, Convolutions) {
  const ConvKernels& k = KERNELS_UNDER_TEST(conv_kernels);
  const float* const w = some_.data();
  k.forward({}, {.x0 = kNone, .x1 = {}, .oc = 8, .geometry = {3, 3, 1, 1}, .weights = w, .y = none(0, 4, 6)});
  k.grad_input({}, {.dy = none(0, 4, 6), .w = w, .inputs0 = 8, .geometry = {3, 3, 1, 1}, .dx0 = none(0, 4, 6),
                    .scratch = some_.data()});
  k.upconv({}, {.x = kNone, .weights = w, .y = none(0, 8, 12)});
  k.upconv_grad_input({}, {.dy = none(0, 8, 12), .w = w, .dx = none(0, 4, 6), .scratch = some_.data()});
}

TEST_F(Empty, TheWeightGradientOfNoPixelsIsZero) {
  launches_ = 2;   // weights and bias, of no slices
  DeviceArray<float> dw(8 * 8), db(8), scratch(conv_grad_weight_scratch(0, 8, 1, 8));
  KERNELS_UNDER_TEST(conv_kernels).grad_weight({}, {.x0 = kNone, .dy = kNone, .geometry = {1, 1, 1, 0}, .dw = dw.data(),
                                                    .db = db.data(), .scratch = scratch.data()});
  EXPECT_EQ(dw.values(), std::vector<float>(64));
  EXPECT_EQ(db.values(), std::vector<float>(8));
}

// {oc,2,2,ic} of 5 and 8 channels, and the bias of oc; `accumulate` leaves them what they are.
TEST_F(Empty, TheUpconvolutionsWeightGradientOfNoPixelsIsZero) {
  launches_ = 5;   // weights and bias, of no slices, twice; then weights alone
  const std::vector<float> before_w(5 * 4 * 8, 3), before_b(5, 4);
  DeviceArray<float> dw(before_w), db(before_b), scratch(upconv_grad_weight_scratch(0, 5, 8));
  UpconvGradWeight grad{.x = kNone, .dy = none(0, 8, 12, 5), .dw = dw.data(), .db = db.data(), .accumulate = true};
  grad.scratch = scratch.data();
  const ConvKernels& k = KERNELS_UNDER_TEST(conv_kernels);
  k.upconv_grad_weight({}, grad);
  EXPECT_EQ(dw.values(), before_w);
  EXPECT_EQ(db.values(), before_b);
  grad.accumulate = false;
  k.upconv_grad_weight({}, grad);
  EXPECT_EQ(dw.values(), std::vector<float>(5 * 4 * 8));
  EXPECT_EQ(db.values(), std::vector<float>(5));
  grad.db = nullptr;
  k.upconv_grad_weight({}, grad);
}

TEST_F(Empty, TensorCoreConvolutions) {
  const MmaConvKernels& k = KERNELS_UNDER_TEST(mma_conv_kernels);
  MmaConv c;
  c.layout = mma_conv_layout({.type = DType::f32, .oc = 8, .c = {8, 0}, .pitch = {8, 0}});
  c.weights = some_.data(), c.x[0] = kNone, c.x[0].data = some_.data();
  c.out_h = 4, c.out_w = 6, c.y = none(0, 4, 6);
  k.conv({}, c);
  MmaUpconv up;
  up.layout = mma_upconv_layout(DType::f32, 8, 8, 8);
  up.weights = some_.data(), up.x = c.x[0], up.y = none(0, 8, 12), up.y.data = some_.data();
  k.upconv({}, up);
}

TEST_F(Empty, TheTensorCoreWeightGradientOfNoPixelsIsZero) {
  launches_ = 1;   // the sum of no parts
  ConstImage x = kNone;
  x.data = some_.data();
  DeviceArray<float> dw(64);
  MmaConvGradWeight grad{.x = {x, {}}, .dy = x, .kernel_h = 1, .kernel_w = 1, .pad_h = 0, .pad_w = 0};
  grad.dw = dw.data(), grad.workspace = some_.data();
  KERNELS_UNDER_TEST(mma_conv_grad_kernels).weight({}, grad);
  EXPECT_EQ(dw.values(), std::vector<float>(64));
}

// A base address off 16 bytes would fault in the middle of a kernel, or be read as another one.
TEST_F(Empty, TensorCoresRefuseWhatDoesNotStartOn16Bytes) {
  const MmaConvKernels& k = KERNELS_UNDER_TEST(mma_conv_kernels);
  DeviceArray<float> x(8 * 24 + 1), y(8 * 24 + 1), w(4096 + 1);
  const auto conv = [&](int off_x, int off_y, int off_w) {
    MmaConv c;
    c.layout = mma_conv_layout({.type = DType::f32, .oc = 8, .c = {8, 0}, .pitch = {8, 0}});
    c.weights = w.data() + off_w, c.x[0] = none(1, 4, 6), c.y = none(1, 4, 6);
    c.x[0].data = x.data() + off_x, c.y.data = y.data() + off_y, c.out_h = 4, c.out_w = 6;
    k.conv({}, c);
  };
  EXPECT_TRUE(refused("a source does not start on 16 bytes", [&] { conv(1, 0, 0); }));
  EXPECT_TRUE(refused("mma_conv: y", [&] { conv(0, 1, 0); }));
  EXPECT_TRUE(refused("the weights do not start on 16 bytes", [&] { conv(0, 0, 1); }));
  MmaUpconv up;
  up.layout = mma_upconv_layout(DType::f32, 8, 8, 8);
  up.weights = w.data(), up.x = none(1, 4, 6), up.x.data = x.data() + 2, up.y = none(1, 2, 3), up.y.data = y.data();
  EXPECT_TRUE(refused("do not start on 16 bytes", [&] { k.upconv({}, up); }));
  Image dy = none(1, 4, 6), source = dy;
  dy.data = y.data() + 1, source.data = x.data();
  const MmaConvGradWeight grad{.x = {source, {}}, .dy = dy, .dw = w.data(), .workspace = w.data()};
  EXPECT_TRUE(refused("first byte", [&] { KERNELS_UNDER_TEST(mma_conv_grad_kernels).weight({}, grad); }));
}

TEST_F(Empty, LossesAndMetricsSayThatTheBatchIsEmpty) {
  const ConstImage z = none(0, 4, 6, 1);
  DeviceArray<DiceFocalValue> value(1);
  DeviceArray<CrossEntropyValue> other(1);
  const LossKernels& k = KERNELS_UNDER_TEST(loss_kernels);
  float* const p = some_.data();
  const DiceFocalArgs dice{.z = z, .targets = p, .value = value.data(), .workspace = p};
  const CrossEntropyArgs entropy{.z = z, .labels = p, .value = other.data(), .workspace = p};
  const CountPixelsArgs count{.values = z, .targets = reinterpret_cast<uint8_t*>(p)};
  EXPECT_TRUE(refused("the batch is empty", [&] { k.dice_focal({}, dice); }));
  EXPECT_TRUE(refused("the batch is empty", [&] { k.cross_entropy({}, entropy); }));
  EXPECT_TRUE(refused("the batch is empty", [&] { KERNELS_UNDER_TEST(metric_kernels).count_pixels({}, count); }));
}

TEST_F(Empty, AResizeOfNoRowsIsRefused) {
  const PictureResizeArgs none_of_4{.width = 4, .height = 4, .channels = 3, .to_width = 2, .to_height = 2};
  EXPECT_TRUE(refused("rows outside the picture", [&] { KERNELS_UNDER_TEST(picture_kernels).resize({}, none_of_4); }));
}

}  // namespace
}  // namespace furrow::gpu
