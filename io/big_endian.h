// Unaligned big-endian numbers, as PNG and JPEG store them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::io {

inline uint32_t be16(const std::byte* p) {
  return std::to_integer<uint32_t>(p[0]) << 8 | std::to_integer<uint32_t>(p[1]);
}
inline uint32_t be32(const std::byte* p) { return be16(p) << 16 | be16(p + 2); }

inline void put_be16(uint8_t* p, uint32_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
inline void put_be32(uint8_t* p, uint32_t value) {
  put_be16(p, value >> 16);
  put_be16(p + 2, value & 0xffff);
}

}  // namespace furrow::io
