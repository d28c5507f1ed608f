#include "io/png_walk.h"

#include <zlib.h>

#include <cstring>
#include <string>
#include <string_view>

#include "io/big_endian.h"
#include "kernels/checked.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr uint64_t kSignatureBytes = 8;
constexpr uint32_t kLargestNumber = 0x7fffffff;  // the specification's limit for lengths and sides

constexpr uint32_t tag(const char (&name)[5]) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(name[i]);
  return value;
}

struct Chunk {
  uint64_t offset = 0;  // of its length field
  uint32_t type = 0;
  std::span<const std::byte> data;
  std::string name() const {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(type >> shift & 0xff);
    return text;
  }
  bool critical() const { return (type >> 29 & 1) == 0; }  // bit 5 of the first letter: lower case is ancillary
};

Error wrong(const Chunk& chunk, std::string reason, ErrorCode code = ErrorCode::malformed) {
  return Error(code, std::move(reason)).at(chunk.offset).in(chunk.name());
}

bool is_letter(std::byte b) {
  const auto c = std::to_integer<unsigned char>(b);
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

std::string hex(uint32_t value) {
  static const char* digits = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) text += digits[value >> shift & 15];
  return text;
}

class PngWalker {
 public:
  PngWalker(std::span<const std::byte> bytes, const Limits& limits) : bytes_(bytes), limits_(limits) {}

  PngFile run() {
    if (bytes_.size() <= kSignatureBytes)
      throw Error(ErrorCode::malformed, "the file ends after the PNG signature").at(8);
    Chunk chunk = next();
    if (chunk.type == tag("CgBI")) {
      throw wrong(chunk, "Apple's CgBI variant of PNG, which no standard decoder reads", ErrorCode::unsupported)
          .hint("convert it with `pngcrush -revert-iphone-optimizations`");
    }
    if (chunk.type != tag("IHDR")) throw wrong(chunk, "the first chunk is not IHDR");
    header(chunk);
    do {
      chunk = next();
      take(chunk);
    } while (chunk.type != tag("IEND"));
    file_.trailing_bytes = bytes_.size() - position_;
    return std::move(file_);
  }

 private:
  // Reads the chunk at position_, checks its CRC and steps behind it.
  Chunk next() {
    const uint64_t left = bytes_.size() - position_;
    if (left == 0) throw Error(ErrorCode::malformed, "the file ends without an IEND chunk: it is cut").at(position_);
    if (left < 12) throw Error(ErrorCode::malformed, "the file ends inside a chunk: it is cut").at(position_);
    const std::byte* at = bytes_.data() + position_;
    Chunk chunk;
    chunk.offset = position_;
    chunk.type = be32(at + 4);
    for (int i = 4; i < 8; ++i) {
      if (!is_letter(at[i])) throw wrong(chunk, "a chunk type must be four letters");
    }
    const uint32_t length = be32(at);
    // IHDR has one legal length; anything longer is not worth reading first.
    if (length > kLargestNumber)
      throw wrong(chunk, "the chunk's length is over 2^31 - 1").limit(kLargestNumber, length);
    if (length > left - 12) {
      throw wrong(chunk, "the file ends inside this chunk: it is cut or the length is wrong").limit(left - 12, length);
    }
    chunk.data = bytes_.subspan(position_ + 8, length);
    const auto* crc_start = reinterpret_cast<const Bytef*>(at + 4);
    const auto computed = static_cast<uint32_t>(crc32_z(0, crc_start, size_t{length} + 4));
    const uint32_t stored = be32(at + 8 + length);
    if (computed != stored) {
      throw wrong(chunk, "CRC is " + hex(stored) + " in the file, " + hex(computed) + " computed", ErrorCode::checksum)
          .hint("the file was damaged; get it again");
    }
    position_ += uint64_t{length} + 12;
    return chunk;
  }

  void header(const Chunk& chunk);
  void take(const Chunk& chunk);
  void palette(const Chunk& chunk);
  void transparency(const Chunk& chunk);
  void data(const Chunk& chunk);
  void end(const Chunk& chunk);

  std::span<const std::byte> bytes_;
  const Limits& limits_;
  uint64_t position_ = kSignatureBytes;
  PngFile file_;
  bool palette_seen_ = false, transparency_seen_ = false, data_closed_ = false;
};

