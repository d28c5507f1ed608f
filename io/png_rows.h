// The rows of a PNG: compressed data inflated as a stream, counted, and unfiltered where somebody wants them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "io/png_walk.h"

namespace furrow::io {

// One row of one pass: packed samples as PNG stores them (big-endian, several to a byte below 8 bits). Pixel i is
// (pass.x0 + i * pass.dx, y) of the picture.
struct PngRow {
  const PngPass& pass;
  uint32_t y;
  std::span<const uint8_t> packed;
};
using PngRowSink = std::function<void(const PngRow&)>;

// Inflates the picture data of `file` once, a row at a time, and checks that it is exactly what the header promises: no
// byte less, no byte more, every filter known, every palette index within the palette, the zlib stream complete and its
// Adler-32 right. Memory: two rows and a fixed buffer, whatever the file says. Rows go to `sink` if there is one.
// Throws malformed or checksum. Source: W3C PNG (Third Edition), sections 7 to 10; RFC 1950.
void read_png_rows(const PngFile& file, const PngRowSink& sink = {});

// Sample `i` of a packed row of samples of `depth` bits (1, 2, 4 or 8).
inline uint8_t packed_sample(const uint8_t* packed, uint64_t i, int depth) {
  if (depth == 8) return packed[i];
  const auto bits = static_cast<unsigned>(depth);
  const unsigned shift = 8 - bits - static_cast<unsigned>(i * bits & 7);
  return static_cast<uint8_t>(packed[i * bits >> 3] >> shift & ((1u << bits) - 1));
}

}  // namespace furrow::io
