// Changes of colour, blur and noise at given parameters, with the numbers of albumentations 1.4.22 and OpenCV 4.10 on
// 8-bit RGB: the same bytes (tests/data/make_augment_golden.py).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "io/image.h"

namespace furrow::data {

// All functions below: RGB pictures of 3 channels (ErrorCode::internal otherwise), changed in place.

// Tables of 256: v -> clip(v * factor), v -> clip(v * factor + mean * (1 - factor)), in float32 and cut off (not
// rounded); `mean` is that of the gray picture (BT.601 in 15-bit fixed point). factor >= 0. A factor of exactly 1
// changes nothing.
void adjust_brightness(io::Image& image, double factor);
void adjust_contrast(io::Image& image, double factor);
// round(v * factor + gray * (1 - factor)) in float32, product and sum of the first term rounded once.
void adjust_saturation(io::Image& image, double factor);
// Hue in steps of 2 degrees (OpenCV's 8-bit HSV) moved by 360 degrees * turn, cut off. `turn` within -0.5 .. 0.5.
// Passing through 8-bit HSV changes colours by itself; a turn of exactly 0 skips it, as the library does.
void adjust_hue(io::Image& image, double turn);

// A.ColorJitter: the four in the given order.
struct ColourJitter {
  double brightness = 1, contrast = 1, saturation = 1, hue = 0;
  std::array<int, 4> order = {0, 1, 2, 3};  // 0 brightness, 1 contrast, 2 saturation, 3 hue
};
void jitter_colours(io::Image& image, const ColourJitter& jitter);

// A.GaussianBlur with sigma_limit 0: `size` x `size` taps, 3, 5 or 7, which OpenCV takes from a table for these sizes,
// not from a Gaussian: 1 2 1, 1 4 6 4 1, 2 7 14 18 14 7 2. BORDER_REFLECT_101, exact sums, rounded once.
void blur(io::Image& image, int size);

// A.GaussNoise for a given field of width * height * 3 grey levels, interleaved: each is cut off towards zero, then
// added and clipped. NaN is a breach of the precondition.
void add_noise(io::Image& image, std::span<const float> noise);

// A.CLAHE: contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994) of the L of 8-bit
// Lab (data/augment_spaces.h), `tiles` x `tiles` tiles; the picture is mirrored to the right and below up to a multiple
// of `tiles`. A bin holds at most max(1, int(clip_limit * pixels / 256)) pixels of its tile, the excess is spread over
// all bins; pixels blend the tables of the four nearest tiles bilinearly in float32. clip_limit > 0; tiles >= 1.
void equalise_locally(io::Image& image, double clip_limit, int tiles = 8);

}  // namespace furrow::data
