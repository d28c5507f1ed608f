// Photos and label maps from files: strict container walk first, then pixels, turned upright.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/limits.h"

namespace furrow::io {

// What becomes of transparency: dropped (the colour below it is kept as stored), or composited on black or white:
// round((c * alpha + background * (255 - alpha)) / 255).
enum class Background { drop, black, white };

struct PictureInfo {
  int64_t width = 0, height = 0;   // upright, as in the Image
  std::string format;              // "PNG" or "JPEG"
  int orientation = 1;             // EXIF 1..8, already applied; 1 where absent or unreadable
  int source_channels = 0;         // as stored: 1..4; a palette counts as 3, or 4 with transparency
  int source_depth = 0;            // bits per sample: 1, 2, 4, 8 or 16
  std::vector<std::string> notes;  // what a careful user may want to know: trailing bytes ignored, broken EXIF, ...
};

struct Picture {
  Image image;  // 3 channels, RGB
  PictureInfo info;
};

// Decodes PNG (every colour type and depth; of 16 bits the high byte; of an animation the default image) or JPEG
// (baseline, extended and progressive, 8 bit, gray, YCbCr, RGB, Adobe CMYK and YCCK). The whole file is checked before
// a pixel is allocated: chunk and segment structure, checksums, sizes, and that every coded pixel is there. Throws:
// malformed (broken or cut), checksum (CRC or Adler-32), unsupported (another format, answered by name; a kind of PNG
// or JPEG not read here), limit (picture_pixels, picture_side, jpeg_scans).
Picture decode_picture(std::span<const std::byte> bytes, Background background = Background::drop,
                       const Limits& limits = {});

// The same for a file. Errors name it; adds ErrorCode::io.
Picture read_picture(const std::string& path, Background background = Background::drop, const Limits& limits = {});

// One label per pixel: a palette index or a gray value, never a colour.
struct LabelMap {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> labels;                  // row-major, width * height
  std::vector<std::array<uint8_t, 3>> palette;  // RGB per label; empty for gray
};

// Decodes a label map or mask: a palette PNG of any depth (the indices), an 8-bit gray PNG (the values), or a 1-bit
// gray PNG (0 and 255). Anything else (colour, alpha, 16-bit, JPEG, whose compression invents values) is `unsupported`.
LabelMap decode_labels(std::span<const std::byte> bytes, const Limits& limits = {});
LabelMap read_labels(const std::string& path, const Limits& limits = {});

}  // namespace furrow::io
