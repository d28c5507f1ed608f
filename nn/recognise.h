// Which network a checkpoint belongs to, told from its keys alone (names never say it, and files get renamed).
#pragma once

#include "nn/network.h"

namespace furrow {

// The architecture of the classic U-Net, transposed or bilinear, read off its keys and shapes:
//   base = dims[0] and in_channels = dims[1] of inc.double_conv.0.weight, classes = dims[0] of outc.conv.weight,
//   transposed where up1.up.weight exists. Whether everything else fits is load()'s question, which lists it all.
// Throws ErrorCode::unsupported otherwise: a network that is known but not built in this version, or that could never
// run, is named; of an unknown one the first keys are listed.
Architecture recognise(const NamedTensors& tensors);

}  // namespace furrow
