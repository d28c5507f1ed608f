#include "io/jpeg_walk.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "io/big_endian.h"
#include "io/jpeg_entropy.h"
#include "io/jpeg_markers.h"
#include "io/jpeg_planes.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

using Segment = JpegSegment;

class JpegWalker {
 public:
  JpegWalker(std::span<const std::byte> bytes, const Limits& limits, JpegPlanes* planes)
      : bytes_(bytes), limits_(limits), planes_(planes) {}

  JpegFile run() {
    position_ = 2;  // behind SOI
    for (;;) {
      Segment segment = next();
      if (segment.marker == kEoi) break;
      take(segment);
      if (segment.marker == kSos) scan(segment);
    }
    finish();
    file_.complete = std::all_of(reached_.begin(), reached_.end(), [this](const auto& reached) {
      const auto last = reached.begin() + (file_.frame.progressive ? 64 : 1);
      return std::all_of(reached.begin(), last, [](int8_t low) { return low == 0; });
    });
    file_.end = position_;
    file_.trailing_bytes = bytes_.size() - position_;
    return std::move(file_);
  }

 private:
  Segment next();
  void take(const Segment& segment);
  void frame(const Segment& segment);
  void frame_geometry(const Segment& segment);
  void huffman(const Segment& segment);
  void quantisation(const Segment& segment);
  void application(const Segment& segment);
  void scan(const Segment& segment);
  JpegScan scan_header(const Segment& segment) const;
  void check_tables(const Segment& segment, const JpegScan& scan) const;
  void progress(const Segment& segment, const JpegScan& scan);
  void finish() const;

  std::span<const std::byte> bytes_;
  const Limits& limits_;
  JpegPlanes* planes_;
  uint64_t position_ = 0;
  JpegFile file_;
  bool frame_seen_ = false;
  uint32_t restart_interval_ = 0;
  std::array<std::optional<JpegQuantisation>, 4> quantisation_;
  std::array<JpegHuffman, 4> dc_, ac_;
  std::unique_ptr<JpegEntropy> entropy_;
  // Per component and coefficient: the lowest bit that scans have brought so far, or -1 for none. Sequential: 0 when
  // coded.
  std::vector<std::array<int8_t, 64>> reached_;
};

Segment JpegWalker::next() {
  Segment segment;
  segment.offset = position_;
  const auto cut = [&] {
    return Error(ErrorCode::malformed, "the file ends without EOI: it is cut").at(bytes_.size());
  };
  if (position_ >= bytes_.size()) throw cut();
  if (bytes_[position_] != std::byte{0xff}) {
    throw Error(ErrorCode::malformed, "a marker must stand here").at(position_);
  }
  while (position_ < bytes_.size() && bytes_[position_] == std::byte{0xff}) ++position_;  // fill bytes may repeat 0xFF
  if (position_ >= bytes_.size()) throw cut();
  segment.marker = std::to_integer<int>(bytes_[position_++]);
  const int m = segment.marker;
  if (m == kEoi) return segment;
  if (m == kSoi) throw wrong_segment(segment, "a second start of image");
  if (m < kSof0 || (m >= kRst0 && m <= kRst7)) throw wrong_segment(segment, "this marker has no place here");
  if (bytes_.size() - position_ < 2) throw cut();
  const uint64_t length = be16(bytes_.data() + position_);
  if (length < 2)
    throw wrong_segment(segment, "a segment's length counts itself and cannot be " + std::to_string(length));
  if (length > bytes_.size() - position_) {
    throw wrong_segment(segment, "the segment reaches beyond the file: it is cut or the length is wrong")
        .limit(bytes_.size() - position_, length);
  }
  segment.data = bytes_.subspan(position_ + 2, length - 2);
  position_ += length;
  return segment;
}

void JpegWalker::take(const Segment& segment) {
  const int m = segment.marker;
  if (m == kSof0 || m == kSof1 || m == kSof2) return frame(segment);
  if (m == kDht) return huffman(segment);
  if (m == kDqt) return quantisation(segment);
  if (m >= kApp0 && m <= kApp15) return application(segment);
  if (m == kCom || m == kSos) return;
  if (m == kDri) {
    if (segment.data.size() != 2)
      throw wrong_segment(segment, "DRI must have 4 bytes").limit(4, segment.data.size() + 2);
    restart_interval_ = be16(segment.data.data());
    return;
  }
  if (m == kDnl) throw unsupported_segment(segment, "a JPEG whose height is given after the picture (DNL)");
  if (m == kDac || m == kSof9 || m == kSof10) throw unsupported_segment(segment, "an arithmetically coded JPEG");
  if (m == kSof3) throw unsupported_segment(segment, "a lossless JPEG");
  if (m == kSof55) throw unsupported_segment(segment, "a JPEG-LS picture");
  if ((m > kSof0 && m <= kSof15 && m != kJpg) || m == kDhp || m == kExp) {
    throw unsupported_segment(segment, "a hierarchical or differential JPEG");
  }
  throw unsupported_segment(segment, "a marker of an extension that this decoder does not know");
}

