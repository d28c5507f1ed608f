#include "io/jpeg_markers.h"

#include <utility>

namespace furrow::io {

std::string marker_name(int marker) {
  if (marker >= kApp0 && marker <= kApp15) return "APP" + std::to_string(marker - kApp0);
  if (marker >= kRst0 && marker <= kRst7) return "RST" + std::to_string(marker - kRst0);
  switch (marker) {
    case kDht: return "DHT";
    case kDac: return "DAC";
    case kSos: return "SOS";
    case kDqt: return "DQT";
    case kDnl: return "DNL";
    case kDri: return "DRI";
    case kCom: return "COM";
    default: break;
  }
  if (marker >= kSof0 && marker <= kSof15 && marker != kJpg) return "SOF" + std::to_string(marker - kSof0);
  static const char* digits = "0123456789abcdef";
  return std::string("marker FF ") + digits[marker >> 4] + digits[marker & 15];
}

Error wrong_segment(const JpegSegment& segment, std::string reason, ErrorCode code) {
  return Error(code, std::move(reason)).at(segment.offset).in(marker_name(segment.marker));
}

Error unsupported_segment(const JpegSegment& segment, std::string reason) {
  return wrong_segment(segment, std::move(reason), ErrorCode::unsupported)
      .hint("re-save it as a baseline JPEG or a PNG");
}

}  // namespace furrow::io
