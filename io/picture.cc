#include "io/picture.h"

#include <string>
#include <utility>

#include "io/exif.h"
#include "io/file_format.h"
#include "io/jpeg_pixels.h"
#include "io/jpeg_walk.h"
#include "io/mapped_file.h"
#include "io/png_pixels.h"
#include "io/png_walk.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

// Throws unless `bytes` are a PNG or a JPEG; true for PNG.
bool is_png(std::span<const std::byte> bytes) {
  if (bytes.empty()) throw Error(ErrorCode::malformed, "the file is empty").at(0);
  const FileFormat format = file_format(bytes);
  if (format.name == "PNG" || format.name == "JPEG") return format.name == "PNG";
  check_damaged_png_signature(bytes);
  if (format.name.empty()) {
    throw Error(ErrorCode::unsupported, "neither PNG nor JPEG, nor any format known by name")
        .at(0)
        .hint("give a PNG or JPEG photo");
  }
  throw Error(ErrorCode::unsupported, "this is " + std::string(format.name) + ", not PNG or JPEG")
      .at(0)
      .hint(std::string(format.hint));
}

// Orientation from an EXIF block, with a note where it could not be read.
int orientation(const std::optional<std::span<const std::byte>>& exif, PictureInfo& info) {
  if (!exif) return 1;
  const ExifOrientation found = exif_orientation(*exif);
  if (found.broken) info.notes.push_back("the EXIF block is broken; the picture is taken as upright");
  return found.value;
}

void note_trailing(uint64_t bytes, PictureInfo& info) {
  if (bytes != 0) info.notes.push_back(std::to_string(bytes) + " bytes after the end of the picture ignored");
}

Picture decode_png(std::span<const std::byte> bytes, Background background, const Limits& limits) {
  const PngFile file = walk_png(bytes, limits);
  Picture picture;
  PictureInfo& info = picture.info;
  info.format = "PNG";
  info.orientation = orientation(file.exif, info);
  info.source_depth = file.header.depth;
  info.source_channels = file.header.colour == 3 ? 3 : file.header.samples();
  if (file.has_alpha() && file.header.colour < 4) ++info.source_channels;
  if (file.animated) info.notes.push_back("an animation (APNG); its default image is taken");
  note_trailing(file.trailing_bytes, info);
  picture.image = png_pixels(file, background, info.orientation);
  return picture;
}

Picture decode_jpeg(std::span<const std::byte> bytes, const Limits& limits) {
  const JpegFile file = walk_jpeg(bytes, limits);
  const bool adobe = file.adobe_transform == 0 || file.adobe_transform == 2;
  if (file.frame.components.size() == 4 && !adobe) {
    throw Error(ErrorCode::unsupported, "a JPEG of four components whose colours no Adobe segment explains")
        .at(file.frame_offset)
        .hint("convert it to RGB");
  }
  Picture picture;
  PictureInfo& info = picture.info;
  info.format = "JPEG";
  info.orientation = orientation(file.exif, info);
  info.source_depth = 8;
  info.source_channels = static_cast<int>(file.frame.components.size());
  if (info.source_channels == 4) info.notes.push_back("CMYK, converted to RGB without a colour profile");
  if (!file.complete) info.notes.push_back("a progressive JPEG without its last scans; the picture is coarse");
  note_trailing(file.trailing_bytes, info);
  picture.image = jpeg_pixels(bytes, file, limits, info.orientation);
  return picture;
}

}  // namespace

Picture decode_picture(std::span<const std::byte> bytes, Background background, const Limits& limits) {
  Picture picture = is_png(bytes) ? decode_png(bytes, background, limits) : decode_jpeg(bytes, limits);
  picture.info.width = picture.image.width;
  picture.info.height = picture.image.height;
  return picture;
}

Picture read_picture(const std::string& path, Background background, const Limits& limits) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path, MappedFile::Access::copy);
    Picture picture = decode_picture(file->bytes(), background, limits);
    file->check_unchanged();
    return picture;
  });
}

}  // namespace furrow::io
