// The markers of a JPEG file, and the segments they begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/error.h"

namespace furrow::io {

// The second byte of a marker; the first is 0xFF. Source: ITU-T T.81, table B.1; SOF55 is JPEG-LS (T.87).
enum JpegMarker : int {
  kSof0 = 0xc0,
  kSof1 = 0xc1,
  kSof2 = 0xc2,
  kSof3 = 0xc3,
  kDht = 0xc4,
  kJpg = 0xc8,
  kSof9 = 0xc9,
  kSof10 = 0xca,
  kDac = 0xcc,
  kSof15 = 0xcf,
  kRst0 = 0xd0,
  kRst7 = 0xd7,
  kSoi = 0xd8,
  kEoi = 0xd9,
  kSos = 0xda,
  kDqt = 0xdb,
  kDnl = 0xdc,
  kDri = 0xdd,
  kDhp = 0xde,
  kExp = 0xdf,
  kApp0 = 0xe0,
  kApp1 = 0xe1,
  kApp14 = 0xee,
  kApp15 = 0xef,
  kSof55 = 0xf7,
  kCom = 0xfe,
};

// "SOF0", "APP1", or "marker FF f0" where the standard has no name.
std::string marker_name(int marker);

struct JpegSegment {
  uint64_t offset = 0;  // of its 0xFF
  int marker = 0;
  std::span<const std::byte> data;  // behind the length
  int byte(size_t i) const { return std::to_integer<int>(data[i]); }
};

// An error that names the segment and its place.
Error wrong_segment(const JpegSegment& segment, std::string reason, ErrorCode code = ErrorCode::malformed);
// ErrorCode::unsupported, with advice.
Error unsupported_segment(const JpegSegment& segment, std::string reason);

}  // namespace furrow::io
