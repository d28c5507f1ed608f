// The pixels of a walked JPEG.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/image.h"
#include "io/jpeg_walk.h"
#include "io/limits.h"

namespace furrow::io {

// RGB, upright (orientation 1..8 as EXIF numbers them): the bytes that libjpeg-turbo 2.1 gives with its default
// settings (inverse DCT "islow", fancy upsampling), and for CMYK and YCCK what Pillow makes of those. `file`: what
// walk_jpeg() has found in `bytes`. Holds, beside the result, each component's samples, and of a progressive picture
// before that two bytes per sample. `fill`: the byte that fresh memory holds; a test decodes with two different ones.
Image jpeg_pixels(std::span<const std::byte> bytes, const JpegFile& file, const Limits& limits, int orientation,
                  uint8_t fill = 0);

}  // namespace furrow::io
