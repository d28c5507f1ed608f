// PNG files: 1, 8 and 16 bit gray, 8-bit RGB, 8-bit palette, written row by row on zlib.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "io/image.h"

namespace furrow::io {

enum class PngType { gray1, gray8, gray16, rgb8, palette8 };

using Palette = std::vector<std::array<uint8_t, 3>>;

// There is one way to compress, because no other is worth its time. Photos, masks and probabilities: Paeth on every
// row, then runs and Huffman codes only (zlib's Z_RLE); on portraits of 1024 x 1024 zlib's full search (level 6, best
// filter per row) took eight times as long for files between 5 % larger and 0.4 % smaller. One-bit pictures and label
// maps: unfiltered, level 6.
//
// Writes one picture to a sink, a few tens of KiB at a time, so that nothing but a row and its neighbour is held.
//   PngWriter writer(sink, width, height, PngType::gray8);
//   for (y = 0 .. height) writer.row(pixels of row y);
//   writer.finish();
// Preconditions (ErrorCode::internal): width, height in 1..2^31-1; a palette of 1..256 colours for palette8 alone;
// exactly `height` rows of the right length before finish(). What the sink throws passes through.
class PngWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;
  PngWriter(Sink sink, int64_t width, int64_t height, PngType type, const Palette& palette = {});
  ~PngWriter();
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  // gray8, palette8: width bytes. rgb8: 3 * width bytes. gray1: width bytes, zero is black, anything else white.
  void row(std::span<const uint8_t> samples);
  // gray16: width samples in the machine's byte order.
  void row16(std::span<const uint16_t> samples);
  // The end of the compressed data and of the file.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whole pictures in memory. `image`: 1 or 3 channels.
std::vector<std::byte> encode_png(const Image& image);
// `samples`: width * height, row-major.
std::vector<std::byte> encode_png_gray16(int64_t width, int64_t height, std::span<const uint16_t> samples);
// One bit per pixel: zero is black, anything else white.
std::vector<std::byte> encode_png_gray1(int64_t width, int64_t height, std::span<const uint8_t> samples);
// Every label must be below palette.size().
std::vector<std::byte> encode_png_palette(int64_t width, int64_t height, std::span<const uint8_t> labels,
                                          const Palette& palette);

}  // namespace furrow::io
