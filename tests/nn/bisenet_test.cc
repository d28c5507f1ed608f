// The face parser: keys and counts as published, the logits of all heads and one training step as PyTorch has them
// (files made by tests/data/make_networks_golden.py), plans that are its tape.
#include "nn/bisenet.h"

#include <map>
#include <set>
#include <sstream>

#include "kernels/cpu/label_map.h"
#include "nn/plan.h"
#include "nn/recognise.h"
#include "nn/resize_logits.h"
#include "tests/nn/filled.h"
#include "tests/nn/golden_sums.h"

namespace furrow {
namespace {

const std::string kFolder = FURROW_TEST_DATA "/networks/";

Architecture parser(int64_t base, int64_t in_channels, int64_t classes, const char* family = "bisenet") {
  return {.family = family, .base = base, .in_channels = in_channels, .classes = classes};
}
const BiSeNet& bisenet(const Network& network) { return dynamic_cast<const BiSeNet&>(network); }

TEST(BiSeNetKeys, AreThoseOfThePublishedFileInTheirOrder) {
  const std::string folder = FURROW_SOURCE_DIR "/weights/";
  EXPECT_EQ(key_list(*build(parser(64, 3, 19))), read_text(folder + "bisenet_keys.txt"));
  EXPECT_EQ(key_list(*build(parser(64, 3, 19, "bisenet-resnet34"))), read_text(folder + "bisenet_resnet34_keys.txt"));
}

// The ResNet-34's encoder has 21,284,672 parameters without its classifier, the ResNet-18's 11,176,512 (torchvision's
// 21,797,672 and 11,689,512 less 513,000).
TEST(BiSeNetKeys, CountKeysAndParametersAsPublished) {
  struct Count {
    const char* family;
    size_t keys, tensors;
    int64_t parameters;
  };
  for (const Count& c :
       {Count{"bisenet", 191, 98, 13300416}, {"bisenet-resnet34", 287, 146, 13300416 - 11176512 + 21284672}}) {
    const auto network = build(parser(64, 3, 19, c.family));
    size_t tensors = 0;
    int64_t parameters = 0;
    for (const Module::Keyed& k : network->parameters())
      if (k.parameter->trainable) ++tensors, parameters += k.parameter->shape().elements();
    EXPECT_EQ(network->parameters().size(), c.keys) << c.family;
    EXPECT_EQ(tensors, c.tensors) << c.family;
    EXPECT_EQ(parameters, c.parameters) << c.family;
  }
}

double gmac(const Tape& tape) {
  uint64_t flops = 0;
  for (const Node& node : tape.nodes()) {
    if (node.op != OpKind::conv2d) continue;
    std::vector<Shape> in;
    for (VarId id : node.in) in.push_back(tape.nodes()[static_cast<size_t>(id)].shape);
    flops += op_def(node.op).flops(node.attrs, in, node.shape);
  }
  return static_cast<double>(flops) / 2e9;
}

// At 512x512. Published: seed-system.md.
TEST(BiSeNetKeys, CountThePublishedMultiplyAdds) {
  const auto network = build(parser(64, 3, 19));
  Tape one, all;
  network->forward(one, one.input(Shape{1, 512, 512, 3}));
  EXPECT_NEAR(gmac(one), 13.387, 0.0006);
  bisenet(*network).forward_heads(all, all.input(Shape{1, 512, 512, 3}));
  EXPECT_NEAR(gmac(all), 13.771, 0.0006);
}

struct Golden {
  const char* name;
  Architecture architecture;
};
const Golden kGoldens[] = {{"bisenet", parser(4, 3, 5)}, {"bisenet_resnet34", parser(4, 4, 3, "bisenet-resnet34")}};

class BiSeNetGolden : public testing::TestWithParam<Golden> {};

TEST_P(BiSeNetGolden, LogitsAreThoseOfPyTorch) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  EXPECT_EQ(recognise(network->state()), g.architecture);
  EXPECT_EQ(Architecture::parse(g.architecture.text()), g.architecture);
  auto backend = ref_backend();
  const Tensor x = golden_picture(g.architecture.in_channels);
  const Tensor expected = golden_doubles(kFolder + g.name + ".logits.f64", {1, 45, 37, g.architecture.classes});
  Tape tape(*backend);
  EXPECT_LT(relative_error(network->forward(tape, tape.input(x)).value(), expected), 1e-12);
  Plan plan(*network, *backend, x.shape());
  EXPECT_EQ(plan.output_shape(), expected.shape());
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12);
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12) << "the second run";
}

