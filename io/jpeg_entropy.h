// The coded data of JPEG scans: every code read and counted; coefficients computed only where someone wants them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/jpeg_walk.h"

namespace furrow::io {

// The place in a block, row by row, of the k-th coefficient in zigzag order (T.81, figure A.6).
inline constexpr std::array<uint8_t, 64> kJpegNatural = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

// Reads the scans of one frame in file order. Holds, for progressive pictures only, one bit per AC coefficient that has
// become nonzero: 64 bits per block, because refinement scans code exactly those.
class JpegEntropy {
 public:
  // `planes` receives the blocks; nullptr: nobody does.
  JpegEntropy(const JpegFrame& frame, JpegPlanes* planes);

  // Reads the coded data of `scan`, which begin at `position` of `bytes`, and returns the position of the marker behind
  // them (0xFF). `dc`, `ac`: the four tables of each kind in force; those that the scan names must be defined.
  // Throws malformed where a code does not exist, a coefficient lies outside its block or band, a DC value outside 12
  // bits, a restart marker is missing or out of order, or data are missing or left over. (Zero bytes after the last
  // block are let pass: some cameras pad with them.)
  uint64_t read_scan(const JpegScan& scan, const std::array<JpegHuffman, 4>& dc, const std::array<JpegHuffman, 4>& ac,
                     std::span<const std::byte> bytes, uint64_t position);

 private:
  struct FreeBytes {
    void operator()(uint64_t* p) const;
  };

  const JpegFrame& frame_;
  JpegPlanes* planes_;
  // Per component, blocks_wide * blocks_high; bit k: coefficient k in zigzag order is nonzero. Allocated by the
  // component's first AC scan; from calloc, so that memory is touched only where there is data.
  std::vector<std::unique_ptr<uint64_t[], FreeBytes>> nonzero_;
};

}  // namespace furrow::io