void JpegWalker::frame(const Segment& segment) {
  if (frame_seen_) throw wrong_segment(segment, "a second frame header");
  frame_seen_ = true;
  file_.frame_offset = segment.offset;
  const size_t size = segment.data.size();
  if (size < 6) throw wrong_segment(segment, "the frame header is too short");
  const int precision = segment.byte(0);
  if (precision != 8)
    throw unsupported_segment(segment, "a JPEG of " + std::to_string(precision) + " bits per sample; 8 are read");
  JpegFrame& f = file_.frame;
  f.progressive = segment.marker == kSof2;
  f.height = be16(segment.data.data() + 1);
  f.width = be16(segment.data.data() + 3);
  const int count = segment.byte(5);
  if (f.width == 0) throw wrong_segment(segment, "the picture's width is 0");
  if (f.height == 0) throw unsupported_segment(segment, "a JPEG without a height in its header (DNL or damage)");
  const uint32_t side = std::max(f.width, f.height);
  if (side > limits_.picture_side) {
    throw wrong_segment(segment, "the picture is too wide or too high", ErrorCode::limit)
        .limit(limits_.picture_side, side);
  }
  const uint64_t pixels = uint64_t{f.width} * f.height;
  if (pixels > limits_.picture_pixels) {
    throw wrong_segment(segment, "the picture has too many pixels", ErrorCode::limit)
        .limit(limits_.picture_pixels, pixels);
  }
  if (size != 6 + 3 * static_cast<size_t>(count)) throw wrong_segment(segment, "the frame header has the wrong length");
  if (count != 1 && count != 3 && count != 4) {
    throw unsupported_segment(segment, "a JPEG of " + std::to_string(count) + " components; 1, 3 and 4 are read");
  }
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    JpegComponent c;
    c.id = segment.byte(6 + 3 * i);
    c.h = segment.byte(7 + 3 * i) >> 4;
    c.v = segment.byte(7 + 3 * i) & 15;
    c.table = segment.byte(8 + 3 * i);
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4) {
      throw wrong_segment(segment,
                          "sampling factors " + std::to_string(c.h) + "x" + std::to_string(c.v) + "; 1 to 4 exist");
    }
    if (c.table > 3) throw wrong_segment(segment, "quantisation table " + std::to_string(c.table) + "; 0 to 3 exist");
    for (const JpegComponent& other : f.components) {
      if (other.id == c.id) throw wrong_segment(segment, "two components have the same number");
    }
    f.components.push_back(c);
  }
  frame_geometry(segment);
}

void JpegWalker::frame_geometry(const Segment& segment) {
  JpegFrame& f = file_.frame;
  for (const JpegComponent& c : f.components) {
    f.h_max = std::max(f.h_max, c.h);
    f.v_max = std::max(f.v_max, c.v);
  }
  const auto ceil_div = [](uint32_t a, uint32_t b) { return (a + b - 1) / b; };
  const auto h_max = static_cast<uint32_t>(f.h_max), v_max = static_cast<uint32_t>(f.v_max);
  f.mcus_wide = ceil_div(f.width, 8 * h_max);
  f.mcus_high = ceil_div(f.height, 8 * v_max);
  for (JpegComponent& c : f.components) {
    if (f.h_max % c.h != 0 || f.v_max % c.v != 0) {
      throw unsupported_segment(segment, "a JPEG whose components are sampled at ratios that are no whole number");
    }
    c.blocks_wide = ceil_div(ceil_div(f.width * static_cast<uint32_t>(c.h), h_max), 8);
    c.blocks_high = ceil_div(ceil_div(f.height * static_cast<uint32_t>(c.v), v_max), 8);
  }
  reached_.assign(f.components.size(), {});
  for (auto& bits : reached_) bits.fill(-1);
  entropy_ = std::make_unique<JpegEntropy>(f, planes_);
}

