// Random crops: which pixels, the same of all pictures, evenly over all places.
#include "data/crop.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/error.h"

namespace furrow::data {
namespace {

// Every pixel says where it is: image (x, y, 7), target x + y, texture x - y + 100.
Sample places(int64_t width, int64_t height) {
  Sample sample{.id = "a", .image = {width, height, 3}, .target = {width, height, 1}, .texture = {width, height, 1}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      sample.image.row(y)[3 * x] = static_cast<uint8_t>(x);
      sample.image.row(y)[3 * x + 1] = static_cast<uint8_t>(y);
      sample.image.row(y)[3 * x + 2] = 7;
      sample.target.row(y)[x] = static_cast<uint8_t>(x + y);
      sample.texture.row(y)[x] = static_cast<uint8_t>(x - y + 100);
    }
  return sample;
}

TEST(Crop, AllPicturesKeepTheSamePixels) {
  for (uint32_t item = 0; item < 20; ++item) {
    Sample sample = places(40, 30);
    crop_at_random(sample, 16, {.seed = 5, .epoch = 1, .item = item});
    const int64_t left = sample.image.row(0)[0], top = sample.image.row(0)[1];
    ASSERT_LE(left, 40 - 16);
    ASSERT_LE(top, 30 - 16);
    Sample wanted = places(40, 30);
    for (const io::Image* image : {&sample.image, &sample.target, &sample.texture}) {
      EXPECT_EQ(image->width, 16);
      EXPECT_EQ(image->height, 16);
    }
    for (int64_t y = 0; y < 16; ++y)
      for (int64_t x = 0; x < 16; ++x) {
        for (int c = 0; c < 3; ++c)
          ASSERT_EQ(sample.image.row(y)[3 * x + c], wanted.image.row(top + y)[3 * (left + x) + c]);
        ASSERT_EQ(sample.target.row(y)[x], wanted.target.row(top + y)[left + x]);
        ASSERT_EQ(sample.texture.row(y)[x], wanted.texture.row(top + y)[left + x]);
      }
  }
}

TEST(Crop, AFunctionOfSeedEpochAndItem) {
  const auto corner = [](const DrawKey& key) {
    Sample sample = places(200, 200);
    crop_at_random(sample, 16, key);
    return sample.image.row(0)[0] * 256 + sample.image.row(0)[1];
  };
  const int one = corner({1, 2, 3});
  EXPECT_EQ(corner({1, 2, 3}), one);
  EXPECT_NE(corner({2, 2, 3}), one);
  EXPECT_NE(corner({1, 3, 3}), one);
  EXPECT_NE(corner({1, 2, 4}), one);
}

TEST(Crop, EveryPlaceIsAsLikely) {
  std::vector<int> columns(5), rows(3);
  constexpr int kDraws = 3000;
  for (uint32_t item = 0; item < kDraws; ++item) {
    Sample sample = places(20, 18);
    crop_at_random(sample, 16, {.seed = 9, .epoch = 0, .item = item});
    ++columns.at(sample.image.row(0)[0]);
    ++rows.at(sample.image.row(0)[1]);
  }
  // Binomial, 3000 draws: 600 with standard deviation 22 and 1000 with 26; four of them.
  for (const int count : columns) EXPECT_NEAR(count, kDraws / 5, 88);
  for (const int count : rows) EXPECT_NEAR(count, kDraws / 3, 104);
}

TEST(Crop, WholePicturesAndWrongSides) {
  Sample sample = places(16, 16);
  crop_at_random(sample, 16, {});
  EXPECT_EQ(sample.target.pixels, places(16, 16).target.pixels);
  EXPECT_THROW(crop_at_random(sample, 17, {}), Error);
  EXPECT_THROW(crop_at_random(sample, 0, {}), Error);
  Sample uneven = places(20, 20);
  uneven.target = io::Image(20, 19, 1);
  EXPECT_THROW(crop_at_random(uneven, 16, {}), Error);
  Sample plain = places(20, 20);
  plain.texture = io::Image(0, 0, 1);
  crop_at_random(plain, 16, {});
  EXPECT_EQ(plain.texture.width, 0);
}

}  // namespace
}  // namespace furrow::data
