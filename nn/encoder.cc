#include "nn/encoder.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace furrow {
namespace {

// What the encoder of a network calls the parts of a classifier.
using Prefixes = std::array<std::pair<std::string_view, std::string_view>, 6>;
constexpr Prefixes kUNet = {{{"conv1.", "input_layer.0."},
                             {"bn1.", "input_layer.1."},
                             {"layer1.", "encoder1."},
                             {"layer2.", "encoder2."},
                             {"layer3.", "encoder3."},
                             {"layer4.", "encoder4."}}};
constexpr Prefixes kParser = {{{"conv1.", "cp.resnet.conv1."},
                               {"bn1.", "cp.resnet.bn1."},
                               {"layer1.", "cp.resnet.layer1."},
                               {"layer2.", "cp.resnet.layer2."},
                               {"layer3.", "cp.resnet.layer3."},
                               {"layer4.", "cp.resnet.layer4."}}};

// The key in the network; empty for one that the encoder has no use for.
std::string renamed(const Prefixes& prefixes, std::string_view key) {
  for (const auto& [from, to] : prefixes)
    if (key.starts_with(from)) return std::string(to) + std::string(key.substr(from.size()));
  return "";
}

bool in_encoder(const Prefixes& prefixes, std::string_view key) {
  return std::ranges::any_of(prefixes, [&](const auto& prefix) { return key.starts_with(prefix.second); });
}

// The classifier that the encoder of a network is; none for one that has no such encoder.
Classifier encoder_of(const Architecture& a) {
  if (a.resnet()) return Classifier::resnet50;
  if (!a.parser()) return Classifier::none;
  return a.family == "bisenet-resnet34" ? Classifier::resnet34 : Classifier::resnet18;
}

std::string networks_on(Classifier classifier) {
  switch (classifier) {
    case Classifier::resnet18: return "bisenet";
    case Classifier::resnet34: return "bisenet-resnet34";
    default: return "resnet50";
  }
}

}  // namespace

std::string_view name(Classifier classifier) {
  constexpr std::array<std::string_view, 4> kNames = {"no classifier", "ResNet18", "ResNet34", "ResNet50"};
  return kNames[static_cast<size_t>(classifier)];
}

Classifier classifier_of(const NamedTensors& tensors) {
  const auto has = [&](std::string_view key) {
    return std::ranges::find(tensors, key, &NamedTensor::name) != tensors.end();
  };
  if (!has("conv1.weight") || has("input_layer.0.weight")) return Classifier::none;
  if (has("layer4.2.conv3.weight")) return Classifier::resnet50;
  if (has("layer4.2.conv2.weight")) return Classifier::resnet34;
  return has("layer4.1.conv2.weight") ? Classifier::resnet18 : Classifier::none;
}

std::vector<std::string> load_encoder(Network& network, const NamedTensors& classifier, DType type) {
  const Classifier wanted = encoder_of(network.architecture()), given = classifier_of(classifier);
  if (wanted == Classifier::none || (given != Classifier::none && given != wanted)) {
    const Classifier named = given == Classifier::none ? Classifier::resnet50 : given;
    throw Error(ErrorCode::unsupported, "a " + std::string(name(named)) + " initialises the encoder of a " +
                                            networks_on(named) + " network; this is a " +
                                            network.architecture().text());
  }
  const Prefixes& prefixes = network.architecture().parser() ? kParser : kUNet;
  const std::string stem = std::string(prefixes[0].second) + "weight";
  std::map<std::string, const NamedTensor*> by_key;
  for (const NamedTensor& tensor : classifier)
    if (std::string key = renamed(prefixes, tensor.name); !key.empty()) by_key.emplace(std::move(key), &tensor);

  NamedTensors merged;  // load() lists what is missing, unexpected or of another shape
  std::vector<std::string> left;
  for (NamedTensor& own : network.state()) {
    const auto found = by_key.find(own.name);
    const bool counter = own.name.ends_with("num_batches_tracked");
    const bool other_input = own.name == stem && found != by_key.end() && found->second->dims.size() == 4 &&
                             found->second->dims[0] == own.dims[0] && found->second->dims[1] != own.dims[1] &&
                             found->second->dims[2] == own.dims[2] && found->second->dims[3] == own.dims[3];
    if (found != by_key.end() && !other_input) {
      NamedTensor taken = *found->second;
      taken.name = own.name;
      merged.push_back(std::move(taken));
    } else if (!in_encoder(prefixes, own.name) || counter || other_input) {
      if (other_input) left.push_back(own.name);
      merged.push_back(std::move(own));
    }
    if (found != by_key.end()) by_key.erase(found);
  }
  for (const auto& [key, tensor] : by_key) {
    NamedTensor unexpected = *tensor;
    unexpected.name = key;
    merged.push_back(std::move(unexpected));
  }
  network.load(merged, type);
  return left;
}

}  // namespace furrow