void JpegWalker::huffman(const Segment& segment) {
  size_t at = 0;
  const size_t size = segment.data.size();
  if (size == 0) throw wrong_segment(segment, "an empty table segment");
  while (at < size) {
    if (size - at < 17) throw wrong_segment(segment, "the Huffman table is cut");
    const int kind = segment.byte(at) >> 4, id = segment.byte(at) & 15;
    if (kind > 1 || id > 3) throw wrong_segment(segment, "no such Huffman table");
    JpegHuffman table;
    uint32_t codes = 0, room = 1;  // codes of the current length not yet used; the last, all ones, is reserved
    for (unsigned length = 1; length <= 16; ++length) {
      const auto count = static_cast<uint32_t>(segment.byte(at + length));
      table.counts[length] = static_cast<uint8_t>(count);
      codes += count;
      room *= 2;
      if (count >= room) throw wrong_segment(segment, "the Huffman table has more codes than fit (over-full)");
      room -= count;
    }
    at += 17;
    if (codes > 256 || size - at < codes)
      throw wrong_segment(segment, "the Huffman table is cut or has more than 256 codes");
    for (uint32_t i = 0; i < codes; ++i) table.symbols.push_back(static_cast<uint8_t>(segment.byte(at + i)));
    at += codes;
    table.defined = true;
    (kind == 0 ? dc_ : ac_)[static_cast<size_t>(id)] = std::move(table);
  }
}

void JpegWalker::quantisation(const Segment& segment) {
  if (segment.data.empty()) throw wrong_segment(segment, "an empty table segment");
  // A progressive picture's coefficients are complete only at its end, with one table for all of them.
  if (file_.frame.progressive && file_.scans > 0)
    throw unsupported_segment(segment, "quantisation that changes between progressive scans");
  size_t at = 0;
  while (at < segment.data.size()) {
    const int precision = segment.byte(at) >> 4, id = segment.byte(at) & 15;
    if (precision > 1 || id > 3) throw wrong_segment(segment, "no such quantisation table");
    const size_t length = precision == 0 ? 64 : 128;
    if (segment.data.size() - at - 1 < length) throw wrong_segment(segment, "the quantisation table is cut");
    const std::byte* values = segment.data.data() + at + 1;
    JpegQuantisation& table = quantisation_[static_cast<size_t>(id)].emplace();
    for (size_t k = 0; k < 64; ++k)
      table[kJpegNatural[k]] = precision == 0 ? std::to_integer<uint16_t>(values[k]) : be16(values + 2 * k);
    at += 1 + length;
  }
}

void JpegWalker::application(const Segment& segment) {
  const std::string_view text(reinterpret_cast<const char*>(segment.data.data()), segment.data.size());
  constexpr std::string_view kExif("Exif\0\0", 6);
  if (segment.marker == kApp1 && !file_.exif && text.substr(0, 6) == kExif) file_.exif = segment.data.subspan(6);
  if (file_.scans > 0) return;  // colours are settled when the first scan begins
  if (segment.marker == kApp0 && text.size() >= 14 && text.substr(0, 5) == std::string_view("JFIF\0", 5))
    file_.jfif = true;
  if (segment.marker == kApp14 && text.size() >= 12 && text.substr(0, 5) == "Adobe")
    file_.adobe_transform = segment.byte(11);
}

void JpegWalker::scan(const Segment& segment) {
  if (!frame_seen_) throw wrong_segment(segment, "a scan before the frame header");
  if (static_cast<uint64_t>(++file_.scans) > limits_.jpeg_scans) {
    throw wrong_segment(segment, "too many scans", ErrorCode::limit)
        .limit(limits_.jpeg_scans, static_cast<uint64_t>(file_.scans));
  }
  const JpegScan header = scan_header(segment);
  check_tables(segment, header);
  progress(segment, header);
  for (int i : header.components) {
    const auto index = static_cast<size_t>(i), table = static_cast<size_t>(file_.frame.components[index].table);
    if (planes_ != nullptr) planes_->set_quantisation(index, *quantisation_[table]);
  }
  position_ = entropy_->read_scan(header, dc_, ac_, bytes_, position_);
}

