// The terminal preview, byte by byte on tiny pictures.
#include "segment/preview.h"

#include <gtest/gtest.h>

#include "kernels/error.h"

namespace furrow {
namespace {

// Red over blue, green over white.
io::Image four_colours() {
  io::Image image(2, 2, 3);
  image.pixels = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
  return image;
}

TEST(Preview, TrueColour) {
  EXPECT_EQ(terminal_preview(four_colours(), 2),
            "\x1b[38;2;255;0;0;48;2;0;0;255m\u2580\x1b[38;2;0;255;0;48;2;255;255;255m\u2580\x1b[0m\n");
}

TEST(Preview, Indexed) {
  EXPECT_EQ(terminal_preview(four_colours(), 2, PreviewColour::indexed),
            "\x1b[38;5;196;48;5;21m\u2580\x1b[38;5;46;48;5;231m\u2580\x1b[0m\n");
  io::Image gray(1, 2, 1);
  gray.pixels = {8, 128};
  EXPECT_EQ(terminal_preview(gray, 1, PreviewColour::indexed), "\x1b[38;5;232;48;5;244m\u2580\x1b[0m\n");
}

TEST(Preview, PlainText) {
  io::Image ramp(10, 4, 1);
  for (int64_t y = 0; y < 4; ++y)
    for (int64_t x = 0; x < 10; ++x) ramp.row(y)[x] = static_cast<uint8_t>(x * 255 / 9);
  EXPECT_EQ(terminal_preview(ramp, 10, PreviewColour::none), " .:-=+*#%@\n .:-=+*#%@\n");
  EXPECT_EQ(terminal_preview(ramp, 2, PreviewColour::none), ":#\n");
}

TEST(Preview, AveragesAndKeepsTheAspect) {
  io::Image stripes(64, 48, 1);
  for (int64_t y = 0; y < 48; ++y)
    for (int64_t x = 0; x < 64; ++x) stripes.row(y)[x] = x % 2 ? 200 : 100;
  const std::string text = terminal_preview(stripes, 16);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);  // 16 x 48 / 64 / 2
  EXPECT_EQ(text.find("38;2;150;150;150;48;2;150;150;150m"), 2u);
}

TEST(Preview, OddCases) {
  EXPECT_EQ(terminal_preview(io::Image(0, 0, 3), 10), "");
  EXPECT_EQ(terminal_preview(io::Image(1, 1, 1), 3, PreviewColour::none), "   \n   \n");  // enlarged
  const std::string thin = terminal_preview(io::Image(1, 60'000, 1), 5, PreviewColour::none);
  EXPECT_EQ(std::count(thin.begin(), thin.end(), '\n'), 20);
  EXPECT_THROW(terminal_preview(io::Image(4, 4, 3), 0), Error);
  EXPECT_THROW(terminal_preview(io::Image(4, 4, 3), 401), Error);
  EXPECT_THROW(terminal_preview(io::Image(4, 4, 2), 4), Error);
}

}  // namespace
}  // namespace furrow
