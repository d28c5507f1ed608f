// The end records and the central directory of a zip; used by ZipArchive alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "io/limits.h"
#include "io/zip.h"

namespace furrow::io {

// One central directory header, its zip64 values resolved.
struct ZipCentral {
  std::string_view name;
  uint64_t at = 0;  // of the central header
  uint16_t flags = 0, method = 0;
  uint32_t crc = 0;
  uint64_t compressed = 0, size = 0, header_at = 0;
};

struct ZipDirectory {
  uint64_t begin = 0;  // where the directory starts and the entries must end
  std::vector<ZipCentral> entries;
};

constexpr uint16_t kZipDescriptorFlag = 8;

ZipDirectory read_zip_directory(std::span<const std::byte> bytes, const Limits& limits);

// Values of a zip64 extra field (id 1). In: the 32-bit values; those that read 0xFFFFFFFF are replaced, in the order
// size, compressed, header offset (null: the header has no such value). Returns what the field holds beyond them.
// Throws malformed where one is missing, where the extra data is no list of fields, and where a field gives the entry a
// second name.
std::span<const std::byte> resolve_zip_extra(std::span<const std::byte> extra, uint64_t at, std::string_view name,
                                             uint64_t& size, uint64_t& compressed, uint64_t* header_at);

// What a zip64 field holds beyond the values that its header leaves to it. PyTorch, Go and others repeat values there,
// and readers differ in which they believe, so each must be one of size, compressed, header offset, in this order, or,
// where `later` (a data descriptor follows), 0; four bytes at the end are a disk, 0. Throws malformed
// at `at`, the byte of that header.
void check_zip64_rest(std::span<const std::byte> rest, const ZipCentral& truth, uint64_t at, bool later);

}  // namespace furrow::io
