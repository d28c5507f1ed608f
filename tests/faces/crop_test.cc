// Crops around faces: place, borders, and the way back into the photo.
#include "segment/crop.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/error.h"
#include "support.h"

namespace furrow::faces_test {
namespace {

TEST(Crop, SquareLiesAsMeasured) {
  const Crop crop = face_crop({.x = 400, .y = 300, .w = 200, .h = 200}, 1000, 1000);
  EXPECT_EQ(crop.side_w, 286);
  EXPECT_EQ(crop.side_h, 286);
  EXPECT_EQ(crop.x, 357);  // 500 - 0.50 * 286
  EXPECT_EQ(crop.y, 243);  // 400 - 0.55 * 286 = 242.7
  EXPECT_EQ(face_crop({.x = 0, .y = 0, .w = 1, .h = 1}, 1, 1).side_w, 1);
  EXPECT_THROW(face_crop({.x = 1000, .y = 0, .w = 10, .h = 10}, 1000, 1000), Error);
  EXPECT_THROW(face_crop({.x = 0, .y = 0, .w = 0, .h = 0}, 1000, 1000), Error);
}

TEST(Crop, InsideIsTheIntersection) {
  EXPECT_EQ(inside({-3, 2, 10, 10}, 20, 20), (Crop{0, 2, 7, 10}));
  EXPECT_EQ(inside({15, 15, 10, 10}, 20, 18), (Crop{15, 15, 5, 3}));
  EXPECT_EQ(inside({20, 0, 5, 5}, 20, 20), Crop{});
  EXPECT_EQ(inside({-5, 0, 5, 5}, 20, 20), Crop{});
}

// Every crop, wherever it lies, holds at (i, j) the photo's pixel nearest to (x + i, y + j).
TEST(Crop, CutRepeatsTheNearestPixel) {
  for (int channels : {1, 3}) {
    io::Image photo(7, 5, channels);
    photo.pixels = noise(7 * 5 * channels, 9);
    for (const Crop& crop : {Crop{0, 0, 7, 5}, Crop{2, 1, 3, 3}, Crop{-4, -3, 20, 11}, Crop{-9, 1, 4, 4},
                             Crop{12, -8, 3, 4}, Crop{6, 4, 1, 1}, Crop{3, -2, 9, 4}}) {
      const io::Image part = cut(photo, crop);
      ASSERT_EQ(part.width, crop.side_w);
      ASSERT_EQ(part.height, crop.side_h);
      for (int64_t j = 0; j < crop.side_h; ++j) {
        for (int64_t i = 0; i < crop.side_w; ++i) {
          const int64_t x = std::clamp<int64_t>(crop.x + i, 0, 6), y = std::clamp<int64_t>(crop.y + j, 0, 4);
          for (int c = 0; c < channels; ++c) ASSERT_EQ(part.row(j)[i * channels + c], photo.row(y)[x * channels + c]);
        }
      }
    }
  }
}

TEST(Crop, CutAndPasteGiveThePhotoBack) {
  io::Image photo(31, 23, 3);
  photo.pixels = noise(31 * 23 * 3, 4);
  for (const Crop& crop :
       {Crop{5, 6, 11, 11}, Crop{-6, -2, 20, 20}, Crop{25, 15, 13, 13}, Crop{-5, -5, 60, 60}, Crop{40, 0, 5, 5}}) {
    io::Image back(31, 23, 3);
    paste(cut(photo, crop), crop, back);
    const Crop part = inside(crop, 31, 23);
    for (int64_t y = 0; y < 23; ++y) {
      for (int64_t x = 0; x < 31; ++x) {
        const bool within = x >= part.x && x < part.x + part.side_w && y >= part.y && y < part.y + part.side_h;
        for (int c = 0; c < 3; ++c) ASSERT_EQ(back.row(y)[3 * x + c], within ? photo.row(y)[3 * x + c] : 0);
      }
    }
  }
}

TEST(Crop, PasteMaxKeepsTheLarger) {
  io::Image photo(4, 1, 1), part(3, 1, 1);
  photo.pixels = {9, 2, 3, 7};
  part.pixels = {5, 5, 5};
  paste_max(part, {-1, 0, 3, 1}, photo);
  EXPECT_EQ(photo.pixels, (std::vector<uint8_t>{9, 5, 3, 7}));
}

TEST(Crop, FloatsArePastedClipped) {
  const std::vector<float> part = {1, 2, 3, 4};
  std::vector<float> photo(6, 0.5f);
  paste(part.data(), {2, -1, 2, 2}, photo.data(), 3, 2);
  EXPECT_EQ(photo, (std::vector<float>{0.5f, 0.5f, 3, 0.5f, 0.5f, 0.5f}));
}

TEST(Crop, WrongSizesAreRefused) {
  io::Image photo(10, 10, 1);
  EXPECT_THROW(paste(io::Image(3, 3, 1), {0, 0, 4, 4}, photo), Error);
  EXPECT_THROW(paste(io::Image(4, 4, 3), {0, 0, 4, 4}, photo), Error);
  EXPECT_THROW(cut(io::Image(), {0, 0, 4, 4}), Error);
  EXPECT_THROW(cut(photo, {0, 0, 0, 4}), Error);
}

// On a real face: the crop holds the whole box, and a full mask goes back onto exactly the crop's area.
TEST(Crop, OfTheAstronaut) {
  const std::vector<Face> faces = find_faces(astronaut());
  ASSERT_EQ(faces.size(), 1u);
  const Crop crop = face_crop(faces[0], 512, 512);
  EXPECT_LE(static_cast<double>(crop.x), faces[0].x);
  EXPECT_LE(static_cast<double>(crop.y), faces[0].y);
  EXPECT_GE(static_cast<double>(crop.x + crop.side_w), faces[0].x + faces[0].w);
  EXPECT_GE(static_cast<double>(crop.y + crop.side_h), faces[0].y + faces[0].h);
  io::Image mask(crop.side_w, crop.side_h, 1), photo(512, 512, 1);
  std::fill(mask.pixels.begin(), mask.pixels.end(), uint8_t{255});
  paste(mask, crop, photo);
  const Crop part = inside(crop, 512, 512);
  EXPECT_EQ(std::count(photo.pixels.begin(), photo.pixels.end(), 255), part.side_w * part.side_h);
}

}  // namespace
}  // namespace furrow::faces_test
