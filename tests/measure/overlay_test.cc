// The overlay, pixel by pixel on pictures small enough to work out by hand.
#include "segment/overlay.h"

#include <gtest/gtest.h>

#include "kernels/error.h"

namespace furrow {
namespace {

using Rgb = std::array<int, 3>;

Rgb at(const io::Image& image, int64_t x, int64_t y) {
  const uint8_t* p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}

io::Image flat(int64_t width, int64_t height, int channels, uint8_t value) {
  io::Image image(width, height, channels);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

const Rgb kPhoto = {100, 100, 100}, kOutline = {0, 114, 178}, kHalf = {93, 140, 167};  // half way to 86, 180, 233

TEST(Overlay, FillsAndOutlines) {
  io::Image mask(5, 5, 1);
  mask.row(2)[2] = 255;
  mask.row(0)[0] = 127;  // below the threshold
  for (const int channels : {1, 3}) {
    const io::Image out = overlay(flat(5, 5, channels, 100), mask);
    ASSERT_EQ(out.channels, 3);
    for (int64_t y = 0; y < 5; ++y)
      for (int64_t x = 0; x < 5; ++x) {
        const int64_t steps = std::abs(x - 2) + std::abs(y - 2);
        EXPECT_EQ(at(out, x, y), steps == 0 ? kHalf : steps == 1 ? kOutline : kPhoto) << x << " " << y;
      }
  }
}

TEST(Overlay, EmptyMaskLeavesThePhoto) {
  io::Image photo(7, 3, 3);
  for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i * 11);
  EXPECT_EQ(overlay(photo, io::Image(7, 3, 1)).pixels, photo.pixels);
}

TEST(Overlay, OpacityIsExactAtItsEnds) {
  const io::Image photo = flat(2, 1, 3, 200), mask = flat(2, 1, 1, 255);
  EXPECT_EQ(overlay(photo, mask, {.opacity = 0}).pixels, photo.pixels);
  EXPECT_EQ(at(overlay(photo, mask, {.opacity = 1}), 0, 0), (Rgb{86, 180, 233}));
}

TEST(Overlay, ProbabilitiesMayShowThrough) {
  io::Image mask(3, 1, 1);
  mask.pixels = {0, 51, 255};
  const io::Image out =
      overlay(flat(3, 1, 3, 0), mask, {.fill = {255, 255, 255}, .opacity = 1, .outlined = false, .proportional = true});
  EXPECT_EQ(at(out, 0, 0), (Rgb{0, 0, 0}));
  EXPECT_EQ(at(out, 1, 0), (Rgb{51, 51, 51}));
  EXPECT_EQ(at(out, 2, 0), (Rgb{255, 255, 255}));
}

TEST(Overlay, BoxesAreDashedFramesThatMayReachOutside) {
  const io::Image out = overlay(flat(20, 10, 3, 100), io::Image(20, 10, 1), {.boxes = {{2, 3, 30, 8}}});
  for (int64_t y = 0; y < 10; ++y)
    for (int64_t x = 0; x < 20; ++x) {
      const bool frame = x >= 2 && y >= 3 && y < 8 && (x == 2 || y == 3 || y == 7);
      const int dash = (x - 2 + y - 3) / 6 % 2 ? 255 : 0;
      EXPECT_EQ(at(out, x, y), frame ? (Rgb{dash, dash, dash}) : kPhoto) << x << " " << y;
    }
}

TEST(Overlay, RowsInPlaceEqualTheWholePicture) {
  io::Image photo(33, 17, 3), mask(33, 17, 1);
  for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i * 37 + i / 50);
  for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = i * 2654435761u % 7 == 0 ? 255 : 0;
  const OverlayStyle style{.boxes = {{-3, 1, 12, 40}, {5, 5, 9, 9}}};
  const io::Image whole = overlay(photo, mask, style);
  for (int64_t y = 16; y >= 0; --y)
    overlay_row({.width = 33,
                 .height = 17,
                 .y = y,
                 .channels = 3,
                 .photo = photo.row(y),
                 .mask = mask.row(y),
                 .above = y > 0 ? mask.row(y - 1) : nullptr,
                 .below = y < 16 ? mask.row(y + 1) : nullptr},
                style, photo.row(y));
  EXPECT_EQ(photo.pixels, whole.pixels);
}

TEST(Overlay, RefusesWhatDoesNotFit) {
  EXPECT_THROW(overlay(io::Image(4, 4, 3), io::Image(4, 5, 1)), Error);
  EXPECT_THROW(overlay(io::Image(4, 4, 3), io::Image(4, 4, 3)), Error);
  EXPECT_THROW(overlay(io::Image(4, 4, 4), io::Image(4, 4, 1)), Error);
  EXPECT_THROW(overlay(io::Image(4, 4, 3), io::Image(4, 4, 1), {.opacity = 1.5}), Error);
}

}  // namespace
}  // namespace furrow