JpegScan JpegWalker::scan_header(const Segment& segment) const {
  const JpegFrame& f = file_.frame;
  const auto count = static_cast<size_t>(segment.data.empty() ? 0 : segment.byte(0));
  if (count < 1 || count > f.components.size())
    throw wrong_segment(segment, "the scan names " + std::to_string(count) + " components");
  if (segment.data.size() != 4 + 2 * count) throw wrong_segment(segment, "the scan header has the wrong length");
  JpegScan scan;
  scan.offset = segment.offset;
  scan.restart_interval = restart_interval_;
  int blocks = 0;
  for (size_t i = 0; i < count; ++i) {
    const int id = segment.byte(1 + 2 * i), tables = segment.byte(2 + 2 * i);
    const auto found =
        std::find_if(f.components.begin(), f.components.end(), [&](const auto& c) { return c.id == id; });
    if (found == f.components.end())
      throw wrong_segment(segment, "the scan names a component that the frame does not have");
    const int index = static_cast<int>(found - f.components.begin());
    if (!scan.components.empty() && index <= scan.components.back()) {
      throw wrong_segment(segment, "the scan names components twice or out of order");
    }
    if (tables >> 4 > 3 || (tables & 15) > 3) throw wrong_segment(segment, "no such Huffman table");
    scan.components.push_back(index);
    scan.dc_tables.push_back(tables >> 4);
    scan.ac_tables.push_back(tables & 15);
    blocks += found->h * found->v;
  }
  if (count > 1 && blocks > 10)
    throw wrong_segment(segment, "more than 10 blocks in a coded unit").limit(10, static_cast<uint64_t>(blocks));
  const size_t tail = 1 + 2 * count;
  scan.first = segment.byte(tail);
  scan.last = segment.byte(tail + 1);
  scan.high = segment.byte(tail + 2) >> 4;
  scan.low = segment.byte(tail + 2) & 15;
  const bool legal = f.progressive ? scan.first <= scan.last && scan.last <= 63 && scan.low <= 13 &&
                                         (scan.first != 0 || scan.last == 0) && (scan.first == 0 || count == 1) &&
                                         (scan.high == 0 || scan.high == scan.low + 1)
                                   : scan.first == 0 && scan.high == 0 && scan.low == 0;
  if (!legal) throw wrong_segment(segment, "the scan's band or precision is not allowed");
  return scan;
}

void JpegWalker::check_tables(const Segment& segment, const JpegScan& scan) const {
  const bool progressive = file_.frame.progressive;
  const bool needs_dc = !progressive || (scan.first == 0 && scan.high == 0), needs_ac = !progressive || scan.first > 0;
  for (size_t i = 0; i < scan.components.size(); ++i) {
    const JpegComponent& c = file_.frame.components[static_cast<size_t>(scan.components[i])];
    if (!quantisation_[static_cast<size_t>(c.table)]) {
      throw wrong_segment(segment, "quantisation table " + std::to_string(c.table) + " is missing");
    }
    if (needs_dc && !dc_[static_cast<size_t>(scan.dc_tables[i])].defined) {
      throw wrong_segment(segment, "Huffman table DC " + std::to_string(scan.dc_tables[i]) + " is missing");
    }
    if (needs_ac && !ac_[static_cast<size_t>(scan.ac_tables[i])].defined) {
      throw wrong_segment(segment, "Huffman table AC " + std::to_string(scan.ac_tables[i]) + " is missing");
    }
  }
}

void JpegWalker::progress(const Segment& segment, const JpegScan& scan) {
  for (int index : scan.components) {
    auto& reached = reached_[static_cast<size_t>(index)];
    const int last = file_.frame.progressive ? scan.last : 0;
    if (scan.first > 0 && reached[0] < 0) throw wrong_segment(segment, "AC coefficients come before the DC ones");
    for (auto k = static_cast<size_t>(scan.first); k <= static_cast<size_t>(last); ++k) {
      const int wanted = scan.high == 0 ? -1 : scan.high;
      if (reached[k] != wanted) {
        throw wrong_segment(segment, scan.high == 0 ? "the scan codes coefficients a second time"
                                                    : "the scan refines what no scan brought");
      }
      reached[k] = static_cast<int8_t>(scan.low);
    }
  }
}

void JpegWalker::finish() const {
  const Error cut = Error(ErrorCode::malformed, "the picture ends before all its components are coded").at(position_);
  if (!frame_seen_)
    throw Error(ErrorCode::malformed, "the file ends without a frame header: it holds no picture").at(position_);
  if (file_.scans == 0) throw Error(ErrorCode::malformed, "the file holds no scan: no pixels").at(position_);
  for (const auto& reached : reached_) {
    if (reached[0] < 0) throw cut;
  }
}

}  // namespace

JpegFile walk_jpeg(std::span<const std::byte> bytes, const Limits& limits, JpegPlanes* planes) {
  return JpegWalker(bytes, limits, planes).run();
}

}  // namespace furrow::io
