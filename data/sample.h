// Sample: one training example while it is still bytes, before it becomes a network's input and target.
#pragma once

#include <cstdint>
#include <string>

#include "io/image.h"

namespace furrow::data {

// Image, target and whatever else describes the same pixels. All pictures have one size; geometric changes apply to all
// of them, changes of colour to `image` alone.
struct Sample {
  std::string id;     // the stem that pairs the files: "00042"
  io::Image image;    // 3 channels, RGB
  io::Image target;   // 1 channel: 0 and 255 (binary), 0..255 (weak), or class numbers (several classes)
  io::Image texture;  // 1 channel, or 0 x 0 where there is none: the fourth input channel
};

// Which random numbers an item gets: a function of these three alone, whatever thread loads it and in whatever order.
// The key of a generator (kernels/random.h) is `seed`, its stream (epoch << 32 | item).
struct DrawKey {
  uint64_t seed = 0;
  uint32_t epoch = 0;
  uint32_t item = 0;  // number of the example in its data set, not in the epoch's order
  uint64_t stream() const { return uint64_t{epoch} << 32 | item; }
};

}  // namespace furrow::data
