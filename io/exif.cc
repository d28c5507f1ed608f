#include "io/exif.h"

#include <cstdint>

#include "io/big_endian.h"

namespace furrow::io {
namespace {

constexpr uint32_t kOrientation = 0x0112;
constexpr uint32_t kShort = 3;

// Numbers of a TIFF block in its own byte order.
struct Numbers {
  const std::byte* data;
  bool little;
  uint32_t u16(uint64_t at) const {
    const uint32_t big = be16(data + at);
    return little ? (big >> 8 | (big & 0xff) << 8) : big;
  }
  uint32_t u32(uint64_t at) const { return little ? u16(at) | u16(at + 2) << 16 : be32(data + at); }
};

}  // namespace

ExifOrientation exif_orientation(std::span<const std::byte> tiff) {
  constexpr ExifOrientation kBroken{1, true};
  const uint64_t size = tiff.size();
  if (size < 8) return kBroken;
  const uint32_t order = be16(tiff.data());
  if (order != 0x4949 && order != 0x4d4d) return kBroken;
  const Numbers in{tiff.data(), order == 0x4949};
  if (in.u16(2) != 42) return kBroken;
  const uint64_t directory = in.u32(4);  // 64 bits: no sum below can wrap
  if (directory + 2 > size) return kBroken;
  const uint32_t entries = in.u16(directory);
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t at = directory + 2 + 12 * i;
    if (at + 12 > size) return kBroken;
    if (in.u16(at) != kOrientation) continue;
    const uint32_t value = in.u16(at + 8);
    const bool good = in.u16(at + 2) == kShort && in.u32(at + 4) == 1 && value >= 1 && value <= 8;
    return good ? ExifOrientation{static_cast<int>(value), false} : kBroken;
  }
  return {};
}

}  // namespace furrow::io
