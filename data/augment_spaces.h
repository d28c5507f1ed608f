// OpenCV's 8-bit colour spaces, with its numbers for each of the 2^24 colours (tests/augment/spaces_test.cc).
#pragma once

#include <cstdint>

namespace furrow::data {

// Rows of `count` interleaved pixels; `from` may be `to`.

// cv2.COLOR_RGB2GRAY: (9798 R + 19235 G + 3735 B + 2^14) >> 15; one byte per pixel.
void rgb_to_gray(const uint8_t* from, uint8_t* to, int64_t count);

// cv2.COLOR_RGB2LAB and COLOR_LAB2RGB, D65, sRGB gamma: L * 255 / 100, a + 128, b + 128. Integers throughout: gamma in
// 11 bits, XYZ by a 12-bit matrix, cube roots in 15 bits; back through 14-bit cubes and a 12-bit table of the inverse
// gamma.
void rgb_to_lab(const uint8_t* from, uint8_t* to, int64_t count);
void lab_to_rgb(const uint8_t* from, uint8_t* to, int64_t count);

// cv2.COLOR_RGB2HSV: hue / 2 (0 .. 179), saturation and value 0 .. 255, by 12-bit reciprocals.
void rgb_to_hsv(const uint8_t* from, uint8_t* to, int64_t count);
// cv2.COLOR_HSV2RGB of one whole row of the picture: float32, cut off in OpenCV's vector loop (32 pixels at a time with
// AVX2) and rounded in the rest of the row, so the last count % 32 pixels may be one level brighter.
void hsv_to_rgb(const uint8_t* from, uint8_t* to, int64_t count);

}  // namespace furrow::data
