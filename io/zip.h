// A strict zip reader (PKWARE APPNOTE 6.3): an archive that two readers could understand differently is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/limits.h"
#include "kernels/secret_hash.h"

namespace furrow::io {

struct ZipEntry {
  std::string_view name;              // points into the archive
  std::span<const std::byte> stored;  // as it lies in the file: deflated where `deflated`
  uint64_t size = 0;                  // of the content
  uint32_t crc = 0;
  bool deflated = false;
  bool verified = false;   // false: the archive stores no CRC (0) for it
  uint64_t header_at = 0;  // of the local header
  bool has_descriptor = false;
};

// Content of an entry. `owner` is null where `bytes` lies in the archive itself.
struct ZipData {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

// The content of an entry of an archive that was opened (so that its size is known to be true).
ZipData read_zip_entry(const ZipEntry& entry);

// Accepted: stored and deflated entries, zip64, data descriptors, an archive comment. Every byte of the file must
// belong to exactly one record: entries tile the file from byte 0 to the directory, the directory reaches to its end
// record, so nothing can hide before, between, behind or inside another. Local and central headers must agree.
// What has a folder's mark or name is an empty folder, "p/" (to some readers it is empty whatever it holds).
// Names: UTF-8, relative, no empty, "." or ".." part, no backslash or control character, unique without regard to case.
class ZipArchive {
 public:
  // Reads the directory and checks every entry's CRC and, by inflating without keeping, size; a mismatch of a CRC is
  // ErrorCode::checksum. `bytes` must outlive the archive.
  ZipArchive(std::span<const std::byte> bytes, const Limits& limits);

  const std::vector<ZipEntry>& entries() const { return entries_; }  // in directory order
  const ZipEntry* find(std::string_view name) const;                 // null: none
  ZipData read(const ZipEntry& entry) const { return read_zip_entry(entry); }

 private:
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t, SecretHash> by_name_;
};

}  // namespace furrow::io
