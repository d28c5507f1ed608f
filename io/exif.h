// EXIF: the one number a picture needs from it.
#pragma once

#include <cstddef>
#include <span>

namespace furrow::io {

struct ExifOrientation {
  int value = 1;        // 1..8
  bool broken = false;  // the block could not be read to its end; value is 1
};

// The orientation tag (0x0112) of the first directory of `tiff`, a TIFF block as EXIF embeds it (from "II*\0" or
// "MM\0*" on). Never throws: wrong metadata are no reason to refuse a photo. Source: EXIF 2.3, 4.6.4.A; TIFF 6.0,
// section 2.
ExifOrientation exif_orientation(std::span<const std::byte> tiff);

}  // namespace furrow::io
