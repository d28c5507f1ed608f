#include "segment/gray.h"

#include <algorithm>

#include "kernels/error.h"

namespace furrow {
namespace {

inline uint32_t luma(const uint8_t* rgb) {
  return (9798u * rgb[0] + 19235u * rgb[1] + 3735u * rgb[2] + (1u << 14)) >> 15;
}

// out[i] = mean brightness of block i of the block row that starts at photo row y0.
void reduce_row(const io::Image& photo, int64_t y0, int64_t factor, int columns, uint8_t* out) {
  const int64_t y1 = std::min(y0 + factor, photo.height);
  for (int i = 0; i < columns; ++i) {
    const int64_t x0 = i * factor, x1 = std::min(x0 + factor, photo.width);
    uint64_t sum = 0;
    for (int64_t y = y0; y < y1; ++y) {
      const uint8_t* row = photo.row(y);
      for (int64_t x = x0; x < x1; ++x) sum += photo.channels == 3 ? luma(row + 3 * x) : row[x];
    }
    const uint64_t count = static_cast<uint64_t>((y1 - y0) * (x1 - x0));
    out[i] = static_cast<uint8_t>((sum + count / 2) / count);
  }
}

}  // namespace

int reduction_factor(int64_t width, int64_t height, int64_t most) {
  require(width >= 0 && height >= 0 && most >= 1, "reduction_factor: sizes >= 0, room for one pixel");
  int factor = 1;
  while (((width + factor - 1) / factor) * ((height + factor - 1) / factor) > most) ++factor;
  return factor;
}

GrayPicture to_gray(const io::Image& photo, int factor, ThreadPool* pool) {
  require(photo.channels == 1 || photo.channels == 3, "to_gray: one channel or three");
  require(factor >= 1 && static_cast<int64_t>(photo.pixels.size()) == photo.width * photo.height * photo.channels,
          "to_gray: a whole picture and a factor >= 1");
  GrayPicture gray;
  gray.factor = factor;
  gray.width = static_cast<int>((photo.width + factor - 1) / factor);
  gray.height = static_cast<int>((photo.height + factor - 1) / factor);
  gray.pixels.resize(static_cast<size_t>(gray.width) * static_cast<size_t>(gray.height));
  parallel_for(pool, gray.height, [&](int64_t y, int) {
    uint8_t* out = gray.row(static_cast<int>(y));
    if (factor > 1) return reduce_row(photo, y * factor, factor, gray.width, out);
    const uint8_t* row = photo.row(y);
    if (photo.channels == 1) {
      std::copy_n(row, gray.width, out);
    } else {
      for (int x = 0; x < gray.width; ++x) out[x] = static_cast<uint8_t>(luma(row + 3 * x));
    }
  });
  return gray;
}

}  // namespace furrow
