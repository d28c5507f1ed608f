// A pretrained encoder: the weights of an ImageNet classifier as the first half of a network.
#pragma once

#include <string_view>

#include "nn/network.h"

namespace furrow {

// Classifiers of torchvision, of any version and width.
enum class Classifier : uint8_t { none, resnet18, resnet34, resnet50 };
std::string_view name(Classifier classifier);  // "ResNet18"

// Whose tensors these are, told by their keys.
Classifier classifier_of(const NamedTensors& tensors);

// Fills the encoder of a network that has values already (initialise()) from a classifier's tensors; fc is left out.
// A resnet50 network takes a ResNet50's: conv1 -> input_layer.0, bn1 -> input_layer.1, layerN -> encoderN. bisenet
// takes a ResNet18's and bisenet-resnet34 a ResNet34's: conv1, bn1, layerN -> cp.resnet. with the same names. Counters
// that the file lacks (those of before 2018 have none) stay. A first convolution for other input channels stays too,
// and is the one thing that may: returns the keys that were not taken from the file. Throws ErrorCode::unsupported for
// another network, and as Module::load() with every key of the encoder that is missing or has another shape; nothing
// changes then.
std::vector<std::string> load_encoder(Network& network, const NamedTensors& classifier, DType type = DType::f32);

}  // namespace furrow
