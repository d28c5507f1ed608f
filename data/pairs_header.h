// Size and orientation of a picture file without decoding it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace furrow::data {

struct PictureHeader {
  int64_t width = 0, height = 0;  // as stored
  bool png = false;               // else JPEG
  int orientation = 1;            // EXIF 1..8; of a PNG only where it stands in front of the pixels
  int64_t upright_width() const { return orientation < 5 ? width : height; }
  int64_t upright_height() const { return orientation < 5 ? height : width; }
};

// Reads no further than the header: a few pages of the file. What it accepts may still be refused when it is decoded.
// Errors: those of io::read_picture as far as the header shows them, with the file's name.
PictureHeader read_picture_header(const std::string& path);
PictureHeader picture_header(std::span<const std::byte> bytes);

// Whether a picture of one size is one of the other size at another scale, to within a pixel of the smaller.
bool same_proportions(int64_t width, int64_t height, int64_t other_width, int64_t other_height);

}  // namespace furrow::data
