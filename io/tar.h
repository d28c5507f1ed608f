// A strict reader of tar archives (POSIX.1-2001 ustar and pax), for the container that PyTorch wrote in 2017.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

struct TarMember {
  std::string name;
  uint64_t header_at = 0;            // byte of its header
  uint64_t at = 0;                   // byte of its content
  std::span<const std::byte> bytes;  // its content
};

// "ustar" where a header has it. Older tars without it are not known.
bool is_tar(std::string_view bytes);

// Whether the first 512 bytes hold their checksum where a tar header has it, which is all that some readers ask for:
// "ustar" or not, octal digits among others or not, bytes counted with signs or without.
bool has_tar_sum(std::string_view bytes);

// The members in the file's order. Blocks of 512 bytes: a header, whose checksum must be right, and the content, filled
// up with zeros; two or more zero blocks end the archive and reach to the end of the file. A pax header ('x') may give
// times, owners and the size of the next member; one that gives it another name or meaning is refused, so that nothing
// in the archive can be read in two ways. Members are regular files: ErrorCode::unsupported for links, folders, GNU's
// long names and sparse files; malformed for the rest; limit: more than limits.zip_entries members.
std::vector<TarMember> read_tar(std::span<const std::byte> bytes, const Limits& limits);

}  // namespace furrow::io
