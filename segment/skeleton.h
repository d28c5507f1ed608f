// The skeleton of a mask: one-pixel-thin lines along the middle of its strokes, with the half width at each pixel.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/image.h"

namespace furrow::detail {

// Neighbour k of a pixel, clockwise from north. Even k share an edge, odd k a corner.
inline constexpr int kDx[8] = {0, 1, 1, 1, 0, -1, -1, -1};
inline constexpr int kDy[8] = {-1, -1, 0, 1, 1, 1, 0, -1};

// The links among a set of neighbours (bit k = neighbour k): all but the corner neighbours that an edge neighbour leads
// to already, so that a line is a path (mixed adjacency: Rosenfeld 1970).
constexpr unsigned links_among(unsigned neighbours) {
  const unsigned edges = neighbours & 0x55, beside_edge = edges << 1 | edges >> 1 | edges << 7;
  return edges | (neighbours & 0xAA & ~beside_edge);
}

// Number of set bits of a byte: std::popcount is a library call where the instruction may not be assumed.
inline constexpr std::array<uint8_t, 256> kBitCount = [] {
  std::array<uint8_t, 256> counts{};
  for (unsigned n = 0; n < 256; ++n) counts[n] = static_cast<uint8_t>(std::popcount(n));
  return counts;
}();

// A window of the mask (the box around its set pixels) with an empty border of two pixels, so that no step is checked
// against an edge. A cell is 0 off the skeleton; on it, the low 14 bits are the distance of the pixel's centre to the
// nearest clear pixel's centre in 1/kUnit pixels. The two flags belong to whoever walks the skeleton.
struct Skeleton {
  static constexpr int64_t kBorder = 2;
  static constexpr int kUnit = 5;
  static constexpr uint16_t kDistance = 0x3FFF;  // deeper than 3,276 pixels counts as 3,276
  static constexpr uint16_t kNode = 0x4000, kVisited = 0x8000;

  int64_t x0 = 0, y0 = 0, width = 0, height = 0;  // the window, in pixels of the mask
  std::vector<uint16_t> cells;                    // (height + 2 kBorder) rows of stride()
  int64_t steps[8] = {};                          // what leads from a cell to its neighbour k

  int64_t stride() const { return width + 2 * kBorder; }
  int64_t index(int64_t x, int64_t y) const { return (y - y0 + kBorder) * stride() + (x - x0 + kBorder); }
  int64_t step(int k) const { return steps[k]; }
  bool on(int64_t i) const { return cells[static_cast<size_t>(i)] != 0; }
  // Bit k is set where neighbour k is on the skeleton.
  unsigned neighbours(int64_t i) const {
    unsigned bits = 0;
    for (int k = 0; k < 8; ++k) bits |= static_cast<unsigned>(on(i + steps[k])) << k;
    return bits;
  }
  unsigned links(int64_t i) const { return links_among(neighbours(i)); }
  // How many links a cell has: 0 alone, 1 end of a line, 2 within a line, 3 or 4 junction.
  int degree(int64_t i) const { return kBitCount[links(i)]; }
};

// Skeleton of `mask` (gray, non-zero = set; what lies outside the picture is clear). Distance-ordered homotopic
// thinning: the chamfer distance 5-7-11 (Borgefors 1986) orders the pixels, and each is removed, one border side at a
// time, if it is simple (Yokoi 1973) and not the end of a line. Branches that only lead into a corner of the outline,
// i.e. end within 1.5 half widths (+ 1 pixel) of the junction they hang on, are removed afterwards. Topology is kept
// exactly: as many pieces and as many holes as the mask has. Linear time, no recursion, at most 6.6 bytes per pixel of
// the window.
Skeleton skeletonize(const io::Image& mask);

}  // namespace furrow::detail
