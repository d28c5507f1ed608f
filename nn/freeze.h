// Freezing parts of a network: what is not trained.
#pragma once

#include <span>
#include <string>

#include "nn/module.h"

namespace furrow {

// What becomes of the running statistics of frozen batch norms while training. fixed: they normalise by them and leave
// them as they are. moving: they normalise by the batch and move them, as PyTorch does where only requires_grad is off;
// a frozen encoder then still drifts.
enum class FrozenStatistics : uint8_t { fixed, moving };

// Takes every parameter below the modules that `prefixes` name ("inc", "down1.maxpool_conv", a last dot or none) out of
// training. An entry may also be a parameter's whole key. Call it before FlatParameters. Throws
// ErrorCode::configuration for a prefix that names nothing, and where nothing trainable would be left; nothing changes
// then.
void freeze(Module& module, std::span<const std::string> prefixes, FrozenStatistics statistics);

}  // namespace furrow
