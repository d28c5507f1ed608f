// PNG: the walk over the chunks and the rows behind it. Any bytes end in an Error or in exactly the rows promised.
#include <cstddef>
#include <cstdint>

#include "io/exif.h"
#include "io/picture.h"
#include "io/png_rows.h"
#include "io/png_walk.h"
#include "kernels/error.h"

using namespace furrow;      // NOLINT
using namespace furrow::io;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  Limits limits;
  limits.picture_pixels = uint64_t{1} << 18;
  try {
    check_damaged_png_signature(bytes);
    if (size < 8) return 0;
    const PngFile file = walk_png(bytes, limits);
    if (file.exif) exif_orientation(*file.exif);
    uint64_t filtered = 0;
    read_png_rows(file, [&](const PngRow& row) { filtered += row.packed.size() + 1; });
    if (filtered != png_filtered_bytes(file.header)) __builtin_trap();
  } catch (const Error&) {}
  try {
    decode_labels(bytes, limits);
  } catch (const Error&) {}
  return 0;
}
