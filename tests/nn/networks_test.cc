// The attention and ResNet50 U-Nets: keys and counts as published, logits, gradients and statistics as PyTorch has them
// (files made by tests/data/make_networks_golden.py), plans that are their tapes, on `ref` and on `cpu`.
#include "nn/plan.h"
#include "nn/recognise.h"
#include "tests/nn/filled.h"
#include "tests/nn/golden_sums.h"

namespace furrow {
namespace {

TEST(NetworkKeys, AreThoseOfTheFamiliesInTheirOrder) {
  const std::string folder = FURROW_SOURCE_DIR "/weights/";
  EXPECT_EQ(key_list(*build({"attention-unet"})), read_text(folder + "attention_unet_keys.txt"));
  EXPECT_EQ(key_list(*build({"resnet50-unet"})), read_text(folder + "resnet50_unet_keys.txt"));
  EXPECT_EQ(key_list(*build({"resnet50-attention-unet"})), read_text(folder + "resnet50_attention_unet_keys.txt"));
}

TEST(NetworkKeys, CountKeysAndParametersAsPublished) {
  struct Count {
    const char* family;
    bool bilinear;
    size_t keys, tensors;
    int64_t parameters;
  };
  for (const Count& c : {Count{"attention-unet", false, 202, 112, 31563245},
                         {"attention-unet", true, 194, 104, 17614509},
                         {"resnet50-unet", false, 390, 201, 72293185},
                         {"resnet50-unet", true, 380, 191, 73687937},
                         {"resnet50-attention-unet", false, 474, 249, 74374317},
                         {"resnet50-attention-unet", true, 464, 239, 75769069}}) {
    const auto network = build({.family = c.family, .bilinear = c.bilinear});
    size_t tensors = 0;
    int64_t parameters = 0;
    for (const Module::Keyed& k : network->parameters())
      if (k.parameter->trainable) ++tensors, parameters += k.parameter->shape().elements();
    EXPECT_EQ(network->parameters().size(), c.keys) << c.family;
    EXPECT_EQ(tensors, c.tensors) << c.family;
    EXPECT_EQ(parameters, c.parameters) << c.family;
  }
}

// Multiply-adds at 512x512 in units of 1e9, before a plan sinks the up-samplings of the gates. Published:
// seed-system.md.
TEST(NetworkKeys, CountThePublishedMultiplyAdds) {
  struct Count {
    const char* family;
    bool bilinear;
    double gmac;
  };
  for (const Count& c : {Count{"attention-unet", false, 199.128},
                         {"attention-unet", true, 164.231},
                         {"resnet50-unet", false, 162.567},
                         {"resnet50-unet", true, 200.148},
                         {"resnet50-attention-unet", false, 168.076},
                         {"resnet50-attention-unet", true, 205.657}}) {
    const auto network = build({.family = c.family, .bilinear = c.bilinear});
    Tape tape;
    network->forward(tape, tape.input(Shape{1, 512, 512, 3}));
    uint64_t flops = 0;
    for (const Node& node : tape.nodes()) {
      if (node.op != OpKind::conv2d && node.op != OpKind::upconv2x2) continue;
      std::vector<Shape> in;
      for (VarId id : node.in) in.push_back(tape.nodes()[static_cast<size_t>(id)].shape);
      flops += op_def(node.op).flops(node.attrs, in, node.shape);
    }
    EXPECT_NEAR(static_cast<double>(flops) / 2e9, c.gmac, 0.0006) << c.family;
  }
}

struct Golden {
  const char* name;
  Architecture architecture;
};
const Golden kGoldens[] = {{"attention", {"attention-unet", 4, 3, 1, false}},
                           {"attention_bilinear", {"attention-unet", 4, 4, 2, true}},
                           {"labhai", {"unet", 4, 4, 2, true}},
                           {"resnet50", {"resnet50-unet", 4, 3, 1, false}},
                           {"resnet50_bilinear", {"resnet50-unet", 4, 3, 2, true}},
                           {"resnet50_attention", {"resnet50-attention-unet", 4, 3, 1, false}},
                           {"resnet50_attention_bilinear", {"resnet50-attention-unet", 4, 4, 2, true}}};
const std::string kFolder = FURROW_TEST_DATA "/";

Tensor golden_logits(const Golden& g) {
  return golden_doubles(kFolder + "networks/" + g.name + ".logits.f64", {1, 45, 37, g.architecture.classes});
}

class NetworkGolden : public testing::TestWithParam<Golden> {};

TEST_P(NetworkGolden, LogitsAreThoseOfPyTorch) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  EXPECT_EQ(recognise(network->state()), g.architecture);
  EXPECT_EQ(Architecture::parse(g.architecture.text()), g.architecture);
  auto backend = ref_backend();
  const Tensor x = golden_picture(g.architecture.in_channels), expected = golden_logits(g);
  Tape tape(*backend);
  EXPECT_LT(relative_error(network->forward(tape, tape.input(x)).value(), expected), 1e-12);
  Plan plan(*network, *backend, x.shape());
  EXPECT_EQ(plan.output_shape(), expected.shape());
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12);
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12) << "the second run";
}

// 2.5e-5 of the logits' root mean square, the project's bound of a network in float32.
TEST_P(NetworkGolden, LogitsOnCpuAreWithinTheBound) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f32);
  ThreadPool pool(2);
  auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
  const Tensor x = golden_picture(g.architecture.in_channels).to(DType::f32), expected = golden_logits(g);
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

TEST_P(NetworkGolden, OneTrainingStepHasPyTorchsGradientsAndStatistics) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  const Tensor x = golden_crops(golden_picture(g.architecture.in_channels));
  auto backend = ref_backend();
  expect_training_step(*network, *backend, x, read_text(kFolder + "networks/" + g.name + ".gradients.txt"));
}

// What a plan makes of a network: everything fused, and nothing that it could not have.
TEST_P(NetworkGolden, PlansFuseEverything) {
  const Golden g = GetParam();
  const auto network = filled(g.architecture, DType::f64);
  auto backend = ref_backend();
  const Plan plan(*network, *backend, {1, 64, 64, g.architecture.in_channels});
  size_t adds = 0, gates = 0;
  for (const Plan::StepInfo& s : plan.steps()) {
    adds += s.op.find("+add") != std::string::npos;
    gates += s.op == "gate";
  }
  EXPECT_EQ(gates, g.architecture.attention() ? 4u : 0u);
  EXPECT_EQ(adds, gates + (g.architecture.resnet() ? 16u : 0u));
  EXPECT_EQ(plan.steps().back().op, "conv2d+relu+head");
}

INSTANTIATE_TEST_SUITE_P(Families, NetworkGolden, testing::ValuesIn(kGoldens),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace furrow
