// Label maps: the numbers that a PNG stores, not the colours they stand for.
#include <string>

#include "io/exif.h"
#include "io/file_format.h"
#include "io/mapped_file.h"
#include "io/picture.h"
#include "io/png_rows.h"
#include "io/png_walk.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

Error refuse(std::string reason) {
  return Error(ErrorCode::unsupported, "as a label map, " + std::move(reason))
      .hint("save it as an 8-bit gray or a palette PNG");
}

void check_kind(const PngFile& file) {
  const PngHeader& h = file.header;
  if (h.colour == 2 || h.colour == 6)
    throw refuse("a colour picture says nothing: labels are palette indices or gray values");
  if (h.colour == 4) throw refuse("a picture with an alpha channel is ambiguous");
  if (h.colour == 0 && h.depth != 1 && h.depth != 8) {
    throw refuse("a gray picture of " + std::to_string(h.depth) + " bits is ambiguous; 8 or 1 are read");
  }
  // Applying it here and not to the photo, or the other way round, would shift every label.
  if (file.exif && exif_orientation(*file.exif).value != 1) throw refuse("a picture that EXIF rotates is ambiguous");
}

}  // namespace

LabelMap decode_labels(std::span<const std::byte> bytes, const Limits& limits) {
  if (bytes.empty()) throw Error(ErrorCode::malformed, "the file is empty").at(0);
  const FileFormat format = file_format(bytes);
  if (format.name != "PNG") {
    check_damaged_png_signature(bytes);
    if (format.name == "JPEG") throw refuse("a JPEG invents values: its compression is not exact");
    throw refuse(format.name.empty() ? "a file of unknown kind is no use" : std::string(format.name) + " is not read");
  }
  const PngFile file = walk_png(bytes, limits);
  check_kind(file);
  const PngHeader& h = file.header;
  read_png_rows(file);  // complete before anything is allocated
  LabelMap map;
  map.width = h.width;
  map.height = h.height;
  map.palette = file.palette;
  map.labels.resize(static_cast<size_t>(map.width * map.height));
  const int scale = h.colour == 0 && h.depth == 1 ? 255 : 1;
  read_png_rows(file, [&](const PngRow& row) {
    uint8_t* to = map.labels.data() + row.y * map.width;
    for (uint32_t i = 0; i < row.pass.width; ++i) {
      to[row.pass.x0 + i * row.pass.dx] = static_cast<uint8_t>(packed_sample(row.packed.data(), i, h.depth) * scale);
    }
  });
  return map;
}

LabelMap read_labels(const std::string& path, const Limits& limits) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path, MappedFile::Access::copy);
    LabelMap map = decode_labels(file->bytes(), limits);
    file->check_unchanged();
    return map;
  });
}

}  // namespace furrow::io