void PngWalker::header(const Chunk& chunk) {
  if (chunk.data.size() != 13) throw wrong(chunk, "the header must have 13 bytes").limit(13, chunk.data.size());
  const std::byte* p = chunk.data.data();
  PngHeader& h = file_.header;
  h.width = be32(p);
  h.height = be32(p + 4);
  h.depth = std::to_integer<int>(p[8]);
  h.colour = std::to_integer<int>(p[9]);
  if (h.width == 0 || h.height == 0) throw wrong(chunk, "width or height is 0");
  if (h.width > kLargestNumber || h.height > kLargestNumber) throw wrong(chunk, "width or height is over 2^31 - 1");
  const uint32_t side = std::max(h.width, h.height);
  if (side > limits_.picture_side) {
    throw wrong(chunk, "the picture is too wide or too high", ErrorCode::limit).limit(limits_.picture_side, side);
  }
  const uint64_t pixels = uint64_t{h.width} * h.height;  // both below 2^31
  if (pixels > limits_.picture_pixels) {
    throw wrong(chunk, "the picture has too many pixels", ErrorCode::limit).limit(limits_.picture_pixels, pixels);
  }
  const int d = h.depth;
  const bool power = d == 1 || d == 2 || d == 4 || d == 8 || d == 16;
  const bool legal = h.colour == 0   ? power
                     : h.colour == 3 ? power && d <= 8
                                     : (h.colour == 2 || h.colour == 4 || h.colour == 6) && (d == 8 || d == 16);
  if (!legal) {
    throw wrong(chunk, "no such PNG: colour type " + std::to_string(h.colour) + " with " + std::to_string(d) + " bits");
  }
  if (p[10] != std::byte{0}) throw wrong(chunk, "compression method " + std::to_string(int(p[10])) + " does not exist");
  if (p[11] != std::byte{0}) throw wrong(chunk, "filter method " + std::to_string(int(p[11])) + " does not exist");
  if (std::to_integer<int>(p[12]) > 1)
    throw wrong(chunk, "interlace method " + std::to_string(int(p[12])) + " does not exist");
  h.interlaced = p[12] == std::byte{1};
}

void PngWalker::take(const Chunk& chunk) {
  if (!file_.data.empty() && chunk.type != tag("IDAT")) data_closed_ = true;
  switch (chunk.type) {
    case tag("IHDR"): throw wrong(chunk, "a second header");
    case tag("PLTE"): return palette(chunk);
    case tag("tRNS"): return transparency(chunk);
    case tag("IDAT"): return data(chunk);
    case tag("IEND"): return end(chunk);
    case tag("eXIf"): file_.exif = chunk.data; return;
    case tag("acTL"): file_.animated = true; return;
    default:
      if (chunk.critical()) {
        throw wrong(chunk, "a critical chunk that this decoder does not know", ErrorCode::unsupported)
            .hint("re-save the picture as a plain PNG");
      }
  }
}

void PngWalker::palette(const Chunk& chunk) {
  if (!file_.data.empty()) throw wrong(chunk, "the palette comes after the first IDAT");
  if (palette_seen_) throw wrong(chunk, "a second palette");
  if (transparency_seen_) throw wrong(chunk, "the palette comes after tRNS");
  palette_seen_ = true;
  const PngHeader& h = file_.header;
  if (h.colour == 0 || h.colour == 4) throw wrong(chunk, "a gray picture must not have a palette");
  const size_t entries = chunk.data.size() / 3;
  if (chunk.data.size() % 3 != 0) throw wrong(chunk, "the palette's length is not a multiple of 3");
  if (entries == 0) throw wrong(chunk, "the palette is empty");
  const size_t most = h.colour == 3 ? size_t{1} << h.depth : 256;
  if (entries > most) throw wrong(chunk, "the palette has too many colours").limit(most, entries);
  if (h.colour != 3) return;  // of RGB pictures it is a suggestion only
  for (size_t i = 0; i < entries; ++i) {
    std::array<uint8_t, 3> colour;
    std::memcpy(colour.data(), chunk.data.data() + 3 * i, 3);
    file_.palette.push_back(colour);
  }
}

