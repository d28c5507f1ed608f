// Which network a checkpoint belongs to, told from its keys alone (names never say it, and files get renamed).
#pragma once

#include "nn/network.h"

namespace furrow {

// The architecture read off keys and shapes:
//   resnet50- where input_layer.0.weight exists, attention- where attention1. (resnet50: att1.) W_g.0.weight does;
//   base = dims[0] and in_channels = dims[1] of input_layer.0.weight or else of inc.double_conv.0.weight,
//   classes = dims[0] of outc.conv.weight, transposed where up1.up. exists;
//   bisenet where cp.resnet. exists and sp. does not, bisenet-resnet34 where cp.resnet.layer1.2.conv1.weight does; base
//   and in_channels of cp.resnet.conv1.weight, classes = dims[0] of conv_out.conv_out.weight.
//   Whether everything else fits is load()'s question, which lists it all.
// Throws ErrorCode::unsupported otherwise: a network that is known but not built in this version, or that could never
// run, is named; of an unknown one the first keys are listed.
Architecture recognise(const NamedTensors& tensors);

}  // namespace furrow
