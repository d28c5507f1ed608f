// PNG to pixels, three times: by stb_image over two different fills of its memory, and by this library's own rows. What
// one of them makes of a file, the others must make of it too, byte for byte.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "io/png_pixels.h"
#include "io/png_walk.h"
#include "kernels/error.h"
#include "tests/pictures/stb_png.h"

using namespace furrow;      // NOLINT
using namespace furrow::io;  // NOLINT

namespace {

template <class Decode>
std::optional<Image> pixels(const Decode& decode) {
  try {
    return decode();
  } catch (const Error&) { return std::nullopt; }
}

void expect_same(const std::optional<Image>& a, const std::optional<Image>& b) {
  if (a.has_value() != b.has_value()) __builtin_trap();
  if (a && a->pixels != b->pixels) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 8) return 0;
  Limits limits;
  limits.picture_pixels = uint64_t{1} << 16;
  try {
    const PngFile file = walk_png({reinterpret_cast<const std::byte*>(data), size}, limits);
    const bool alpha = file.has_alpha();
    for (Background background : {Background::drop, Background::white}) {
      const auto own = pixels([&] { return png_pixels(file, background, 1); });
      expect_same(own, pixels([&] { return stb_png_pixels(file, background, 1, 0); }));
      expect_same(own, pixels([&] { return stb_png_pixels(file, background, 1, 0xa5); }));
      if (!alpha) break;
    }
  } catch (const Error&) {}
  return 0;
}
