// The pixels of a walked PNG.
#pragma once

#include "io/image.h"
#include "io/picture.h"
#include "io/png_walk.h"

namespace furrow::io {

// RGB, upright: 8 bits, of 16 the high byte. Needs no memory beyond the result but a few rows. Throws as
// read_png_rows() does, which runs twice: everything is there and nothing else before anything large is allocated.
// Tests and fuzzer hold the bytes against stb_image's (tests/pictures/stb_png.h).
Image png_pixels(const PngFile& file, Background background, int orientation);

}  // namespace furrow::io
