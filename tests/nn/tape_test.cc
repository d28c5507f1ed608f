#include "nn/tape.h"

#include "nn/layers.h"
#include "nn/unet.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

TEST(Tape, OfShapesIsTheTapeOfValues) {
  auto backend = ref_backend();
  for (const bool bilinear : {false, true}) {
    const auto network = random_network({.base = 1, .in_channels = 2, .classes = 2, .bilinear = bilinear}, 1);
    const Shape shape{2, 19, 33, 2};
    Tape values(*backend), shapes;
    network->forward(values, values.input(random_tensor(shape, 2)));
    network->forward(shapes, shapes.input(shape));
    ASSERT_EQ(values.nodes().size(), shapes.nodes().size());
    for (size_t i = 0; i < values.nodes().size(); ++i) {
      const Node &v = values.nodes()[i], &s = shapes.nodes()[i];
      EXPECT_EQ(v.op, s.op);
      EXPECT_EQ(v.in, s.in);
      EXPECT_EQ(v.shape, s.shape);
      EXPECT_EQ(v.where, s.where);
      EXPECT_EQ(v.value.shape(), v.shape);
      EXPECT_EQ(s.value.empty(), s.parameter == nullptr);
    }
  }
}

TEST(Tape, KnowsWhichModuleRecordedWhat) {
  const auto network = random_network({.base = 1}, 1);
  Tape tape;
  network->forward(tape, tape.input(Shape{1, 17, 16, 3}));
  std::vector<std::string> where;
  for (const Node& node : tape.nodes())
    if (node.op != OpKind::leaf) where.push_back(std::string(op_def(node.op).name) + " " + node.where->path());
  ASSERT_EQ(where.size(), 18u * 3 + 4 + 4 + 1 + 1);  // conv, norm, relu; pools; ups; one pad (17 rows); head
  EXPECT_EQ(where[0], "conv2d inc.double_conv.0");
  EXPECT_EQ(where[6], "max_pool2x2 down1.maxpool_conv.0");
  EXPECT_EQ(where[11], "batch_norm down1.maxpool_conv.1.double_conv.4");
  EXPECT_EQ(where[34], "upconv2x2 up1.up");
  EXPECT_EQ(where[where.size() - 8], "pad up4");
  EXPECT_EQ(where.back(), "conv2d outc.conv");
}

TEST(Tape, AddsGradientsOfSeveralReaders) {
  auto backend = ref_backend();
  Tape tape(*backend);
  Tensor value({1, 1, 1, 3}, DType::f64);
  value.values<double>()[0] = -2, value.values<double>()[1] = 0.5, value.values<double>()[2] = 3;
  const Var x = tape.input(value, true);
  const Var r = tape.record(OpKind::relu, NoAttrs{}, {x}, nullptr);
  const Var s = tape.record(OpKind::sigmoid, NoAttrs{}, {x}, nullptr);
  const Var y = tape.record(OpKind::add, NoAttrs{}, {r, s}, nullptr);
  Tensor dy = random_tensor(y.shape(), 4);
  for (int repeat = 0; repeat < 2; ++repeat) {  // a second call starts over
    tape.backward(y, dy);
    for (size_t i = 0; i < 3; ++i) {
      const double v = value.values<double>()[i], sigmoid = 1 / (1 + std::exp(-v));
      EXPECT_NEAR(tape.grad(x).values<double>()[i], dy.values<double>()[i] * ((v > 0) + sigmoid * (1 - sigmoid)),
                  1e-15);
    }
  }
  EXPECT_TRUE(tape.grad(r).empty());
}

