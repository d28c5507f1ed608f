// Bytes made by a formula that the scripts of tests/data know too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace furrow::data::test {

// As noise() of make_resize_golden.py: with an odd seed only 0 and 255.
inline std::vector<uint8_t> noise(size_t count, uint64_t seed) {
  std::vector<uint8_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = (i * 2654435761u + seed * 40503u + 12345u) & 0xffffffffu;
    x ^= x >> 15;
    x = x * 2246822519u & 0xffffffffu;
    x ^= x >> 13;
    const auto value = static_cast<uint8_t>(x >> 8);
    values[i] = seed % 2 == 0 ? value : value < 128 ? 0 : 255;
  }
  return values;
}

}  // namespace furrow::data::test
