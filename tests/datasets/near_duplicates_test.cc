// Prints of photos and the pairs that are near; the numbers against Pillow are in tests/apps/prepare_test.py.
#include "data/near_duplicates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace furrow::data {
namespace {

io::Image ramp(int64_t width, int64_t height, bool rising) {
  io::Image image(width, height, 3);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.row(y)[3 * x + c] = static_cast<uint8_t>(255 * (rising ? x : width - 1 - x) / (width - 1));
  return image;
}

PhotoPrint noise_print(uint32_t seed) {
  PhotoPrint print;
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  const auto next = [&] {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
  };
  print.hash = next();
  for (uint8_t& value : print.small) value = static_cast<uint8_t>(next() >> 24);
  return print;
}

TEST(NearDuplicates, HashSaysWhichPixelsAreBrighterThanTheirLeftNeighbour) {
  EXPECT_EQ(print_of(ramp(90, 80, true)).hash, ~uint64_t{0});
  EXPECT_EQ(print_of(ramp(90, 80, false)).hash, uint64_t{0});
  io::Image half = ramp(90, 80, false);  // the upper half of the rows rises: the first bits
  const io::Image rising = ramp(90, 80, true);
  std::copy_n(rising.pixels.begin(), half.pixels.size() / 2, half.pixels.begin());
  EXPECT_EQ(print_of(half).hash >> 40, 0xffffffu);
  EXPECT_EQ(print_of(half).hash & 0xffffff, 0u);
}

TEST(NearDuplicates, OneGrayLevelIsBrighterAndTheSameIsNot) {
  io::Image image(9, 8, 3);  // of this size already: nothing is resized for the hash
  uint64_t wanted = 0, state = 1;
  for (int64_t y = 0; y < 8; ++y) {
    int level = 100;
    for (int64_t x = 0; x < 9; ++x) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const int step = static_cast<int>(state >> 33) % 3 - 1;  // -1, 0, 1
      if (x > 0) level += step, wanted = wanted << 1 | (step > 0 ? 1u : 0u);
      for (int64_t c = 0; c < 3; ++c) image.row(y)[3 * x + c] = static_cast<uint8_t>(level);
    }
  }
  EXPECT_EQ(print_of(image).hash, wanted);
}

TEST(NearDuplicates, BothRulesMustHold) {
  std::vector<PhotoPrint> prints = {noise_print(1), noise_print(2), noise_print(1), noise_print(1), noise_print(1)};
  prints[2].hash ^= 0xff;   // 8 bits
  prints[3].hash ^= 0x1ff;  // 9 bits
  prints[4].small = noise_print(7).small;
  const std::vector<NearPair> found = near_pairs(prints);
  ASSERT_EQ(found.size(), 2u);  // 2 and 3 differ in one bit
  EXPECT_EQ(found[0].first, 0u);
  EXPECT_EQ(found[0].second, 2u);
  EXPECT_EQ(found[0].bits, 8);
  EXPECT_DOUBLE_EQ(found[0].correlation, 1);
  EXPECT_EQ(found[1].first, 2u);
  EXPECT_EQ(found[1].second, 3u);
  EXPECT_EQ(near_pairs(prints, 9).size(), 3u);
}

TEST(NearDuplicates, PicturesOfOneGrayAreNearTheirLikeAlone) {
  std::vector<PhotoPrint> prints(3);
  prints[0].small.fill(90), prints[1].small.fill(90), prints[2].small.fill(91);
  const std::vector<NearPair> found = near_pairs(prints);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].second, 1u);
}

TEST(NearDuplicates, TheSameForAnyNumberOfThreadsAndNeverTooMany) {
  std::vector<PhotoPrint> prints(101, noise_print(3));
  for (uint32_t i = 0; i < 40; ++i) prints.push_back(noise_print(100 + i));
  ThreadPool pool(5);
  const std::vector<NearPair> one = near_pairs(prints), many = near_pairs(prints, kNearBits, &pool);
  ASSERT_EQ(one.size(), many.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].first, many[i].first);
    EXPECT_EQ(one[i].second, many[i].second);
  }
  // 101 equal photos: the first 85 begin 16 pairs each, the others as many as follow them.
  EXPECT_EQ(one.size(), 85u * 16 + 15 * 16 / 2);
  EXPECT_TRUE(near_pairs(prints, kNearBits, &pool, [] { return true; }).empty());
}

}  // namespace
}  // namespace furrow::data
