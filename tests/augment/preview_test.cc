// The contact sheet: what lies where.
#include "data/preview.h"

#include <gtest/gtest.h>

#include "data/crop.h"
#include "kernels/error.h"
#include "made_pictures.h"

namespace furrow::data {
namespace {

using Pixel = std::array<uint8_t, 3>;
constexpr Pixel kBlue = {0, 114, 178}, kWhite = {255, 255, 255};

Pixel pixel(const io::Image& image, int64_t x, int64_t y) {
  const uint8_t* p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}

Sample gray_with_a_square(int64_t width, int64_t height) {
  Sample s;
  s.image = io::Image(width, height, 3);
  std::fill(s.image.pixels.begin(), s.image.pixels.end(), uint8_t{90});
  s.target = io::Image(width, height, 1);
  for (int64_t y = 4; y < 8; ++y) std::fill_n(s.target.row(y) + 4, 4, uint8_t{255});
  return s;
}

TEST(Preview, ShowsTheExampleThenItsVersionsWithOutlines) {
  const Sample s = gray_with_a_square(32, 24);
  const AugmentRecipe flip{"flip", AugmentFlavour::intended, {{.op = AugmentOp::flip, .p = 1}}};
  const Preview p = preview_augmentation(s, flip, {1, 0, 0}, {.versions = 4, .columns = 3});
  EXPECT_EQ(p.sheet.width, 3 * 32 + 2 * 4);
  EXPECT_EQ(p.sheet.height, 2 * 24 + 4);
  EXPECT_EQ(p.lines, std::vector<std::string>(4, "flip"));
  const auto expect_square = [&](int64_t left, int64_t top) {  // of the marked 4 x 4 pixels
    EXPECT_EQ(pixel(p.sheet, left, top), (Pixel{90, 90, 90}));
    EXPECT_EQ(pixel(p.sheet, left - 1, top), kBlue);
    EXPECT_EQ(pixel(p.sheet, left + 4, top + 3), kBlue);
    EXPECT_EQ(pixel(p.sheet, left, top - 1), kBlue);
    EXPECT_EQ(pixel(p.sheet, left + 3, top + 4), kBlue);
    EXPECT_EQ(pixel(p.sheet, left - 1, top - 1), (Pixel{90, 90, 90})) << "corners do not touch";
  };
  expect_square(4, 4);  // the example
  for (const int64_t column : {1, 2}) expect_square(column * 36 + 24, 4);
  for (const int64_t column : {0, 1}) expect_square(column * 36 + 24, 28 + 4);
  EXPECT_EQ(pixel(p.sheet, 33, 3), kWhite);           // a line between
  EXPECT_EQ(pixel(p.sheet, 2 * 36 + 5, 30), kWhite);  // the empty place at the end
}

TEST(Preview, VersionsAreThoseOfTheEpochs) {
  Sample s = gray_with_a_square(48, 48);
  s.image = made_picture(48, 48, 1, 3);
  std::fill(s.target.pixels.begin(), s.target.pixels.end(), uint8_t{0});
  const AugmentRecipe recipe = augment_recipe("seed-head", AugmentFlavour::intended);
  const Preview p = preview_augmentation(s, recipe, {9, 5, 2}, {.versions = 6, .columns = 7});
  for (uint32_t i = 0; i < 6; ++i) {
    Sample version = s;
    const DrawKey key = {9, 5 + i, 2};
    augment(version, recipe, key);
    EXPECT_EQ(p.lines[i], describe(recipe, key, 48, 48));
    for (int64_t y = 0; y < 48; ++y) {
      for (int64_t x = 0; x < 48; ++x) ASSERT_EQ(pixel(p.sheet, (i + 1) * 52 + x, y), pixel(version.image, x, y));
    }
  }
}

TEST(Preview, ShowsTheCropsThatTrainingWillSee) {
  Sample s = gray_with_a_square(48, 40);
  s.image = made_picture(48, 40, 1, 3);
  std::fill(s.target.pixels.begin(), s.target.pixels.end(), uint8_t{0});
  const AugmentRecipe recipe = augment_recipe("seed-head", AugmentFlavour::intended);
  const Preview p = preview_augmentation(s, recipe, {9, 5, 2}, {.versions = 3, .columns = 4, .crop = 16});
  EXPECT_EQ(p.sheet.width, 4 * 48 + 3 * 4);
  EXPECT_EQ(p.sheet.height, 40);
  for (int64_t y = 0; y < 40; ++y)
    for (int64_t x = 0; x < 48; ++x) ASSERT_EQ(pixel(p.sheet, x, y), pixel(s.image, x, y)) << "the example is whole";
  for (uint32_t i = 0; i < 3; ++i) {
    Sample version = s;
    const DrawKey key = {9, 5 + i, 2};
    const Corner at = crop_at_random(version, 16, key);
    augment(version, recipe, key);
    EXPECT_EQ(p.lines[i], "crop 16x16 at " + std::to_string(at.x) + " " + std::to_string(at.y) + "; " +
                              describe(recipe, key, 16, 16));
    for (int64_t y = 0; y < 40; ++y)
      for (int64_t x = 0; x < 48; ++x)
        ASSERT_EQ(pixel(p.sheet, (i + 1) * 52 + x, y), x < 16 && y < 16 ? pixel(version.image, x, y) : kWhite);
  }
  // A smaller scale is that of the example.
  const Preview small = preview_augmentation(s, recipe, {9, 5, 2}, {.versions = 1, .longest_side = 24, .crop = 16});
  EXPECT_EQ(small.sheet.width, 2 * 24 + 4);
  EXPECT_NE(pixel(small.sheet, 28 + 7, 7), kWhite);
  EXPECT_EQ(pixel(small.sheet, 28 + 8, 7), kWhite);
  EXPECT_EQ(pixel(small.sheet, 28 + 7, 8), kWhite);
}

TEST(Preview, ShrinksByAWholeNumberAndKeepsThinLines) {
  Sample s = gray_with_a_square(101, 50);
  for (int64_t x = 0; x < 101; ++x) s.target.row(33)[x] = 255;  // one pixel thin
  const AugmentRecipe none = augment_recipe("none", AugmentFlavour::intended);
  const Preview p = preview_augmentation(s, none, {}, {.versions = 1, .columns = 1, .longest_side = 30});
  EXPECT_EQ(p.sheet.width, 26);  // 101 / 4, rounded up
  EXPECT_EQ(p.sheet.height, 2 * 13 + 4);
  for (int64_t x = 0; x < 26; ++x) {  // the line's row is 33 / 4 = 8
    EXPECT_EQ(pixel(p.sheet, x, 7), kBlue);
    EXPECT_EQ(pixel(p.sheet, x, 9), kBlue);
    EXPECT_NE(pixel(p.sheet, x, 8), kBlue);
  }
  EXPECT_EQ(p.lines.at(0), "unchanged");
}

TEST(Preview, RefusesOptionsOutOfRange) {
  const Sample s = gray_with_a_square(32, 32);
  const AugmentRecipe none = augment_recipe("none", AugmentFlavour::intended);
  EXPECT_THROW(preview_augmentation(s, none, {}, {.versions = 0}), Error);
  EXPECT_THROW(preview_augmentation(s, none, {}, {.columns = 0}), Error);
  EXPECT_THROW(preview_augmentation(s, none, {}, {.longest_side = 4}), Error);
  Sample other = s;
  other.target = io::Image(31, 32, 1);
  EXPECT_THROW(preview_augmentation(other, none, {}), Error);
}

}  // namespace
}  // namespace furrow::data
