// Bilinear interpolation with align_corners: which source lines an output line mixes, and by how much. In whole
// numbers, then double.
#pragma once

#include <algorithm>
#include <cstdint>

namespace furrow::cpu {

// Output line o of `out` is (1 - fraction) * low + fraction * high of `in` source lines.
struct Between {
  int64_t low, high;
  double fraction;
};
inline Between between(int64_t o, int64_t in, int64_t out) {
  if (out <= 1) return {0, 0, 0};
  const int64_t scaled = o * (in - 1), step = out - 1, low = scaled / step;
  return {low, std::min(low + 1, in - 1), static_cast<double>(scaled % step) / static_cast<double>(step)};
}

}  // namespace furrow::cpu
