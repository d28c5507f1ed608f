// Pictures of a validation: photo, target and prediction on top of each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/loader.h"
#include "io/image.h"

namespace furrow::train {

// Picture `i` of a batch, its input stretched to [0, 1] over all channels: clip(0.6 photo + 0.2 green where the target
// is set + 0.2 red where the prediction is), as the seed's program drew them (seed-system.md E.3). `predicted` and
// `target`: a byte per pixel of the batch.
io::Image validation_overlay(const data::Batch& batch, int64_t i, const std::vector<uint8_t>& predicted,
                             const std::vector<uint8_t>& target);

// "epoch_0005_00042.png"; an id that is long or not plain ASCII is cut and cleaned, so `number` makes it unique.
std::string overlay_name(int64_t epoch, int64_t number, const std::string& id);

}  // namespace furrow::train