// Of three heads, at an odd size and at a multiple of 32.
TEST_P(BiSeNetGolden, EveryHeadsLogitsAreThoseOfPyTorch) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  auto backend = ref_backend();
  std::map<std::string, Tensor> heads;
  for (const bool odd : {true, false}) {
    const int64_t channels = g.architecture.in_channels;
    const Tensor x = odd ? golden_picture(channels) : golden_picture(channels, 5, 2, 64, 96);
    const std::string size = odd ? "45x37." : "64x96.";
    Tape tape(*backend);
    const BiSeNet::Heads h = bisenet(*network).forward_heads(tape, tape.input(x));
    heads[size + "main"] = h.main.value(), heads[size + "16"] = h.of16.value(), heads[size + "32"] = h.of32.value();
  }
  std::istringstream lines(read_text(kFolder + g.name + ".heads.txt"));
  std::string key;
  double sum, squares, dot_product;
  size_t compared = 0;
  while (lines >> key >> sum >> squares >> dot_product) {
    ASSERT_TRUE(heads.contains(key)) << key;
    const auto values = heads.at(key).values<double>();
    expect_close(Sums(values), sum, squares, dot_product, values.size(), key);
    ++compared;
  }
  EXPECT_EQ(compared, 6u);
}

TEST_P(BiSeNetGolden, OneTrainingStepHasPyTorchsGradientsAndStatistics) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  auto backend = ref_backend();
  const auto all_heads = [&](Tape& tape, Var input) {
    const BiSeNet::Heads h = bisenet(*network).forward_heads(tape, input);
    const Var two = tape.record(OpKind::add, NoAttrs{}, {h.main, h.of16}, network.get());
    return tape.record(OpKind::add, NoAttrs{}, {two, h.of32}, network.get());
  };
  expect_training_step_of(*network, *backend, golden_crops(golden_picture(g.architecture.in_channels)),
                          read_text(kFolder + g.name + ".gradients.txt"), 1e-12, all_heads);
}

// 2.5e-5 of the logits' root mean square, the project's bound of a network in float32.
TEST_P(BiSeNetGolden, LogitsOnCpuAreWithinTheBound) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f32);
  ThreadPool pool(2);
  auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
  const Tensor x = golden_picture(g.architecture.in_channels).to(DType::f32);
  const Tensor expected = golden_doubles(kFolder + g.name + ".logits.f64", {1, 45, 37, g.architecture.classes});
  const double rms = std::sqrt(dot(expected, expected) / static_cast<double>(expected.values<double>().size()));
  Tape tape(*backend);
  Plan plan(*network, *backend, x.shape());
  for (const Tensor& got : {network->forward(tape, tape.input(x)).value(), plan.run(x)}) {
    const Tensor wide = got.to(DType::f64);
    double error = 0;
    for (size_t i = 0; i < wide.values<double>().size(); ++i)
      error = std::max(error, std::abs(wide.values<double>()[i] - expected.values<double>()[i]));
    EXPECT_LT(error, 2.5e-5 * rms);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BiSeNetGolden, testing::ValuesIn(kGoldens),
                         [](const auto& p) { return std::string(p.param.name); });

// What a plan makes of it: everything fused, the resize gone, and no head that nobody asked for.
TEST(BiSeNetPlan, FusesEverything) {
  const auto network = random_network(parser(4, 3, 19), 5);
  auto backend = ref_backend();
  const Plan plan(*network, *backend, {1, 64, 96, 3});
  std::map<std::string, int> ops;
  for (const Plan::StepInfo& s : plan.steps()) {
    ++ops[s.op];
    EXPECT_EQ(s.where.find("conv_out16"), std::string::npos);
    EXPECT_EQ(s.where.find("conv_out32"), std::string::npos);
  }
  const std::map<std::string, int> expected = {
      {"place", 1},
      {"conv2d+relu", 1 + 8 + 2 + 1 + 2 + 1 + 1},  // stem, blocks, arms, avg, cp heads, ffm 2
      {"max_pool3x3", 1},
      {"conv2d+add+relu", 8},
      {"conv2d", 3 + 2 + 1},
      {"global_mean", 4},  // ways around, attention of arms and of ffm
      {"upsample_nearest", 3},
      {"channel_gate+add", 3},
      {"conv2d+relu+head", 1}};
  EXPECT_EQ(ops, expected);
  EXPECT_EQ(plan.steps().back().where, "conv_out.conv.conv+bn+relu conv_out.conv_out");
  EXPECT_EQ(plan.steps().back().writes, std::vector<std::string>{"conv_out.conv_out"});
}

