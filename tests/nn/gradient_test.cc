// Gradients of a whole network through Tape::backward: against finite differences, and against PyTorch's
// (golden_test.cc, networks_test.cc).
#include "nn/tape.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

struct Setup {
  bool bilinear;
  Mode mode;
  const char* family = "unet";
};
class UNetGradient : public testing::TestWithParam<Setup> {};

// Along a random direction d of each parameter, and of the input: (L(p + hd) - L(p - hd)) / 2h against <dL/dp, d>,
// where L = <logits, r>. Rounding of L leaves 2^-52 * |logits| * |r| / h, which is allowed: below 1e-7 of most slopes,
// but a bias before the batch norm of a gate has none in training. A ReLU or maximum that
// changes sides between p - hd and p + hd bends L there, and the quotient is off by a share of the slope, the less
// likely the smaller h; so the steps are tried from 1e-6 down. A wrong gradient is wrong at each of them.
TEST_P(UNetGradient, IsTheSlopeOfTheLoss) {
  const bool bilinear = GetParam().bilinear;
  const Mode mode = GetParam().mode;
  auto backend = ref_backend();
  const auto network = random_network({GetParam().family, 2, 2, 2, bilinear}, 11);
  Tensor x = random_tensor({2, 33, 50, 2}, 12);
  const Tensor r = random_tensor({2, 33, 50, 2}, 13);

  const auto loss = [&] {
    Tape tape(*backend, mode);
    return dot(network->forward(tape, tape.input(x)).value(), r);
  };
  Tape tape(*backend, mode);
  const Var input = tape.input(x, true), logits = network->forward(tape, input);
  const double rounding = 0x1p-52 * std::sqrt(dot(logits.value(), logits.value()) * dot(r, r));
  tape.backward(logits, r);

  const auto check = [&](Tensor value, const Tensor& gradient, const std::string& key) {
    ASSERT_FALSE(gradient.empty()) << key;
    const Tensor direction = random_tensor(value.shape(), 14), before = value.to(DType::f64);
    const auto at = [&](double step) {
      for (size_t i = 0; i < value.values<double>().size(); ++i)
        value.values<double>()[i] = before.values<double>()[i] + step * direction.values<double>()[i];
      return loss();
    };
    const double expected = dot(gradient, direction);
    const double tolerance = 1e-5 * std::max(std::abs(expected), 1e-3 * std::sqrt(dot(gradient, gradient)));
    double error = INFINITY;
    for (const double h : {1e-6, 1e-7, 1e-8})
      if (!(error <= tolerance)) error = std::abs((at(h) - at(-h)) / (2 * h) - expected) - rounding / h;
    at(0);
    EXPECT_LE(error, tolerance) << key << ", slope " << expected;
  };
  check(x, tape.grad(input), "input");
  for (const Module::Keyed& k : network->parameters()) {
    const bool other_head = k.key.starts_with("conv_out16.") || k.key.starts_with("conv_out32.");
    if (other_head)
      EXPECT_TRUE(tape.grad(*k.parameter).empty()) << k.key;  // of a face parser: forward() has the main one alone
    else if (k.parameter->trainable)
      check(k.parameter->value, tape.grad(*k.parameter), k.key);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, UNetGradient,
                         testing::Values(Setup{false, Mode::inference}, Setup{false, Mode::training},
                                         Setup{true, Mode::inference}, Setup{true, Mode::training},
                                         Setup{false, Mode::inference, "attention-unet"},
                                         Setup{true, Mode::training, "attention-unet"},
                                         Setup{false, Mode::inference, "resnet50-unet"},
                                         Setup{false, Mode::training, "resnet50-attention-unet"},
                                         Setup{false, Mode::inference, "bisenet"},
                                         Setup{false, Mode::training, "bisenet-resnet34"}));

TEST(Training, MovesRunningStatisticsAndCountsBatches) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 21);
  const auto value = [&](const std::string& key) -> double {
    for (const NamedTensor& t : network->state())
      if (t.name == key) return t.to<double>()[0];
    return NAN;
  };
  const double mean = value("inc.double_conv.1.running_mean");
  for (int batch = 1; batch <= 3; ++batch) {
    Tape tape(*backend, Mode::training);
    network->forward(tape, tape.input(random_tensor({2, 16, 16, 3}, 22)));
    EXPECT_EQ(value("up4.conv.double_conv.4.num_batches_tracked"), batch);
    EXPECT_NE(value("inc.double_conv.1.running_mean"), mean);
  }
  Tape tape(*backend, Mode::inference);
  const double moved = value("inc.double_conv.1.running_mean");
  network->forward(tape, tape.input(random_tensor({2, 16, 16, 3}, 22)));
  EXPECT_EQ(value("inc.double_conv.1.running_mean"), moved);
  EXPECT_EQ(value("inc.double_conv.1.num_batches_tracked"), 3);
}

}  // namespace
}  // namespace furrow
