// Writes a zip of stored records, aligned as PyTorch wants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/atomic_file.h"

namespace furrow::io {

// Records appear in the order of add(); finish() writes the directory. Every record's data begins at a multiple of 64
// bytes (padding in the extra field, as PyTorch's own writer does it). No time stamps: the same input, the same bytes.
class ZipWriter {
 public:
  // `file` must outlive the writer; committing it is the caller's.
  explicit ZipWriter(AtomicFile& file) : file_(file) {}

  // Throws ErrorCode::unsupported where the archive would need zip64: 4 GiB, or 65,535 records.
  void add(const std::string& name, std::span<const std::byte> bytes);
  void finish();

 private:
  void write(const std::string& bytes);
  AtomicFile& file_;
  std::string directory_;
  uint64_t at_ = 0;
  uint16_t records_ = 0;
};

}  // namespace furrow::io
