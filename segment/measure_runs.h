// Runs of set pixels in a row: how every pass over a mask skips the empty 99 % of it.
#pragma once

#include <cstdint>
#include <cstring>

namespace furrow::detail {

// Index of the first set (non-zero) pixel in row[x, width), or `width`.
inline int64_t next_set(const uint8_t* row, int64_t x, int64_t width) {
  for (; x + 8 <= width; x += 8) {
    uint64_t word;
    std::memcpy(&word, row + x, 8);
    if (word != 0) break;
  }
  while (x < width && row[x] == 0) ++x;
  return x;
}

// Calls body(begin, end) for every maximal run [begin, end) of set pixels, left to right.
template <class Body>
void for_each_run(const uint8_t* row, int64_t width, Body&& body) {
  for (int64_t x = next_set(row, 0, width); x < width; x = next_set(row, x, width)) {
    const int64_t begin = x;
    while (x < width && row[x] != 0) ++x;
    body(begin, x);
  }
}

}  // namespace furrow::detail
