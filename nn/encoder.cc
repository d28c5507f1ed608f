#include "nn/encoder.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace furrow {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPrefixes = {{{"conv1.", "input_layer.0."},
                                                                                     {"bn1.", "input_layer.1."},
                                                                                     {"layer1.", "encoder1."},
                                                                                     {"layer2.", "encoder2."},
                                                                                     {"layer3.", "encoder3."},
                                                                                     {"layer4.", "encoder4."}}};
constexpr std::string_view kStem = "input_layer.0.weight";

// The key in the network; empty for one that the encoder has no use for.
std::string renamed(std::string_view key) {
  for (const auto& [from, to] : kPrefixes)
    if (key.starts_with(from)) return std::string(to) + std::string(key.substr(from.size()));
  return "";
}

bool in_encoder(std::string_view key) {
  return std::ranges::any_of(kPrefixes, [&](const auto& prefix) { return key.starts_with(prefix.second); });
}

}  // namespace

bool is_resnet50_classifier(const NamedTensors& tensors) {
  const auto has = [&](std::string_view key) {
    return std::ranges::find(tensors, key, &NamedTensor::name) != tensors.end();
  };
  return has("conv1.weight") && has("layer4.2.conv3.weight") && !has("input_layer.0.weight");
}

std::vector<std::string> load_encoder(Network& network, const NamedTensors& classifier, DType type) {
  if (!network.architecture().resnet())
    throw Error(ErrorCode::unsupported,
                "a ResNet50 initialises the encoder of a resnet50 network; this is a " + network.architecture().text());
  std::map<std::string, const NamedTensor*> by_key;
  for (const NamedTensor& tensor : classifier)
    if (std::string key = renamed(tensor.name); !key.empty()) by_key.emplace(std::move(key), &tensor);

  NamedTensors merged;  // load() lists what is missing, unexpected or of another shape
  std::vector<std::string> left;
  for (NamedTensor& own : network.state()) {
    const auto found = by_key.find(own.name);
    const bool counter = own.name.ends_with("num_batches_tracked");
    const bool other_input = own.name == kStem && found != by_key.end() && found->second->dims.size() == 4 &&
                             found->second->dims[0] == own.dims[0] && found->second->dims[1] != own.dims[1] &&
                             found->second->dims[2] == own.dims[2] && found->second->dims[3] == own.dims[3];
    if (found != by_key.end() && !other_input) {
      NamedTensor taken = *found->second;
      taken.name = own.name;
      merged.push_back(std::move(taken));
    } else if (!in_encoder(own.name) || counter || other_input) {
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