// 19 classes, any size: whatever is fused, the plan's logits are the tape's, and the small ones resize to them.
TEST(BiSeNetPlan, GivesTheTapesLogitsAndTheSmallOnesBeforeTheirResize) {
  auto backend = ref_backend();
  for (const char* family : {"bisenet", "bisenet-resnet34"})
    for (const Shape& shape : {Shape{1, 32, 32, 3}, Shape{1, 33, 47, 3}, Shape{2, 64, 40, 3}, Shape{1, 65, 97, 3}}) {
      const auto network = random_network(parser(2, 3, 19, family), 5);
      const Tensor x = random_tensor(shape, 6);
      Tape tape(*backend);
      const Tensor expected = network->forward(tape, tape.input(x)).value();
      for (const bool head : {true, false}) {
        Plan plan(*network, *backend, shape, {.fuse_head = head});
        EXPECT_EQ(plan.output_shape(), expected.shape());
        const Plan::SmallLogits small = plan.run_small(x);
        EXPECT_EQ(small.logits.shape(), (Shape{shape.n, (shape.h + 7) / 8, (shape.w + 7) / 8, 19}));
        EXPECT_EQ(small.height, shape.h);
        EXPECT_EQ(small.width, shape.w);
        Tensor resized(expected.shape(), DType::f64);
        backend->upsample_bilinear(small.logits, resized);
        EXPECT_LT(relative_error(resized, expected), 1e-12) << family << to_string(shape);
        EXPECT_LT(relative_error(plan.run(x), expected), 1e-12) << family << to_string(shape);
      }
    }
}

// A network that ends otherwise has no small logits of its own; a cut is made in both.
TEST(Plan, GivesOtherNetworksLogitsAsTheyAre) {
  auto backend = ref_backend();
  for (const char* family : {"unet", "resnet50-unet"}) {
    const auto network = random_network({.family = family, .base = 2}, 5);
    const Tensor x = random_tensor({1, 47, 33, 3}, 6);
    Plan plan(*network, *backend, x.shape());
    const Tensor logits = plan.run(x).to(DType::f64);
    const Plan::SmallLogits small = plan.run_small(x);
    EXPECT_EQ(small.logits.shape(), logits.shape());
    EXPECT_EQ(relative_error(small.logits, logits), 0);
    EXPECT_EQ(small.height, 47);
    EXPECT_EQ(small.width, 33);
  }
}

// As of the U-Nets (plan_test.cc): up to 22 convolutions follow each other, sums of at most 9 * 64.
TEST(BiSeNetPlan, OnCpuIsThePlanOnRef) {
  ThreadPool pool(2);
  auto ref = ref_backend(), cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  const auto network = random_network(parser(8, 3, 19), 5, DType::f32);
  const auto weights = std::make_shared<PackedWeights>();
  for (const Shape& shape : {Shape{1, 64, 64, 3}, Shape{1, 33, 45, 3}, Shape{3, 47, 34, 3}, Shape{1, 32, 200, 3}}) {
    const Tensor x = random_tensor(shape, 6).to(DType::f32);
    Plan exact(*network, *ref, shape), fast(*network, *cpu, shape, {.weights = weights});
    EXPECT_LT(relative_error(fast.run(x), exact.run(x.to(DType::f64))), 2e-5) << to_string(shape);
    EXPECT_LT(relative_error(fast.run_small(x).logits, exact.run_small(x.to(DType::f64)).logits), 2e-5);
  }
}

TEST(BiSeNet, RefusesSmallPicturesOtherChannelsAndAChoiceOfUpsampling) {
  const auto network = random_network(parser(1, 3, 2), 5);
  auto backend = ref_backend();
  EXPECT_THROW(Plan(*network, *backend, {1, 31, 32, 3}), Error);
  EXPECT_THROW(Plan(*network, *backend, {1, 32, 31, 3}), Error);
  EXPECT_THROW(Plan(*network, *backend, {1, 32, 32, 4}), Error);
  EXPECT_THROW(build({.family = "bisenet", .bilinear = true}), Error);
}

