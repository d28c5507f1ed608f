// PlaneResizer against the rule written out in double, and its memory.
#include "segment/map_back.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace furrow {
namespace {

std::vector<float> random_plane(int64_t w, int64_t h, uint32_t state) {
  std::vector<float> plane(static_cast<size_t>(w * h));
  for (float& p : plane) {
    state = state * 1664525u + 1013904223u;
    p = static_cast<float>(state >> 8) * 0x1p-24f;
  }
  return plane;
}

std::vector<float> resized(const std::vector<float>& plane, int64_t w, int64_t h, int64_t to_w, int64_t to_h) {
  std::vector<float> out;
  PlaneResizer resizer(w, h, to_w, to_h, [&](int64_t y, std::span<const float> row) {
    EXPECT_EQ(y * to_w, static_cast<int64_t>(out.size()));
    out.insert(out.end(), row.begin(), row.end());
  });
  for (int64_t y = 0; y < h; ++y)
    resizer.push(std::span<const float>(plane).subspan(static_cast<size_t>(y * w), static_cast<size_t>(w)));
  EXPECT_EQ(static_cast<int64_t>(out.size()), to_w * to_h);
  return out;
}

// One axis of the rule, by its formula over every source pixel.
double sample(const std::vector<double>& line, int64_t out, int64_t i) {
  const double scale = static_cast<double>(line.size()) / static_cast<double>(out), half = std::max(scale, 1.0);
  double sum = 0, weights = 0;
  for (size_t x = 0; x < line.size(); ++x) {
    const double w =
        std::max(0.0, 1 - std::abs(static_cast<double>(x) + 0.5 - (static_cast<double>(i) + 0.5) * scale) / half);
    sum += w * line[x];
    weights += w;
  }
  return sum / weights;
}

TEST(PlaneResizer, EqualsTheFormula) {
  const int64_t cases[][4] = {{8, 8, 13, 21}, {16, 9, 5, 40},  {31, 17, 30, 16}, {1, 1, 7, 5},
                              {7, 5, 1, 1},   {64, 64, 3, 64}, {5, 64, 5, 4}};
  for (const auto& c : cases) {
    const int64_t w = c[0], h = c[1], to_w = c[2], to_h = c[3];
    const std::vector<float> plane = random_plane(w, h, static_cast<uint32_t>(w * h));
    const std::vector<float> out = resized(plane, w, h, to_w, to_h);
    for (int64_t y = 0; y < to_h; ++y) {
      for (int64_t x = 0; x < to_w; ++x) {
        std::vector<double> column;
        for (int64_t j = 0; j < h; ++j) {
          column.push_back(sample(std::vector<double>(plane.begin() + j * w, plane.begin() + (j + 1) * w), to_w, x));
        }
        // float weights and sums of at most 130 terms that add to 1: a few 2^-24
        ASSERT_NEAR(out[static_cast<size_t>(y * to_w + x)], sample(column, to_h, y), 1e-6)
            << w << "x" << h << " -> " << to_w << "x" << to_h;
      }
    }
  }
}

TEST(PlaneResizer, EqualSizesPassOnUnchanged) {
  const std::vector<float> plane = random_plane(19, 23, 4);
  EXPECT_EQ(resized(plane, 19, 23, 19, 23), plane);
}

TEST(PlaneResizer, AConstantStaysConstant) {
  for (float p : resized(std::vector<float>(64 * 64, 0.25f), 64, 64, 201, 99)) ASSERT_NEAR(p, 0.25f, 1e-7f);
}

TEST(PlaneResizer, RowsComeOutAsSoonAsTheyAreComplete) {
  int64_t rows = 0;
  PlaneResizer resizer(4, 100, 4, 1000, [&](int64_t, std::span<const float>) { ++rows; });
  const std::vector<float> row(4);
  for (int64_t y = 0; y < 100; ++y) {
    resizer.push(row);
    EXPECT_GE(rows, y * 10);  // all but the last half pixel
  }
  EXPECT_EQ(rows, 1000);
}

}  // namespace
}  // namespace furrow
