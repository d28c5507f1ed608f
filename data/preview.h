// A contact sheet of what augmentation makes of one example, for `furrow train --preview`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/sample.h"

namespace furrow::data {

struct PreviewOptions {
  int versions = 11;           // augmented ones, beside the example itself: 1 .. 99
  int columns = 4;             // 1 .. 100
  int64_t longest_side = 256;  // of a cell, in pixels, 16 .. 4096; larger examples shrink by a whole number
  uint8_t threshold = 128;     // the target is marked where it is at least this; 1 suits class numbers
  int64_t crop = 0;            // side of the part that training cuts out before it augments (data/crop.h); 0: none
};

struct Preview {
  io::Image sheet;                 // RGB: the example, then its versions, row by row, white lines of 4 pixels between
  std::vector<std::string> lines;  // of each version, in the sheet's order: what was cut out, and describe()
};

// Version i is what training with `key.seed` makes of the item in epoch key.epoch + i. The target's outline is blue:
// the clear pixels that touch a marked one by an edge, drawn after shrinking (a pixel of a cell is marked where any
// pixel it stands for is). A part is drawn to the scale of the example, in the upper left of its cell. Preconditions
// (ErrorCode::internal): those of augment() and crop_at_random(), options in their ranges.
Preview preview_augmentation(const Sample& sample, const AugmentRecipe& recipe, const DrawKey& key,
                             const PreviewOptions& options = {});

}  // namespace furrow::data
