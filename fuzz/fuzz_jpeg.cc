// JPEG: the walk with its entropy decoding, then stb_image over two different fills of its memory, which must not show.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "io/exif.h"
#include "io/jpeg_walk.h"
#include "io/picture.h"
#include "io/stb_decode.h"
#include "kernels/error.h"

using namespace furrow;      // NOLINT
using namespace furrow::io;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  Limits limits;
  limits.picture_pixels = uint64_t{1} << 16;
  if (size < 2 || data[0] != 0xff || data[1] != 0xd8) return 0;
  try {
    const JpegFile file = walk_jpeg(bytes, limits);
    if (file.exif) exif_orientation(*file.exif);
    const StbPixels a = stb_decode_jpeg(bytes, file, 0), b = stb_decode_jpeg(bytes, file, 0xa5);
    if (a.width != file.frame.width || a.height != file.frame.height) __builtin_trap();
    if (!std::equal(a.data, a.data + 3 * a.width * a.height, b.data)) __builtin_trap();
    decode_picture(bytes, Background::drop, limits);
  } catch (const Error&) {}
  return 0;
}
