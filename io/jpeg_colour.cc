#include "io/jpeg_colour.h"

#include <algorithm>
#include <array>

namespace furrow::io {
namespace {

constexpr int fixed(double value) { return static_cast<int>(value * 65536 + 0.5); }

uint8_t clamped(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// round(a * b / 255).
uint8_t part(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// What a chroma sample adds to red, green and blue; green with 16 bits of fraction, its rounding included once.
struct Chroma {
  std::array<int, 256> cr_red, cb_blue, cr_green, cb_green;
  constexpr Chroma() : cr_red(), cb_blue(), cr_green(), cb_green() {
    for (int i = 0; i < 256; ++i) {
      const auto k = static_cast<size_t>(i);
      cr_red[k] = (fixed(1.402) * (i - 128) + 32768) >> 16;
      cb_blue[k] = (fixed(1.772) * (i - 128) + 32768) >> 16;
      cr_green[k] = -fixed(0.71414) * (i - 128);
      cb_green[k] = -fixed(0.34414) * (i - 128) + 32768;
    }
  }
};
constexpr Chroma kChroma;

void ycc_to_rgb(const uint8_t* const* rows, int64_t count, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, rgb += 3) {
    const int y = rows[0][i];
    const uint8_t cb = rows[1][i], cr = rows[2][i];
    rgb[0] = clamped(y + kChroma.cr_red[cr]);
    rgb[1] = clamped(y + ((kChroma.cb_green[cb] + kChroma.cr_green[cr]) >> 16));
    rgb[2] = clamped(y + kChroma.cb_blue[cb]);
  }
}

}  // namespace

JpegColours jpeg_colours(const JpegFile& file) {
  const auto& c = file.frame.components;
  if (c.size() == 1) return JpegColours::gray;
  if (c.size() == 4) return file.adobe_transform == 0 ? JpegColours::cmyk : JpegColours::ycck;
  if (file.jfif) return JpegColours::ycc;
  if (file.adobe_transform >= 0) return file.adobe_transform == 0 ? JpegColours::rgb : JpegColours::ycc;
  return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B' ? JpegColours::rgb : JpegColours::ycc;
}

void jpeg_to_rgb(JpegColours colours, const uint8_t* const* rows, int64_t count, uint8_t* rgb) {
  if (colours == JpegColours::ycc || colours == JpegColours::ycck) ycc_to_rgb(rows, count, rgb);
  for (int64_t i = 0; i < count && colours != JpegColours::ycc; ++i, rgb += 3) {
    for (int c = 0; c < 3; ++c) {
      switch (colours) {
        case JpegColours::gray: rgb[c] = rows[0][i]; break;
        case JpegColours::rgb: rgb[c] = rows[c][i]; break;
        case JpegColours::cmyk: rgb[c] = part(rows[c][i], rows[3][i]); break;
        default: rgb[c] = part(255 - rgb[c], rows[3][i]);
      }
    }
  }
}

}  // namespace furrow::io