// Each head with a gradient of its own, as losses give it: the sum of three passes of one head each.
TEST(BiSeNet, PropagatesTheGradientsOfAllHeadsAtOnce) {
  auto backend = ref_backend();
  const auto network = random_network(parser(2, 3, 4), 5);
  const Tensor x = random_tensor({2, 33, 40, 3}, 6);
  const Tensor dy[] = {random_tensor({2, 33, 40, 4}, 7), random_tensor({2, 33, 40, 4}, 8),
                       random_tensor({2, 33, 40, 4}, 9)};
  const auto gradients = [&](std::initializer_list<size_t> of) {
    Tape tape(*backend);
    const BiSeNet::Heads h = bisenet(*network).forward_heads(tape, tape.input(x));
    const Var heads[] = {h.main, h.of16, h.of32};
    std::vector<Tape::Root> roots;
    for (const size_t i : of) roots.push_back({heads[i], dy[i]});
    tape.backward(roots);
    std::vector<Tensor> out;
    for (const Module::Keyed& k : network->parameters())
      if (k.parameter->trainable) out.push_back(tape.grad(*k.parameter));
    return out;
  };
  const std::vector<Tensor> together = gradients({0, 1, 2});
  const std::vector<Tensor> alone[] = {gradients({0}), gradients({1}), gradients({2})};
  for (size_t p = 0; p < together.size(); ++p) {
    ASSERT_FALSE(together[p].empty());
    Tensor sum(together[p].shape(), DType::f64);
    for (const std::vector<Tensor>& one : alone)
      if (!one[p].empty()) backend->add(sum.to(DType::f64), one[p], sum);
    EXPECT_LT(relative_error(together[p], sum), 1e-12);
  }
  EXPECT_EQ(dy[1].values<double>()[0], random_tensor({2, 33, 40, 4}, 8).values<double>()[0]);
}

// Labels are made of the small logits in one pass: those of run()'s.
TEST(BiSeNetPlan, SmallLogitsOnCpuGiveTheLabelsOfTheLargeOnes) {
  ThreadPool pool(2);
  const auto cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  const auto network = random_network(parser(4, 3, 19), 5, DType::f32);
  const Tensor x = random_tensor({2, 61, 90, 3}, 6).to(DType::f32);
  Plan plan(*network, *cpu, x.shape());
  const Tensor large = plan.run(x);
  std::vector<uint8_t> wanted;
  for (const float *z = large.values<float>().data(), *end = z + large.values<float>().size(); z != end; z += 19)
    wanted.push_back(static_cast<uint8_t>(std::max_element(z, z + 19) - z));
  const Plan::SmallLogits small = plan.run_small(x);
  std::vector<uint8_t> labels(wanted.size());
  cpu::upsample_argmax(&pool, small.logits, small.height, small.width, labels);
  EXPECT_EQ(labels, wanted);
  EXPECT_GT(std::set<uint8_t>(wanted.begin(), wanted.end()).size(), 1u);
}

// In the host's memory, where the plan's own is a device's.
TEST(ResizeLogits, IsTheResizeOfRef) {
  auto ref = ref_backend();
  for (const auto& [from, to] : {std::pair{Shape{2, 6, 7, 19}, Shape{2, 47, 51, 19}},
                                 {Shape{1, 1, 1, 3}, Shape{1, 5, 4, 3}},
                                 {Shape{1, 1, 5, 2}, Shape{1, 1, 9, 2}},
                                 {Shape{1, 4, 2, 1}, Shape{1, 1, 2, 1}},
                                 {Shape{1, 9, 8, 2}, Shape{1, 3, 5, 2}}}) {
    const Tensor x = random_tensor(from, 3);
    Tensor wanted(to, DType::f64), wide(to, DType::f64), narrow(to, DType::f32);
    ref->upsample_bilinear(x, wanted);
    resize_logits(x, wide);
    EXPECT_LT(relative_error(wide, wanted), 1e-14) << to_string(to);
    resize_logits(x.to(DType::f32), narrow);
    EXPECT_LT(relative_error(narrow, wanted), 4e-7) << to_string(to);  // three products and sums, each rounded
  }
  Tensor other({1, 5, 5, 2}, DType::f64);
  EXPECT_THROW(resize_logits(random_tensor({1, 4, 4, 3}, 1), other), Error);
}

}  // namespace
}  // namespace furrow
