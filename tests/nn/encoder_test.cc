#include "nn/encoder.h"

#include <cstring>
#include <tuple>

#include "tests/nn/support.h"

namespace furrow {
namespace {

// What torchvision would have saved of this network's encoder, in its own names, with its classifier.
NamedTensors torchvisions(const Network& network) {
  NamedTensors out;
  const std::pair<const char*, const char*> names[] = {{"input_layer.0.", "conv1."}, {"input_layer.1.", "bn1."},
                                                       {"encoder1.", "layer1."},     {"encoder2.", "layer2."},
                                                       {"encoder3.", "layer3."},     {"encoder4.", "layer4."}};
  for (NamedTensor t : network.state())
    for (const auto& [ours, theirs] : names)
      if (t.name.starts_with(ours)) {
        t.name = theirs + t.name.substr(std::strlen(ours));
        out.push_back(t);
      }
  NamedTensor fc = out[0];
  fc.name = "fc.weight";
  out.push_back(fc);
  return out;
}

const NamedTensor& tensor(const NamedTensors& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &NamedTensor::name);
}

TEST(Encoder, TakesEveryTensorOfAResNet50AndNothingElse) {
  for (const char* family : {"resnet50-unet", "resnet50-attention-unet"}) {
    const auto source = random_network({"resnet50-unet", 4}, 3), network = random_network({family, 4}, 4);
    const NamedTensors classifier = torchvisions(*source), before = network->state(), wanted = source->state();
    EXPECT_EQ(furrow::classifier_of(classifier), Classifier::resnet50);
    EXPECT_EQ(load_encoder(*network, classifier, DType::f64), std::vector<std::string>{});
    size_t taken = 0;
    for (const NamedTensor& now : network->state()) {
      const bool encoder = now.name.starts_with("input_layer.") || now.name.starts_with("encoder");
      EXPECT_EQ(now.to<double>(), tensor(encoder ? wanted : before, now.name).to<double>()) << now.name;
      taken += encoder;
    }
    EXPECT_EQ(taken, classifier.size() - 1);  // 318 of a ResNet50: all but fc
    EXPECT_EQ(taken, 318u);
  }
}

// The same of the parsers: their encoder has the classifier's names behind cp.resnet.
NamedTensors behind(const Network& parser) {
  NamedTensors out;
  constexpr const char* kPrefix = "cp.resnet.";
  for (NamedTensor t : parser.state())
    if (t.name.starts_with(kPrefix)) {
      t.name = t.name.substr(std::strlen(kPrefix));
      out.push_back(t);
    }
  NamedTensor fc = out[0];
  fc.name = "fc.weight";
  out.push_back(fc);
  return out;
}

TEST(Encoder, TakesEveryTensorOfTheParsersResNetAndNothingElse) {
  for (const auto& [family, kind, tensors] : {std::tuple{"bisenet", Classifier::resnet18, 120u},
                                              std::tuple{"bisenet-resnet34", Classifier::resnet34, 216u}}) {
    const auto source = random_network({family, 4, 3, 5}, 3), network = random_network({family, 4, 3, 19}, 4);
    const NamedTensors classifier = behind(*source), before = network->state(), wanted = source->state();
    EXPECT_EQ(furrow::classifier_of(classifier), kind);
    EXPECT_EQ(load_encoder(*network, classifier, DType::f64), std::vector<std::string>{});
    size_t taken = 0;
    for (const NamedTensor& now : network->state()) {
      const bool encoder = now.name.starts_with("cp.resnet.");
      EXPECT_EQ(now.to<double>(), tensor(encoder ? wanted : before, now.name).to<double>()) << now.name;
      taken += encoder;
    }
    EXPECT_EQ(taken, tensors);
  }
}

TEST(Encoder, RefusesAnotherResNetByName) {
  const auto reason = [](const NamedTensors& classifier, const Architecture& a) {
    try {
      load_encoder(*random_network(a, 4), classifier, DType::f64);
      return std::string("accepted");
    } catch (const Error& error) { return error.reason(); }
  };
  const NamedTensors of18 = behind(*random_network({"bisenet", 2, 3, 19}, 3));
  const NamedTensors of34 = behind(*random_network({"bisenet-resnet34", 2, 3, 19}, 3));
  EXPECT_EQ(reason(of34, {"bisenet", 2, 3, 19}),
            "a ResNet34 initialises the encoder of a bisenet-resnet34 network; this is a bisenet base 2, 3 -> 19");
  EXPECT_EQ(reason(of18, {"resnet50-unet", 2}),
            "a ResNet18 initialises the encoder of a bisenet network; this is a resnet50-unet base 2, 3 -> 1, "
            "transposed");
}

TEST(Encoder, KeepsAStemForOtherInputsAndCountersThatTheFileLacks) {
  const auto source = random_network({"resnet50-unet", 4}, 3), network = random_network({"resnet50-unet", 4, 4}, 4);
  NamedTensors classifier = torchvisions(*source);
  std::erase_if(classifier, [](const NamedTensor& t) { return t.name.ends_with("num_batches_tracked"); });
  const NamedTensors before = network->state();
  EXPECT_EQ(load_encoder(*network, classifier, DType::f64), std::vector<std::string>{"input_layer.0.weight"});
  const NamedTensors now = network->state();
  EXPECT_EQ(tensor(now, "input_layer.0.weight").to<double>(), tensor(before, "input_layer.0.weight").to<double>());
  EXPECT_EQ(tensor(now, "encoder4.2.conv3.weight").to<double>(),
            tensor(source->state(), "encoder4.2.conv3.weight").to<double>());
}

// A stem of another kernel is no ResNet50's, whatever channels it takes.
TEST(Encoder, RefusesAStemOfAnotherKernel) {
  const auto source = random_network({"resnet50-unet", 4}, 3), network = random_network({"resnet50-unet", 4}, 4);
  NamedTensors classifier = torchvisions(*source);
  NamedTensor& stem = *std::ranges::find(classifier, std::string("conv1.weight"), &NamedTensor::name);
  auto values = std::make_shared<const std::vector<double>>(4 * 4 * 3 * 3);
  stem = {stem.name, DType::f64, {4, 4, 3, 3}, std::as_bytes(std::span(*values)), values};
  try {
    load_encoder(*network, classifier, DType::f64);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(), "the weights do not fit the network: 0 missing, 0 unexpected, 1 misshapen keys");
  }
}

