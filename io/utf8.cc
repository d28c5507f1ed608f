#include "io/utf8.h"

#include <cstddef>
#include <cstdint>

namespace furrow::io {

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  size_t i = 0;
  while (i < text.size()) {
    const uint8_t first = byte(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return i;
    for (size_t k = 1; k < length; ++k)
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    const uint8_t second = byte(i + 1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return i;
    if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return i;
    i += length;
  }
  return i;
}

}  // namespace furrow::io
