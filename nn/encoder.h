// A pretrained encoder: the weights of an ImageNet classifier as the first half of a network.
#pragma once

#include "nn/network.h"

namespace furrow {

// Whether these are the tensors of torchvision's ResNet50 (any version, any width).
bool is_resnet50_classifier(const NamedTensors& tensors);

// Fills the encoder of a resnet50 network, which has values already (initialise()), from a classifier's tensors:
// conv1 -> input_layer.0, bn1 -> input_layer.1, layerN -> encoderN; fc is left out. Counters that the file lacks (those
// of before 2018 have none) stay. A first convolution for other input channels stays too, and is the one thing that
// may: returns the keys that were not taken from the file. Throws ErrorCode::unsupported for another network, and as
// Module::load() with every key of the encoder that is missing or has another shape; nothing changes then.
std::vector<std::string> load_encoder(Network& network, const NamedTensors& classifier, DType type = DType::f32);

}  // namespace furrow
