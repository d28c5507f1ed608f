// Image: 8-bit interleaved pixels as photos and masks are held between decoding and encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace furrow::io {

// Row-major, top row first, channels interleaved; 1 = gray, 3 = RGB. `pixels.size() == width*height*channels`.
struct Image {
  int64_t width = 0, height = 0;
  int channels = 3;
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int64_t w, int64_t h, int c) : width(w), height(h), channels(c), pixels(static_cast<size_t>(w * h * c)) {}
  uint8_t* row(int64_t y) { return pixels.data() + y * width * channels; }
  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * channels; }
};

}  // namespace furrow::io
