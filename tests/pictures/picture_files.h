// Files for the picture tests: fixtures read, PNG built from chunks, JPEG taken apart into segments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/picture.h"

namespace furrow::io::test {

using Bytes = std::vector<std::byte>;

inline std::string data_path(const std::string& name) { return FURROW_TEST_DATA "/pictures/" + name; }
Bytes read_bytes(const std::string& path);  // fails the test where it cannot
Bytes bytes_of(std::string_view text);
Bytes operator+(Bytes a, const Bytes& b);
std::string be32_text(uint32_t value);

// length, name, data, CRC (plus `crc_change`).
Bytes png_chunk(std::string_view name, std::string_view data, uint32_t crc_change = 0);
// IHDR's 13 bytes.
std::string png_header(uint32_t width, uint32_t height, int depth, int colour, int compression = 0, int filter = 0,
                       int interlace = 0);
// `data` as a zlib stream.
std::string deflated(std::string_view data, int level = 6);
// Signature, `chunks` and nothing else.
Bytes png_of(const std::vector<Bytes>& chunks);
// An 8-bit gray PNG of `height` rows of zeros whose IDAT holds `rows` of them; `filter` in front of each.
Bytes gray_png(uint32_t width, uint32_t height, uint32_t rows, char filter = 0);
// deflated() of `count` zero bytes, made piece by piece.
std::string deflated_zeros(uint64_t count);

// The segments of a JPEG's header, SOI left out; the last begins with SOS and holds the rest of the file.
struct FileSegment {
  int marker;
  Bytes bytes;  // from 0xFF on
};
std::vector<FileSegment> jpeg_segments(const Bytes& file);
Bytes jpeg_of(const std::vector<FileSegment>& segments);
// First segment with `marker`.
size_t jpeg_find(const std::vector<FileSegment>& segments, int marker);

// Peak resident memory of this process since the last reset, and now, in bytes; 0 where the kernel does not tell.
uint64_t peak_memory();
uint64_t memory_now();
void reset_peak_memory();

}  // namespace furrow::io::test
