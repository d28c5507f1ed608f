// The pixels of a walked PNG, by either of two decoders that must agree.
#pragma once

#include "io/image.h"
#include "io/picture.h"
#include "io/png_walk.h"

namespace furrow::io {

// `stb`: stb_image, after a first pass over the compressed data has found them whole. `rows`: this library's own rows,
// which need no memory beyond the result. Both give the same bytes (tests and fuzzer compare them).
enum class PngRoute { stb, rows };

// stb, unless it would hold more than kStbMemory or its 32-bit sizes do not do: then a picture at the limit of 2^28
// pixels still decodes in the memory of its result.
PngRoute png_route(const PngFile& file, Background background);
inline constexpr uint64_t kStbMemory = uint64_t{13} << 27;  // 1.6 GiB: RGB of 2^28 pixels just fits

// RGB, upright. `fill`: see stb_decode.h. Throws as read_png_rows() and stb_decode_png() do.
Image png_pixels(const PngFile& file, Background background, int orientation, PngRoute route, uint8_t fill = 0);

}  // namespace furrow::io