void PngWalker::transparency(const Chunk& chunk) {
  if (!file_.data.empty()) throw wrong(chunk, "tRNS comes after the first IDAT");
  if (transparency_seen_) throw wrong(chunk, "a second tRNS");
  transparency_seen_ = true;
  const PngHeader& h = file_.header;
  const size_t length = chunk.data.size();
  if (h.colour >= 4) throw wrong(chunk, "a picture with an alpha channel must not have tRNS");
  if (h.colour == 3) {
    if (!palette_seen_) throw wrong(chunk, "tRNS comes before the palette");
    if (length > file_.palette.size())
      throw wrong(chunk, "tRNS is longer than the palette").limit(file_.palette.size(), length);
    for (std::byte b : chunk.data) file_.palette_alpha.push_back(std::to_integer<uint8_t>(b));
    return;
  }
  const size_t wanted = size_t{2} * static_cast<size_t>(h.samples());
  if (length != wanted) throw wrong(chunk, "tRNS has the wrong length").limit(wanted, length);
  // "If the image bit depth is less than 16 bits, the least significant bits are used."
  const uint32_t mask = (1u << h.depth) - 1;
  std::array<uint16_t, 3> colour{};
  for (size_t i = 0; 2 * i < length; ++i) colour[i] = static_cast<uint16_t>(be16(chunk.data.data() + 2 * i) & mask);
  file_.transparent_colour = colour;
}

void PngWalker::data(const Chunk& chunk) {
  if (data_closed_) throw wrong(chunk, "the IDAT chunks are not consecutive");
  if (file_.header.colour == 3 && !palette_seen_) throw wrong(chunk, "a palette picture without a palette");
  if (file_.data.empty()) file_.data_offset = chunk.offset;
  file_.data.push_back(chunk.data);
  file_.data_bytes = (Checked(file_.data_bytes) + chunk.data.size()).value();
}

void PngWalker::end(const Chunk& chunk) {
  if (!chunk.data.empty()) throw wrong(chunk, "IEND must be empty");
  if (file_.data.empty()) throw wrong(chunk, "no IDAT chunk: the file holds no pixels");
}

}  // namespace

PngFile walk_png(std::span<const std::byte> bytes, const Limits& limits) { return PngWalker(bytes, limits).run(); }

std::vector<PngPass> png_passes(const PngHeader& header) {
  const uint32_t w = header.width, h = header.height;
  if (!header.interlaced) return {{0, 0, 1, 1, w, h}};
  std::vector<PngPass> passes = {{0, 0, 8, 8, 0, 0}, {4, 0, 8, 8, 0, 0}, {0, 4, 4, 8, 0, 0}, {2, 0, 4, 4, 0, 0},
                                 {0, 2, 2, 4, 0, 0}, {1, 0, 2, 2, 0, 0}, {0, 1, 1, 2, 0, 0}};
  for (PngPass& pass : passes) {
    pass.width = w > pass.x0 ? (w - pass.x0 + pass.dx - 1) / pass.dx : 0;
    pass.height = h > pass.y0 ? (h - pass.y0 + pass.dy - 1) / pass.dy : 0;
  }
  return passes;
}

uint64_t png_filtered_bytes(const PngHeader& header) {
  Checked sum = 0;
  for (const PngPass& pass : png_passes(header)) {
    if (pass.width != 0) sum += Checked(pass.height) * (Checked(header.row_bytes(pass.width)) + 1);
  }
  return sum.value();
}

void check_damaged_png_signature(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 12));
  if (head.size() < 5 || head.substr(1, 3) != "PNG") return;
  const bool newlines = head.substr(4, 3) == "\n\x1a\n" || head.substr(4, 4) == "\r\n\x1a\r" ||
                        head.substr(4, 4) == "\r\r\n\x1a" || head.substr(4, 3) == "\r\x1a\r" ||
                        head.substr(4, 4) == std::string_view("\r\n\n\x1a", 4) || head.substr(4, 4) == "\r\n\r\n";
  if (newlines) {
    throw Error(ErrorCode::malformed, "a PNG whose line ends were converted (CR LF damage of a transfer in text mode)")
        .at(4)
        .hint("transfer it again in binary mode");
  }
  if (head[0] == '\t') {
    throw Error(ErrorCode::malformed, "a PNG that went through a 7-bit channel")
        .at(0)
        .hint("transfer it again in binary mode");
  }
  throw Error(ErrorCode::malformed, "the PNG signature is damaged").at(0);
}

}  // namespace furrow::io
