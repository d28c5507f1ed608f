// JPEG: the walk with its entropy decoding, then the pixels over two different fills of fresh memory, which must not
// show, upright and turned.
#include <cstddef>
#include <cstdint>

#include "io/exif.h"
#include "io/jpeg_pixels.h"
#include "io/jpeg_walk.h"
#include "io/picture.h"
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
    const Image a = jpeg_pixels(bytes, file, limits, 1, 0), b = jpeg_pixels(bytes, file, limits, 1, 0xa5);
    const Image turned = jpeg_pixels(bytes, file, limits, 3, 0x5a);
    if (a.width != file.frame.width || a.height != file.frame.height) __builtin_trap();
    if (a.pixels != b.pixels) __builtin_trap();
    for (size_t i = 0; i < a.pixels.size(); ++i) {
      if (a.pixels[i] != turned.pixels[a.pixels.size() - 3 - i + 2 * (i % 3)]) __builtin_trap();
    }
    decode_picture(bytes, Background::drop, limits);
  } catch (const Error&) {}
  return 0;
}
