#include "data/pairs_header.h"

#include <cmath>
#include <cstring>
#include <string_view>

#include "io/big_endian.h"
#include "io/exif.h"
#include "io/file_format.h"
#include "io/jpeg_markers.h"
#include "io/mapped_file.h"
#include "io/png_walk.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

using Bytes = std::span<const std::byte>;

Error cut(size_t offset) {
  return Error(ErrorCode::malformed, "the file ends inside its header: it is cut").at(offset);
}

bool is_tag(const std::byte* p, std::string_view name) { return std::memcmp(p, name.data(), 4) == 0; }

// Chunks from IHDR to the first IDAT: 4 bytes of length, 4 of name, data, 4 of CRC.
PictureHeader png_header(Bytes bytes) {
  PictureHeader header{.png = true};
  for (size_t at = 8; at < bytes.size();) {
    if (bytes.size() - at < 12) throw cut(at);
    const std::byte* chunk = bytes.data() + at;
    const size_t length = io::be32(chunk);
    if (bytes.size() - at - 12 < length) throw cut(at);
    if (at == 8) {
      if (!is_tag(chunk + 4, "IHDR") || length != 13)
        throw Error(ErrorCode::malformed, "the first chunk is not IHDR").at(at);
      header.width = io::be32(chunk + 8);
      header.height = io::be32(chunk + 12);
    }
    if (is_tag(chunk + 4, "eXIf")) header.orientation = io::exif_orientation(bytes.subspan(at + 8, length)).value;
    if (is_tag(chunk + 4, "IDAT") || is_tag(chunk + 4, "IEND")) break;
    at += 12 + length;
  }
  return header;
}

// Segments from SOI to the frame header.
PictureHeader jpeg_header(Bytes bytes) {
  PictureHeader header;
  for (size_t at = 2;;) {
    while (at < bytes.size() && bytes[at] == std::byte{0xff} && at + 1 < bytes.size() &&
           bytes[at + 1] == std::byte{0xff})
      ++at;  // fill bytes
    if (bytes.size() - at < 4) throw cut(at);
    if (bytes[at] != std::byte{0xff}) throw Error(ErrorCode::malformed, "no marker where one belongs").at(at);
    const int marker = std::to_integer<int>(bytes[at + 1]);
    const size_t length = io::be16(bytes.data() + at + 2);
    if (length < 2 || marker == io::kSos || marker == io::kEoi || (marker >= io::kRst0 && marker <= io::kSoi))
      throw Error(ErrorCode::malformed, "no frame header in front of the scans").at(at);
    if (bytes.size() - at - 2 < length) throw cut(at);
    const Bytes data = bytes.subspan(at + 4, length - 2);
    const bool frame =
        marker >= io::kSof0 && marker <= io::kSof15 && marker != io::kDht && marker != io::kJpg && marker != io::kDac;
    if (frame) {
      if (data.size() < 6) throw cut(at);
      header.height = io::be16(data.data() + 1);
      header.width = io::be16(data.data() + 3);
      return header;
    }
    if (marker == io::kApp1 && data.size() > 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0 &&
        header.orientation == 1)
      header.orientation = io::exif_orientation(data.subspan(6)).value;
    at += 2 + length;
  }
}

}  // namespace

PictureHeader picture_header(std::span<const std::byte> bytes) {
  if (bytes.empty()) throw Error(ErrorCode::malformed, "the file is empty").at(0);
  const io::FileFormat format = io::file_format(bytes);
  if (format.name == "PNG" || format.name == "JPEG") {
    const PictureHeader header = format.name == "PNG" ? png_header(bytes) : jpeg_header(bytes);
    if (header.width == 0 || header.height == 0)
      throw Error(ErrorCode::malformed, "a side of the picture is 0").in("header");
    return header;
  }
  io::check_damaged_png_signature(bytes);
  const std::string what = format.name.empty() ? "a file of unknown kind" : std::string(format.name);
  throw Error(ErrorCode::unsupported, "this is " + what + ", not PNG or JPEG").at(0).hint(std::string(format.hint));
}

PictureHeader read_picture_header(const std::string& path) {
  // Mapped, not copied: of tens of thousands of photos only the first pages are wanted.
  return with_file(path, [&] { return picture_header(io::MappedFile::open(path)->bytes()); });
}

bool same_proportions(int64_t width, int64_t height, int64_t other_width, int64_t other_height) {
  if (width < other_width) return same_proportions(other_width, other_height, width, height);
  const double scale = static_cast<double>(width) / static_cast<double>(other_width);
  return std::abs(static_cast<double>(other_height) * scale - static_cast<double>(height)) <= scale;
}

}  // namespace furrow::data