TEST(Encoder, RefusesOtherNetworksAndHalfFilesAndChangesNothing) {
  const auto source = random_network({"resnet50-unet", 4}, 3);
  NamedTensors classifier = torchvisions(*source);
  const auto reason = [&](const Architecture& a) {
    const auto network = random_network(a, 4);
    const NamedTensors before = network->state();
    try {
      load_encoder(*network, classifier, DType::f64);
      return std::string("accepted");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      const NamedTensors now = network->state();
      for (size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(std::ranges::equal(now[i].bytes, before[i].bytes));
      return error.reason();
    }
  };
  EXPECT_EQ(reason({.base = 4}),
            "a ResNet50 initialises the encoder of a resnet50 network; this is a unet base 4, 3 -> 1, transposed");
  EXPECT_NE(reason({"resnet50-unet", 8}).find("0 missing, 0 unexpected,"), std::string::npos);  // all of another width
  classifier.erase(std::ranges::find(classifier, std::string("layer3.5.conv2.weight"), &NamedTensor::name));
  EXPECT_EQ(reason({"resnet50-unet", 4}),
            "the weights do not fit the network: 1 missing, 0 unexpected, 0 misshapen keys");
  NamedTensor further = classifier[0];
  further.name = "layer3.6.conv1.weight";  // a ResNet101
  classifier.push_back(further);
  EXPECT_EQ(reason({"resnet50-unet", 4}),
            "the weights do not fit the network: 1 missing, 1 unexpected, 0 misshapen keys");
}

}  // namespace
}  // namespace furrow
