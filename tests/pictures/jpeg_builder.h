// JPEG files changed segment by segment, and small ones made bit by bit.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "picture_files.h"

namespace furrow::io::test {

enum : int { kSof = 0xc0, kSofProgressive = 0xc2, kDht = 0xc4, kSos = 0xda, kDqt = 0xdb, kDri = 0xdd };

// `file` with `values` written into the first segment `marker` from byte `offset` on (0 is its 0xFF).
inline Bytes edit(const Bytes& file, int marker, size_t offset, const std::vector<int>& values) {
  auto segments = jpeg_segments(file);
  Bytes& segment = segments[jpeg_find(segments, marker)].bytes;
  for (size_t i = 0; i < values.size(); ++i) segment.at(offset + i) = static_cast<std::byte>(values[i]);
  return jpeg_of(segments);
}
// Without the first segment `marker`.
inline Bytes without(const Bytes& file, int marker) {
  auto segments = jpeg_segments(file);
  segments.erase(segments.begin() + static_cast<ptrdiff_t>(jpeg_find(segments, marker)));
  return jpeg_of(segments);
}
// With `extra` in front of the first segment `marker`.
inline Bytes before(const Bytes& file, int marker, const Bytes& extra) {
  auto segments = jpeg_segments(file);
  segments.insert(segments.begin() + static_cast<ptrdiff_t>(jpeg_find(segments, marker)), FileSegment{0, extra});
  return jpeg_of(segments);
}
// A segment of marker and content.
inline Bytes segment(int marker, const std::string& content) {
  const size_t length = content.size() + 2;
  return bytes_of(std::string("\xff") + static_cast<char>(marker) + static_cast<char>(length >> 8) +
                  static_cast<char>(length) + content);
}
inline Bytes first_segment(const Bytes& file, int marker) {
  const auto segments = jpeg_segments(file);
  return segments[jpeg_find(segments, marker)].bytes;
}
inline std::string raw(std::string_view text) { return std::string(text); }

// A gray progressive or sequential JPEG of 8 x 8 * `blocks` pixels made by hand. Table DC 0: code 0 is "no difference",
// 10 is a difference of 11 bits. AC 0: code 0 ends the block, 10 is 15 zeros and a one-bit coefficient, 110 a one-bit
// coefficient, 1110 a run of 2 to 3 empty blocks, 11110 a coefficient of two bits.
struct Handmade {
  Bytes file = bytes_of("\xff\xd8");
  explicit Handmade(int sof, int blocks = 1) {
    add(segment(kDqt, std::string(1, '\0') + std::string(64, '\1')));
    add(segment(kDht, raw({"\0\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b", 19})));
    add(segment(kDht, raw({"\x10\1\1\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0\xf1\1\x10\2", 22})));
    add(segment(sof, raw({"\x8\0\x8\0", 4}) + static_cast<char>(8 * blocks) + raw({"\1\1\x11\0", 4})));
  }
  Handmade& add(const Bytes& bytes) {
    file = std::move(file) + bytes;
    return *this;
  }
  // Scan header for the band first..last at bits high, low; then coded bytes.
  Handmade& scan(int first, int last, int high, int low, std::string_view coded) {
    std::string header = raw({"\1\1\0", 3});
    for (int value : {first, last, high << 4 | low}) header += static_cast<char>(value);
    return add(segment(kSos, header)).add(bytes_of(coded));
  }
  Bytes end() { return std::move(file) + bytes_of("\xff\xd9"); }
};

}  // namespace furrow::io::test