TEST(Tape, SumsTheGradientOfASharedParameter) {
  auto backend = ref_backend();
  Module root;
  Conv2dLayer conv(&root, "conv", {.in = 2, .out = 2, .bias = true});
  root.initialise(1, DType::f64);
  const Tensor x0 = random_tensor({1, 4, 5, 2}, 1), x1 = random_tensor({1, 4, 5, 2}, 2),
               dy = random_tensor({1, 4, 5, 2}, 3);
  const auto gradient = [&](const Tensor* a, const Tensor* b) {
    Tape tape(*backend);
    Var y = conv.forward(tape, tape.input(*a));
    if (b != nullptr) y = tape.record(OpKind::add, NoAttrs{}, {y, conv.forward(tape, tape.input(*b))}, nullptr);
    tape.backward(y, dy);
    return tape.grad(*root.parameters()[0].parameter);
  };
  const Tensor one = gradient(&x0, nullptr), two = gradient(&x1, nullptr), both = gradient(&x0, &x1);
  for (size_t i = 0; i < both.values<double>().size(); ++i)
    EXPECT_NEAR(both.values<double>()[i], one.values<double>()[i] + two.values<double>()[i], 1e-13);
}

TEST(Tape, GivesNothingToWhatIsNotTrained) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 1);
  for (const Module::Keyed& k : network->parameters())
    if (k.key == "outc.conv.weight" || k.key == "up2.up.bias") k.parameter->trainable = false;
  Tape tape(*backend);
  const Var x = tape.input(random_tensor({1, 16, 16, 3}, 2));
  const Var y = network->forward(tape, x);
  tape.backward(y, random_tensor(y.shape(), 3));
  EXPECT_TRUE(tape.grad(x).empty());
  for (const Module::Keyed& k : network->parameters())
    EXPECT_EQ(tape.grad(*k.parameter).empty(), !k.parameter->trainable) << k.key;
}

TEST(Tape, RefusesMisuse) {
  auto backend = ref_backend();
  Tape tape(*backend), other(*backend), shapes;
  const Var x = tape.input(random_tensor({1, 4, 4, 1}, 1), true);
  EXPECT_THROW(tape.record(OpKind::add, NoAttrs{}, {x, x}, nullptr), Error);
  EXPECT_THROW(other.record(OpKind::relu, NoAttrs{}, {x}, nullptr), Error);
  EXPECT_THROW(tape.backward(x), Error);  // not a single number
  EXPECT_THROW(tape.backward(x, random_tensor({1, 4, 4, 2}, 1)), Error);
  EXPECT_THROW(tape.input(Tensor({1, 4, 4, 1}, DType::f32)), Error);
  EXPECT_THROW(tape.input(Shape{1, 4, 4, 1}), Error);
  EXPECT_THROW(shapes.input(random_tensor({1, 4, 4, 1}, 1)), Error);
}

TEST(UNet, RefusesPicturesItCannotTake) {
  const auto network = random_network({.base = 1}, 1);
  for (const Shape& shape : {Shape{1, 15, 16, 3}, Shape{1, 16, 15, 3}, Shape{1, 16, 16, 4}}) {
    Tape tape;
    EXPECT_THROW(network->forward(tape, tape.input(shape)), Error);
  }
}

// PyTorch pads by diff // 2 on the left and top: Python rounds down, so -1 // 2 is -1 and the cut is there.
TEST(UNet, PadsAndCutsWithPythonsHalves) {
  Module root;
  const Up up(&root, "up", {.deep = 4, .skip = 2, .out = 2}, false);
  struct Case {
    int64_t h, w, top, left;
  };
  for (const Case& c : {Case{9, 8, 0, 0}, Case{10, 11, 1, 1}, Case{7, 8, -1, 0}, Case{6, 5, -1, -2}}) {
    Tape tape;
    up.forward(tape, tape.input(Shape{1, 4, 4, 4}), tape.input(Shape{1, c.h, c.w, 2}));
    const auto pad = std::ranges::find(tape.nodes(), OpKind::pad, &Node::op);
    ASSERT_NE(pad, tape.nodes().end());
    const auto& attrs = std::get<PadAttrs>(pad->attrs);
    EXPECT_EQ(attrs.top, c.top);
    EXPECT_EQ(attrs.left, c.left);
    EXPECT_EQ(pad->shape, (Shape{1, c.h, c.w, 2}));
  }
}

}  // namespace
}  // namespace furrow
