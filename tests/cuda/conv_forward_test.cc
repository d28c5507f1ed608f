// The forward pass of the convolution kernels, with every epilogue, against the float64 reference.
#include <cmath>
#include <optional>

#include "tests/cuda/conv_test_tools.h"
#include "tests/kernels/run_step.h"

namespace furrow::gpu {
namespace {

int64_t length(const ConvStep& s) { return s.geometry.kernel_h * s.geometry.kernel_w * cases::input_channels(s); }

// Runs a step on the device and holds every result against the reference; `extra` pad channels in every image.
void check_step(const ConvStep& step, int extra) {
  SCOPED_TRACE(problem(step) + " " + op_name(step));
  const StepWeights weights = cases::random_weights(step, 7);
  const std::vector<Tensor> x = random_inputs(step, 3);
  RefBackend ref(nullptr);
  const StepResults want = run_step(ref, step, x, weights);

  DeviceImage x0(x[0], extra);
  std::optional<DeviceImage> x1, y, pooled;
  if (x.size() > 1) x1.emplace(x[1], extra);
  const Shape out = step.y();
  if (step.store_y) y.emplace(out, extra);
  if (step.pool) pooled.emplace(Shape{out.n, out.h / 2, out.w / 2, out.c}, extra);
  DeviceArray<float> packed(pack_conv(weights.w, step.geometry, step.x[0].c)), bias(floats_of(weights.b));
  ConvForward call{.x0 = x0.image(),
                   .x1 = x1 ? x1->image() : Image{},
                   .oc = static_cast<int>(step.oc),
                   .geometry = step.geometry,
                   .weights = packed.data(),
                   .bias = bias.data(),
                   .act = step.act,
                   .y = y ? y->image() : Image{},
                   .pooled = pooled ? pooled->image() : Image{}};
  std::optional<DeviceArray<float>> head_w, head_b, head;
  if (step.head > 0) {
    head_w.emplace(floats_of(weights.head_w));
    head_b.emplace(floats_of(weights.head_b));
    head.emplace(static_cast<size_t>(out.pixels() * step.head));
    call.head = {
        .channels = static_cast<int>(step.head), .w = head_w->data(), .b = head_b->data(), .out = head->data()};
  }
  kernels().forward({}, call);
  if (y) { EXPECT_TRUE(close(y->values(), want.y, rounding(want.y, length(step)))); }
  if (pooled) { EXPECT_TRUE(close(pooled->values(), want.pooled, rounding(want.pooled, length(step)))); }
  if (head) {
    const Tensor got = tensor_of(want.head.shape(), head->values());
    EXPECT_TRUE(close(got, want.head, rounding(want.head, length(step) + step.oc)));  // two sums, one of the other
  }
}

TEST(ConvForward, EverySchedule) {
  using namespace cases;
  // At least two tiles along rows, columns, pictures and output channels, two chunks of each source, both staging
  // paths.
  const ConvStep two_sources = with_pool(conv({2, 9, 17, 9}, 10, 33, 3, 1));
  in_every_schedule([&] {
    check_step(two_sources, 0);
    check_step(two_sources, 3);
    check_step(conv({1, 3, 5, 17}, 9, 1, 1), 2);
    check_step(conv({2, 17, 33, 5}, 8, 7, 2), 3);
    check_step(conv({1, 18, 3, 8}, 7, 3, 2), 0);
    check_step(with_head(conv({1, 9, 5, 3}, 35), 3), 1);
    ConvStep oblong = conv({1, 9, 8, 18}, 7);
    oblong.geometry = {1, 5, 3, 2};
    check_step(oblong, 0);
  });
}

TEST(ConvForward, RaggedShapes) {
  int extra = 0;  // pitches that allow 16-byte accesses, and pitches that do not
  for (const Step& step : cases::ragged_convolutions()) check_step(std::get<ConvStep>(step), extra++ % 4);
}

TEST(ConvForward, MoreHeadChannelsThanABlockHolds) {
  check_step(cases::with_head(cases::conv({1, 3, 5, 2}, 40), 70, true), 0);
  check_step(cases::with_head(cases::with_pool(cases::conv({1, 4, 6, 2}, 5)), 130, true),
             37);  // pad channels fill a second tile
}

// y = relu(W*x + b + r), where r may be y's own memory.
TEST(ConvForward, AddsAResidual) {
  const ConvStep step = cases::without_activation(cases::conv({2, 5, 19, 6}, 11));
  const StepWeights weights = cases::random_weights(step, 1);
  const Tensor x = cases::random_values(step.x[0], 2), residual = cases::random_values(step.y(), 3);
  RefBackend ref(nullptr);
  Tensor sum(step.y(), DType::f64), want(step.y(), DType::f64);
  ref.conv2d({.x0 = &x, .w = &weights.w, .b = &weights.b, .geometry = step.geometry}, sum);
  ref.add(sum, residual, sum);
  ref.relu(sum, want);
  DeviceImage in(x, 2), other(residual, 1), y(step.y(), 5), own(residual, 1);
  DeviceArray<float> packed(pack_conv(weights.w, step.geometry, 6)), bias(floats_of(weights.b));
  ConvForward call{.x0 = in.image(),
                   .oc = 11,
                   .geometry = step.geometry,
                   .weights = packed.data(),
                   .bias = bias.data(),
                   .residual = other.image(),
                   .act = Activation::relu,
                   .y = y.image()};
  kernels().forward({}, call);
  EXPECT_TRUE(close(y.values(), want, rounding(want, length(step))));
  call.residual = call.y = own.image();
  kernels().forward({}, call);
  EXPECT_TRUE(same_bits(own.values(), y.values()));
}

// The head's kinds, on logits far below and above zero as well as near it.
TEST(ConvForward, WritesProbabilitiesAndMasks) {
  const int pixels = 2 * 9 * 18;
  std::vector<float> logits(pixels);
  for (int i = 0; i < pixels; ++i)
    logits[static_cast<size_t>(i)] =
        i % 7 == 0 ? static_cast<float>(i - 150) * 4 : static_cast<float>(i % 64 - 32) / 16;
  logits[5] = std::nanf("");
  logits[6] = 0.5f;
  DeviceImage in(tensor_of({2, 9, 18, 1}, logits), 0);
  const Tensor one = tensor_of({1, 1, 1, 1}, {1});
  const ConvGeometry geometry{1, 1, 1, 0};
  DeviceArray<float> packed(pack_conv(one, geometry, 1)), w(std::vector<float>{1});
  DeviceArray<float> probabilities(static_cast<size_t>(pixels));
  DeviceArray<uint8_t> mask(static_cast<size_t>(pixels));
  ConvForward call{.x0 = in.image(), .oc = 1, .geometry = geometry, .weights = packed.data()};
  call.head = {.channels = 1, .w = w.data(), .kind = HeadOutput::probabilities, .out = probabilities.data()};
  kernels().forward({}, call);
  call.head.kind = HeadOutput::mask;
  call.head.logit_threshold = 0.5f;
  call.head.out = mask.data();
  kernels().forward({}, call);
  const std::vector<float> p = probabilities.values();
  const std::vector<uint8_t> m = mask.values();
  for (size_t i = 0; i < logits.size(); ++i) {
    const double want = 1 / (1 + std::exp(-static_cast<double>(logits[i])));
    // expf within 2 units in the last place, a sum and a division: 4 units of 2^-24 each; below 2^-126 precision ends.
    if (std::isnan(logits[i])) {
      EXPECT_TRUE(std::isnan(p[i]));
    } else {
      EXPECT_NEAR(p[i], want, 2.4e-7 * want + 1e-38) << logits[i];
    }
    EXPECT_EQ(m[i], logits[i] > 0.5f ? 255 : 0) << logits[i];
  }
}

TEST(ConvForward, NaNWinsInThePool) {
  for (const int64_t where : {0, 1, 6, 7}) {  // every corner of one window of a row of 6 pixels
    Tensor x({1, 2, 6, 1}, DType::f32);
    x.values<float>()[static_cast<size_t>(where)] = std::nanf("");
    const Tensor one = tensor_of({1, 1, 1, 1}, {1});
    const ConvGeometry geometry{1, 1, 1, 0};
    DeviceImage in(x, 0), pooled({1, 1, 3, 1}, 0);
    DeviceArray<float> packed(pack_conv(one, geometry, 1));
    kernels().forward({}, {.x0 = in.image(),
                           .oc = 1,
                           .geometry = geometry,
                           .weights = packed.data(),
                           .act = Activation::relu,
                           .pooled = pooled.image()});
    const Tensor got = pooled.values();
    EXPECT_TRUE(std::isnan(got.values<double>()[0]));
    EXPECT_EQ(got.values<double>()[1], 0);
  }
}

TEST(ConvForward, PacksTheSameOnBothSides) {
  for (const ConvGeometry& g : {ConvGeometry{3, 3, 1, 1}, {7, 7, 2, 3}, {1, 5, 1, 2}}) {
    const Tensor w = cases::random_values({35, g.kernel_h, g.kernel_w, 9 + 5}, 4);
    const std::vector<float> want = pack_conv(w, g, 9);
    DeviceArray<float> dense(floats_of(w)), packed(want.size());
    kernels().pack({},
                   {.w = dense.data(), .packed = packed.data(), .oc = 35, .inputs0 = 9, .inputs1 = 5, .geometry = g});
    EXPECT_EQ(packed.values(), want);
  }
}

}  // namespace
}  // namespace furrow::gpu
