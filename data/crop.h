// Crop: a random part of an example, at its own scale.
#pragma once

#include <cstdint>

#include "data/sample.h"

namespace furrow::data {

struct Corner {
  int64_t x = 0, y = 0;
};

// Keeps the square of `side` pixels whose upper left corner, which is returned, is drawn evenly from all W - side + 1
// columns and H - side + 1 rows: of image, target and texture alike. A function of key and size: numbers 2^39 and 2^39
// + 1 of the key's stream (kernels/random.h), which no step of an augmentation uses (data/augment.h). Preconditions
// (ErrorCode::internal): pictures of one size, 1 <= side <= both sides.
Corner crop_at_random(Sample& sample, int64_t side, const DrawKey& key);

}  // namespace furrow::data
