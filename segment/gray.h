// Brightness of a photo as the face finder sees it: BT.601 gray, reduced by a whole factor where the photo is large.
#pragma once

#include <cstdint>
#include <vector>

#include "io/image.h"
#include "kernels/threads.h"

namespace furrow {

// 8-bit brightness, row-major, dense. One pixel stands for factor x factor pixels of the photo (fewer at the right and
// bottom edges).
struct GrayPicture {
  int width = 0, height = 0;
  int factor = 1;
  std::vector<uint8_t> pixels;

  uint8_t* row(int y) { return pixels.data() + static_cast<int64_t>(y) * width; }
  const uint8_t* row(int y) const { return pixels.data() + static_cast<int64_t>(y) * width; }
};

// Photos of at most this many pixels are searched at their own size; larger ones are reduced until they fit. 1500 x
// 1500: the finder's time stays bounded, and a face must be 30 * factor pixels wide to be found (90 in a 12-megapixel
// photo).
inline constexpr int64_t kFinderPixels = 1500 * 1500;

// Smallest whole factor whose reduced picture, ceil(width / factor) x ceil(height / factor), has <= `most` pixels.
int reduction_factor(int64_t width, int64_t height, int64_t most = kFinderPixels);

// Gray of an RGB photo, Y = (9798 R + 19235 G + 3735 B + 2^14) >> 15 (BT.601 weights in 15-bit fixed point, the
// rounding of OpenCV's RGB2GRAY), or the photo itself where it has one channel; then the mean over factor x factor
// blocks, rounded to nearest, halves up. Memory: the result alone, whatever the photo's size.
GrayPicture to_gray(const io::Image& photo, int factor = 1, ThreadPool* pool = nullptr);

}  // namespace furrow
