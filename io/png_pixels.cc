#include "io/png_pixels.h"

#include <vector>

#include "io/png_rows.h"
#include "io/upright.h"

namespace furrow::io {
namespace {

constexpr int kOpaque = 255;

// Samples of one row in 8 bits: colour, then alpha if the picture has any and it is wanted.
class RowUnpacker {
 public:
  RowUnpacker(const PngFile& file, bool with_alpha) : file_(file), alpha_(with_alpha && file.has_alpha()) {
    const PngHeader& h = file.header;
    const bool colour = h.colour == 2 || h.colour == 3 || h.colour == 6;
    channels = (colour ? 3 : 1) + (alpha_ ? 1 : 0);
  }

  int channels;

  void unpack(const PngRow& row, uint8_t* out) const {
    const uint8_t* from = row.packed.data();
    const uint32_t pixels = row.pass.width;
    if (file_.header.colour == 3) return palette(from, pixels, out);
    if (file_.header.depth < 8) return low_depth_gray(from, pixels, out);
    const int stored = file_.header.samples(), bytes = file_.header.depth / 8;
    const int kept = channels <= stored ? channels : stored;
    for (uint32_t x = 0; x < pixels; ++x, from += stored * bytes) {
      for (int c = 0; c < kept; ++c) *out++ = from[c * bytes];  // of 16 bits the high byte
      if (channels > stored) *out++ = transparent(from, stored, bytes) ? 0 : kOpaque;
    }
  }

 private:
  bool transparent(const uint8_t* pixel, int stored, int bytes) const {
    for (int c = 0; c < stored; ++c) {
      const int value = bytes == 1 ? pixel[c] : pixel[2 * c] << 8 | pixel[2 * c + 1];
      if (value != (*file_.transparent_colour)[static_cast<size_t>(c)]) return false;
    }
    return true;
  }

  void palette(const uint8_t* from, uint32_t pixels, uint8_t* out) const {
    for (uint32_t x = 0; x < pixels; ++x) {
      const uint8_t index = packed_sample(from, x, file_.header.depth);  // below palette.size(): read_png_rows checks
      for (uint8_t value : file_.palette[index]) *out++ = value;
      if (alpha_) *out++ = index < file_.palette_alpha.size() ? file_.palette_alpha[index] : kOpaque;
    }
  }

  void low_depth_gray(const uint8_t* from, uint32_t pixels, uint8_t* out) const {
    const int depth = file_.header.depth;
    const int scale = 255 / ((1 << depth) - 1);  // 255, 85, 17: whole numbers
    for (uint32_t x = 0; x < pixels; ++x) {
      const uint8_t value = packed_sample(from, x, depth);
      *out++ = static_cast<uint8_t>(value * scale);
      if (alpha_) *out++ = value == (*file_.transparent_colour)[0] ? 0 : kOpaque;
    }
  }

  const PngFile& file_;
  bool alpha_;
};

}  // namespace

Image png_pixels(const PngFile& file, Background background, int orientation) {
  const bool with_alpha = background != Background::drop && file.has_alpha();
  const int64_t width = file.header.width, height = file.header.height;
  read_png_rows(file);
  const RowUnpacker unpacker(file, with_alpha);
  std::vector<uint8_t> samples(static_cast<size_t>(unpacker.channels * width)), rgb(static_cast<size_t>(3 * width));
  UprightImage upright(width, height, orientation);
  read_png_rows(file, [&](const PngRow& row) {
    unpacker.unpack(row, samples.data());
    to_rgb(samples.data(), row.pass.width, unpacker.channels, background, rgb.data());
    upright.put(row.y, row.pass.x0, row.pass.dx, row.pass.width, rgb.data());
  });
  return std::move(upright.image);
}

}  // namespace furrow::io
