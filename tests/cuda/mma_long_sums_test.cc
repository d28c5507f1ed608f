// Long sums of the tensor-core kernels, with the emulator adding as badly as hardware may (emu::Options::cut_mma): the
// error has a bound that does not grow with the sum's length.
#include <cmath>

#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_conv_grad.h"
#include "tests/cuda/emulator_support.h"
#include "tests/cuda/mma_test_tools.h"

namespace furrow::gpu {
namespace {

constexpr DType kTypes[] = {DType::f16, DType::bf16, DType::f32};
constexpr double kFinal = 8 * 0x1p-24;  // the additions in float32 that follow

// The worst case: one product of 1, then products a little below 2^-23, each of which a chain that holds the 1 may lose
// whole. tiny() is the largest number below 2^-11 that 11 bits (bf16: 8) hold, so that times kSecond it is below 2^-23.
constexpr double kSecond = 0x1p-12;
double tiny(DType type) { return type == DType::bf16 ? 0x1.fep-12 : 0x1.ffcp-12; }
int depth(DType type) { return type == DType::f32 ? 8 : 16; }
// What a chain of `links` may lose of a largest running sum of 1: each of an addition's terms, 2^-23.
double most_lost(DType type, int64_t links) { return static_cast<double>(links * (depth(type) + 1)) * 0x1p-23; }

Tensor filled(const Shape& shape, double value) {
  Tensor t(shape, DType::f64);
  for (double& element : t.values<double>()) element = value;
  return t;
}

// dw of a 1x1 convolution with one channel on either side: the sum over all pixels, in one part.
double weight_gradient(DType type, const Tensor& x, const Tensor& dy) {
  DeviceImage x_image(type, x), dy_image(type, dy);
  MmaConvGradWeight g;
  g.x[0] = x_image.image(), g.dy = dy_image.image();
  g.kernel_h = g.kernel_w = 1, g.pad_h = g.pad_w = 0, g.blocks_wanted = 1;
  const MmaGradSplit split = mma_grad_weight_split(g);
  EXPECT_EQ(split.parts, 1);
  EXPECT_EQ(split.tiles, 256);
  DeviceArray<float> dw(1);
  DeviceArray<std::byte> workspace(split.workspace_bytes);
  g.dw = dw.data(), g.workspace = workspace.data();
  KERNELS_UNDER_TEST(mma_conv_grad_kernels).weight({}, g);
  return dw.values()[0];
}
Shape pixels_of_256_tiles(DType type) { return {1, type == DType::f32 ? 512 : 1024, 16, 1}; }

TEST(MmaLongSums, WeightGradientLosesNoMoreThanOneRunCan) {
  const emu::KeepOptions keep;
  emu::options().cut_mma = true;
  for (const DType type : kTypes) {
    SCOPED_TRACE(std::string(name(type)));
    const Shape s = pixels_of_256_tiles(type);
    Tensor x = filled(s, tiny(type)), dy = filled(s, kSecond);
    x.values<double>()[0] = dy.values<double>()[0] = 1;
    const double want = 1 + static_cast<double>(s.pixels() - 1) * tiny(type) * kSecond;
    const double lost = want - weight_gradient(type, x, dy);
    const double provable = most_lost(type, 256);   // 5.2e-4, in tf32 2.7e-4; one chain: 2.0e-3 and 9.8e-4
    EXPECT_LE(lost, provable + kFinal);
    EXPECT_GE(lost, -kFinal);
    if (!testing_on_gpu()) { EXPECT_GT(lost, provable / 2) << "the adder did not cut"; }
  }
}

// Positive numbers, as behind a ReLU: every addition is cut, mostly by half a unit. Modelled for one chain: 3.3e-4
// (f16) and 1.7e-4 (f32) of the sum; here of a quarter of that length.
TEST(MmaLongSums, WeightGradientOfPositiveNumbers) {
  const emu::KeepOptions keep;
  emu::options().cut_mma = true;
  for (const DType type : kTypes) {
    SCOPED_TRACE(std::string(name(type)));
    const Shape s = pixels_of_256_tiles(type);
    Tensor x = cases::random_values(s, 1), dy = cases::random_values(s, 2);
    for (Tensor* t : {&x, &dy})
      for (double& value : t->values<double>()) value = std::abs(value);
    x = rounded(x, type), dy = rounded(dy, type);
    double want = 0;
    for (size_t i = 0; i < x.values<double>().size(); ++i) want += x.values<double>()[i] * dy.values<double>()[i];
    EXPECT_LE(std::abs(weight_gradient(type, x, dy) - want), (type == DType::f32 ? 6e-5 : 1.2e-4) * want);
  }
}

// The logit of a head that passes channel 0 on (y itself would be rounded to its type), at pixel `at`.
double convolved(DType type, const Tensor& x, const Tensor& w, size_t at) {
  const Shape s = x.shape();
  const int oc = static_cast<int>(w.shape().n), kernel = static_cast<int>(w.shape().h);
  DeviceImage source(type, x);
  MmaConv c;
  c.layout = mma_conv_layout({type, oc, {static_cast<int>(s.c), 0}, {pitch_of(type, s.c), 0}, kernel, kernel, 1});
  EXPECT_GT(c.layout.links(), 2 * kMmaChain);
  std::vector<std::byte> host(c.layout.bytes());
  pack_mma_conv(c.layout, w, host.data());
  DeviceArray<std::byte> packed(host);
  std::vector<float> pass(static_cast<size_t>(oc));
  pass[0] = 1;
  DeviceArray<float> head_w(pass), head_b(std::vector<float>{0}), logits(static_cast<size_t>(s.pixels()));
  c.weights = packed.data(), c.x[0] = source.image(), c.pad_h = c.pad_w = kernel / 2;
  c.out_h = static_cast<int>(s.h), c.out_w = static_cast<int>(s.w);
  c.head = {.channels = 1, .w = head_w.data(), .b = head_b.data(), .logits = logits.data()};
  KERNELS_UNDER_TEST(mma_conv_kernels).conv({}, c);
  return logits.values()[at];
}

TEST(MmaLongSums, ForwardLosesNoMoreThanOneRunCan) {
  const emu::KeepOptions keep;
  emu::options().cut_mma = true;
  struct Case {
    DType type;
    int kernel, oc;  // either main loop, either shape of block
  };
  for (const auto& [type, kernel, oc] :
       {Case{DType::f16, 3, 3}, {DType::f16, 1, 40}, {DType::bf16, 1, 3}, {DType::f32, 1, 3}, {DType::f32, 3, 40}}) {
    SCOPED_TRACE(std::string(name(type)) + ", kernel " + std::to_string(kernel));
    const int64_t channels = 2 * 640 * depth(type) / (kernel * kernel);
    Tensor x = filled({1, kernel, kernel, channels}, tiny(type)), w = filled({oc, kernel, kernel, channels}, kSecond);
    x.values<double>()[0] = w.values<double>()[0] = 1;  // the first tap of the middle pixel
    const double want = 1 + static_cast<double>(kernel * kernel * channels - 1) * tiny(type) * kSecond;
    const double lost = want - convolved(type, x, w, static_cast<size_t>(kernel * kernel / 2));
    const double provable = most_lost(type, 576);  // 1.2e-3, in tf32 6.2e-4; one chain: 2.5e-3, 1.2e-3
    EXPECT_LE(lost, provable + kFinal);
    EXPECT_GE(lost, -kFinal);
    if (!testing_on_gpu()) { EXPECT_GT(lost, provable / 2) << "the adder did not cut"; }
  }
}

// Runs of every kind of step, with all results of a tile and the copies in every order.
TEST(MmaLongSums, AgreeWithTheReferenceInEverySchedule) {
  const ConvStep step = cases::conv({1, 2, 9, 4640}, 35, 1);  // 580 links of f32
  const Tensor x = rounded(cases::random_values(step.x[0], 1), DType::f32),
               w = rounded(cases::random_weights(step, 2).w, DType::f32);
  Tensor want(step.y(), DType::f64);
  RefBackend(nullptr).conv2d({.x0 = &x, .w = &w, .geometry = step.geometry}, want);
  MmaConv c;
  c.layout = mma_conv_layout({DType::f32, 35, {4640, 0}, {4640, 0}, 1, 1, 1});
  ASSERT_GT(mma_conv_run_sums_bytes(c.layout), 0u);
  std::vector<std::byte> host(c.layout.bytes());
  pack_mma_conv(c.layout, w, host.data());
  DeviceArray<std::byte> packed(host);
  DeviceImage source(DType::f32, x);
  in_every_schedule([&] {
    DeviceImage y(DType::f32, step.y());
    c.weights = packed.data(), c.x[0] = source.image(), c.pad_h = c.pad_w = 0, c.out_h = 2, c.out_w = 9,
    c.y = y.image();
    KERNELS_UNDER_TEST(mma_conv_kernels).conv({}, c);
    // Two runs, sqrt(K) of rounded additions each: far below what a wrong run would leave.
    EXPECT_TRUE(close(y.values(), want, {.absolute = 4e-8 * std::sqrt(4640.0) * largest(want)}));
  });
}

TEST(MmaLongSums, OfTransposedConvolutions) {
  const Shape shape{1, 1, 3, 4640};
  const int oc = 5;
  const Tensor x = rounded(cases::random_values(shape, 1), DType::f32),
               w = rounded(cases::random_weights(cases::upconv(shape, oc), 3).w, DType::f32),
               b = filled({1, 1, 1, oc}, 0);
  Tensor want({1, 2, 6, oc}, DType::f64);
  RefBackend(nullptr).upconv2x2(x, w, &b, want);
  MmaUpconv c;
  c.layout = mma_upconv_layout(DType::f32, oc, 4640, 4640);
  ASSERT_GT(mma_conv_run_sums_bytes(c.layout.phase), 0u);
  std::vector<std::byte> host(c.layout.bytes());
  pack_mma_upconv(c.layout, w, host.data());
  DeviceArray<std::byte> packed(host);
  DeviceImage source(DType::f32, x), y(DType::f32, want.shape());
  c.weights = packed.data(), c.x = source.image(), c.y = y.image();
  KERNELS_UNDER_TEST(mma_conv_kernels).upconv({}, c);
  EXPECT_TRUE(close(y.values(), want, {.absolute = 4e-8 * std::sqrt(4640.0) * largest(want)}));
}

}  // namespace
}  // namespace furrow::gpu
