// A second opinion on PNG pixels: stb_image, given only what the walk has checked, within a memory budget, on memory of
// known content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "io/image.h"
#include "io/picture.h"
#include "io/png_walk.h"

namespace furrow::io {

// Pixels as stb_image returns them: 8 bits (16-bit samples reduced to their high byte), row-major, interleaved.
class StbPixels {
 public:
  StbPixels();
  ~StbPixels();
  StbPixels(StbPixels&&) noexcept;
  StbPixels& operator=(StbPixels&&) noexcept;

  int64_t width = 0, height = 0;
  int channels = 0;  // 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha
  const uint8_t* row(int64_t y) const { return data + y * width * channels; }

  const uint8_t* data = nullptr;  // in heap
  struct Heap;
  std::unique_ptr<Heap> heap;
};

// Bytes that stb_decode_png will hold at once, at most; the decoder's budget.
uint64_t stb_png_bytes(const PngFile& file, bool with_alpha);
// Decodes a walked PNG. stb_image is not shown the file but one rebuilt from the walk's findings: header, palette,
// transparency (only if `with_alpha`), one IDAT. `fill`: the byte that fresh memory holds; a test decodes with two
// different ones, for version 2.27 can return memory that it never wrote.
// Throws malformed with stb_image's words where it refuses what the walk accepted; limit where the budget does not do.
StbPixels stb_decode_png(const PngFile& file, bool with_alpha, uint8_t fill = 0);

// What png_pixels() gives, by stb_image. Throws as read_png_rows() and stb_decode_png() do.
Image stb_png_pixels(const PngFile& file, Background background, int orientation, uint8_t fill = 0);

}  // namespace furrow::io
