// The result of a run as files for others: native safetensors for `furrow segment --weights`, and the seed's .pth.
#pragma once

#include <cstdint>
#include <string>

#include "segment/model.h"
#include "train/checkpoint.h"

namespace furrow::train {

// Writes `folder`/model.safetensors with everything that segmenting needs to know, and `folder`/model.pth in the layout
// of the seed's best_checkpoint.pth (seed-system.md A.9): {"epoch", "best_val_iou" or "best_val_<metric>",
// "model_state_dict"}. Weights are those of `best`, as float32. Both atomically; ErrorCode::io, and for networks of 4
// GiB ErrorCode::unsupported.
void export_model(const std::string& folder, const Snapshot& best, const ModelInfo& info, const std::string& metric);

}  // namespace furrow::train
