// Resizing against what OpenCV gave (tests/data/make_opencv_resize_golden.py): not one byte may differ.
#include "io/resize_opencv.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "io/sha256.h"
#include "kernels/error.h"
#include "noise.h"

namespace furrow::io {
namespace {

Image made(int64_t width, int64_t height, int channels, uint64_t seed) {
  Image image(width, height, channels);
  image.pixels = data::test::noise(image.pixels.size(), seed);
  return image;
}

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t b : bytes) {
    text += "0123456789abcdef"[b >> 4];
    text += "0123456789abcdef"[b & 15];
  }
  return text;
}

void expect_opencv(const std::string& name, OpencvFilter filter) {
  std::ifstream file(FURROW_TEST_DATA "/datasets/opencv_resize.txt");
  int digests = 0, whole = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string word, expected;
    in >> word;
    const bool full = word == "full";
    if (full) in >> word;
    if (word != name) continue;
    int channels = 0;
    int64_t width = 0, height = 0, to_width = 0, to_height = 0;
    uint64_t seed = 0;
    in >> channels >> width >> height >> to_width >> to_height >> seed >> expected;
    ASSERT_TRUE(static_cast<bool>(in)) << line;
    const Image result = resize_opencv(made(width, height, channels, seed), to_width, to_height, filter);
    ASSERT_EQ(result.width, to_width);
    ASSERT_EQ(result.height, to_height);
    const auto bytes = std::as_bytes(std::span(result.pixels));
    EXPECT_EQ(full ? hex(result.pixels) : sha256_hex(bytes).substr(0, 16), expected) << line.substr(0, 60);
    ++(full ? whole : digests);
  }
  EXPECT_EQ(digests, 204);
  EXPECT_EQ(whole, 3);
}

TEST(ResizeOpencv, NearestIsOpencvs) { expect_opencv("nearest", OpencvFilter::nearest); }
TEST(ResizeOpencv, LinearIsOpencvs) { expect_opencv("linear", OpencvFilter::linear); }
TEST(ResizeOpencv, Lanczos4IsOpencvs) { expect_opencv("lanczos4", OpencvFilter::lanczos4); }

// Result pixel (4, 4) of a halved picture weighs source pixels 5..12 by -26 122 -340 1267 1267 -340 122 -26 along each
// axis. White exactly where the product is positive gives the largest sum there is; a wrapped one would come out black.
TEST(ResizeOpencv, Lanczos4KeepsItsLargestSumIn32Bits) {
  const bool positive[8] = {false, true, false, true, true, false, true, false};
  Image largest(18, 18, 1), smallest(18, 18, 1);
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 8; ++x) {
      const bool white = positive[y] == positive[x];
      largest.row(5 + y)[5 + x] = white ? 255 : 0;
      smallest.row(5 + y)[5 + x] = white ? 0 : 255;
    }
  }
  EXPECT_EQ(resize_opencv(largest, 9, 9, OpencvFilter::lanczos4).row(4)[4], 255);
  EXPECT_EQ(resize_opencv(smallest, 9, 9, OpencvFilter::lanczos4).row(4)[4], 0);
}

TEST(ResizeOpencv, ImpossibleRequestsAreProgrammingErrors) {
  EXPECT_THROW(resize_opencv(Image(4, 4, 1), 0, 2, OpencvFilter::linear), Error);
  EXPECT_THROW(resize_opencv(Image(4, 4, 2), 2, 2, OpencvFilter::nearest), Error);
  EXPECT_THROW(resize_opencv(Image(), 2, 2, OpencvFilter::lanczos4), Error);
}

}  // namespace
}  // namespace furrow::io
