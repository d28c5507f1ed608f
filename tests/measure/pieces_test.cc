// Pieces of a mask against a brute-force flood fill; topology and basic cases.
#include <gtest/gtest.h>

#include <random>

#include "draw.h"
#include "segment/measure.h"
#include "segment/measure_components.h"
#include "segment/skeleton.h"

namespace furrow {
namespace {

// Areas of the regions of pixels equal to `value`, by flood fill in raster order; 8 neighbours or 4.
std::vector<int64_t> flood(const io::Image& mask, bool value, bool corners) {
  std::vector<uint8_t> seen(mask.pixels.size(), 0);
  std::vector<int64_t> areas;
  for (int64_t start = 0; start < mask.width * mask.height; ++start) {
    if (seen[size_t(start)] || (mask.pixels[size_t(start)] != 0) != value) continue;
    std::vector<int64_t> stack{start};
    seen[size_t(start)] = 1;
    int64_t area = 0;
    while (!stack.empty()) {
      const int64_t i = stack.back(), x = i % mask.width, y = i / mask.width;
      stack.pop_back();
      ++area;
      for (int64_t dy = -1; dy <= 1; ++dy)
        for (int64_t dx = -1; dx <= 1; ++dx) {
          if (!corners && dx != 0 && dy != 0) continue;
          if (x + dx < 0 || x + dx >= mask.width || y + dy < 0 || y + dy >= mask.height) continue;
          const int64_t j = (y + dy) * mask.width + x + dx;
          if (seen[size_t(j)] || (mask.pixels[size_t(j)] != 0) != value) continue;
          seen[size_t(j)] = 1;
          stack.push_back(j);
        }
    }
    areas.push_back(area);
  }
  return areas;
}

io::Image random_mask(std::mt19937& random, int64_t width, int64_t height, uint32_t percent) {
  io::Image mask(width, height, 1);
  for (uint8_t& p : mask.pixels) p = random() % 100 < percent ? 1 + random() % 255 : 0;
  return mask;
}

TEST(Pieces, EqualAFloodFillOnRandomMasks) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    const io::Image mask = random_mask(random, 1 + random() % 70, 1 + random() % 70, random() % 101);
    const std::vector<int64_t> areas = flood(mask, true, true);
    for (const int64_t least : {1, 3, 12}) {
      const MaskMeasures found = measure(mask, {.min_area = least});
      std::vector<int64_t> wanted;
      for (const int64_t area : areas)
        if (area >= least) wanted.push_back(area);
      ASSERT_EQ(found.count, static_cast<int64_t>(wanted.size()));
      ASSERT_EQ(found.wrinkles.size(), wanted.size());
      double length = 0;
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_EQ(found.wrinkles[i].area, wanted[i]);  // raster order of the first pixel, both
        length += found.wrinkles[i].length;
      }
      EXPECT_NEAR(found.length, length, 1e-9 * (1 + length));
      EXPECT_EQ(found.mask_pixels, static_cast<int64_t>(std::count_if(mask.pixels.begin(), mask.pixels.end(),
                                                                      [](int p) { return p != 0; })));
    }
  }
}

// Thinning must neither split, nor join, nor fill, nor open anything.
TEST(Skeleton, KeepsPiecesAndHoles) {
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    io::Image mask = random_mask(random, 1 + random() % 60, 1 + random() % 60, round % 2 ? 50 + random() % 45 : 3);
    if (round % 2 == 0)  // strokes
      for (int k = 0; k < 4; ++k)
        draw::line(mask, random() % 60, random() % 60, random() % 60, random() % 60, 1 + random() % 8);
    const detail::Skeleton s = detail::skeletonize(mask);
    io::Image padded(mask.width + 2, mask.height + 2, 1), thin = padded;
    for (int64_t y = 0; y < mask.height; ++y) std::copy_n(mask.row(y), mask.width, padded.row(y + 1) + 1);
    for (int64_t y = s.y0; y < s.y0 + s.height; ++y)
      for (int64_t x = s.x0; x < s.x0 + s.width; ++x) {
        if (!s.on(s.index(x, y))) continue;
        ASSERT_NE(mask.row(y)[x], 0);
        thin.row(y + 1)[x + 1] = 1;
      }
    ASSERT_EQ(flood(thin, true, true).size(), flood(padded, true, true).size());
    ASSERT_EQ(flood(thin, false, false).size(), flood(padded, false, false).size());
  }
}

TEST(Skeleton, IsThin) {
  io::Image mask(100, 100, 1);
  draw::line(mask, 12.3, 80.2, 85.1, 15.7, 9);
  const detail::Skeleton s = detail::skeletonize(mask);
  for (int64_t y = 0; y < s.height; ++y)
    for (int64_t x = 0; x < s.width; ++x) {
      const int64_t i = s.index(s.x0 + x, s.y0 + y);
      if (s.on(i)) {
        EXPECT_GE(s.degree(i), 1);
        EXPECT_LE(s.degree(i), 2);
      }
    }
}

TEST(Measure, EmptyMasks) {
  for (const auto& [w, h] : {std::pair{0, 0}, {0, 5}, {5, 0}, {64, 64}}) {
    const MaskMeasures found = measure(io::Image(w, h, 1));
    EXPECT_EQ(found.pixels, w * h);
    EXPECT_EQ(found.mask_pixels + found.count, 0);
    EXPECT_EQ(found.length + found.mean_width, 0);
    EXPECT_TRUE(found.wrinkles.empty());
  }
}

TEST(Measure, SpecksAreNotCounted) {
  io::Image mask(60, 20, 1);
  draw::line(mask, 5, 5, 50, 5, 1);
  mask.row(15)[30] = 1;
  const MaskMeasures found = measure(mask);
  EXPECT_EQ(found.count, 1);
  EXPECT_EQ(found.mask_pixels, 47);
  EXPECT_EQ(measure(mask, {.min_area = 1}).count, 2);
  EXPECT_EQ(measure(mask, {.min_area = 1}).length, found.length);  // one pixel has no length
}

TEST(Measure, BoxesAreHalfOpen) {
  io::Image mask(40, 30, 1);
  for (int64_t x = 3; x < 30; ++x) mask.row(7)[x] = 255;
  mask.row(8)[30] = 255;
  const MaskMeasures found = measure(mask);
  ASSERT_EQ(found.wrinkles.size(), 1u);
  const Wrinkle& w = found.wrinkles[0];
  EXPECT_EQ((std::array{w.x0, w.y0, w.x1, w.y1}), (std::array{3.0, 7.0, 31.0, 9.0}));
  EXPECT_EQ(w.area, 28);
}

// Doubling a mask doubles what it measures.
TEST(Measure, ScalesWithThePicture) {
  io::Image mask(120, 120, 1), twice(240, 240, 1);
  draw::line(mask, 20.2, 30.4, 95.6, 88.1, 4);
  for (int64_t y = 0; y < 240; ++y)
    for (int64_t x = 0; x < 240; ++x) twice.row(y)[x] = mask.row(y / 2)[x / 2];
  const MaskMeasures one = measure(mask), two = measure(twice);
  EXPECT_NEAR(two.length, 2 * one.length, 0.02 * two.length);
  EXPECT_NEAR(two.mean_width, 2 * one.mean_width, 0.05 * two.mean_width);
}

}  // namespace
}  // namespace furrow
