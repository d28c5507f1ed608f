// The strict walk over a PNG file's chunks: nothing is decoded, everything that can be checked without decoding is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

// The IHDR chunk.
struct PngHeader {
  uint32_t width = 0, height = 0;
  int depth = 0;   // bits per sample
  int colour = 0;  // 0 gray, 2 RGB, 3 palette, 4 gray + alpha, 6 RGB + alpha
  bool interlaced = false;

  int samples() const { return colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1; }
  // Bytes of a row of `pixels` pixels, without its filter byte.
  uint64_t row_bytes(uint64_t pixels) const { return (pixels * static_cast<uint64_t>(samples() * depth) + 7) / 8; }
};

// One of Adam7's seven reduced pictures (or the whole one): pixel (i, j) of it is (x0 + i*dx, y0 + j*dy).
struct PngPass {
  uint32_t x0, y0, dx, dy, width, height;  // width or height may be 0: then the pass holds no bytes
};
std::vector<PngPass> png_passes(const PngHeader& header);

// Bytes of the filtered picture, filter bytes included: exactly what the compressed data must expand to.
uint64_t png_filtered_bytes(const PngHeader& header);

// Where everything lies. The spans point into the file.
struct PngFile {
  PngHeader header;
  std::vector<std::array<uint8_t, 3>> palette;  // PLTE of a palette picture
  std::vector<uint8_t> palette_alpha;           // tRNS of a palette picture, as long as PLTE or shorter
  std::optional<std::array<uint16_t, 3>>
      transparent_colour;                          // tRNS of gray (first value) or RGB, low `depth` bits only
  std::vector<std::span<const std::byte>> data;    // contents of the IDAT chunks, in order
  uint64_t data_bytes = 0;                         // their sum
  uint64_t data_offset = 0;                        // of the first one's chunk in the file
  std::optional<std::span<const std::byte>> exif;  // eXIf
  bool animated = false;                           // acTL: an APNG, whose default image this is
  uint64_t trailing_bytes = 0;                     // after IEND

  bool has_alpha() const { return header.colour >= 4 || !palette_alpha.empty() || transparent_colour.has_value(); }
};

// Walks `bytes`, which begin with the PNG signature. Checks the order, number, length and CRC of every chunk (text
// chunks are skipped unread), the header against the table of the specification and against `limits` before anything
// else is looked at. Throws malformed, checksum, unsupported (an unknown critical chunk, Apple's CgBI), limit. Source:
// W3C PNG (Third Edition), sections 5 and 11.
PngFile walk_png(std::span<const std::byte> bytes, const Limits& limits);

// "PNG" in the first bytes but not the right signature: throws `malformed` with what probably happened to the file.
// Returns where `bytes` do not look like a damaged PNG at all.
void check_damaged_png_signature(std::span<const std::byte> bytes);

}  // namespace furrow::io
