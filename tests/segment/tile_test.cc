// Windows, their weights, the blend, and the memory a tiled run takes.
#include "segment/tile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace furrow {
namespace {

TEST(Tile, WindowsCoverTheSideAndOverlapByAQuarter) {
  for (const int64_t window : {32, 33, 64, 512}) {
    for (int64_t length = 1; length < 5 * window; length += 1 + window / 16) {
      const std::vector<int64_t> starts = window_starts(length, window);
      EXPECT_EQ(starts.front(), 0);
      EXPECT_EQ(starts.back(), std::max<int64_t>(length - window, 0));
      for (size_t i = 1; i < starts.size(); ++i) {
        const int64_t overlap = starts[i - 1] + window - starts[i];
        EXPECT_GE(4 * overlap, window) << length << " " << window;
        EXPECT_GT(starts[i], starts[i - 1]);
      }
      // No window more than the overlap asks for: with one less the overlap would be too small.
      const auto fewer = static_cast<int64_t>(starts.size()) - 2;
      EXPECT_TRUE(starts.size() < 3 || length - window > fewer * (window - (window + 3) / 4));
    }
  }
}

TEST(Tile, WeightsArePositiveSymmetricAndSmooth) {
  const std::vector<double> w = window_weights(64);
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_GT(w[i], 0);
    EXPECT_NEAR(w[i], w[w.size() - 1 - i], 1e-15);
    EXPECT_LT(std::abs(w[i] - (i > 0 ? w[i - 1] : 0)), 0.05);  // a slope of pi/64 at most
  }
}

struct Tiled {
  std::vector<float> plane;
  int64_t windows = 0;
};

// Runs a w x h picture whose window at (x, y) is computed by `value(px, py, x, y)`, pixels and corner in picture
// coordinates.
template <class Value>
Tiled tiled(int64_t w, int64_t h, int64_t window, Value value) {
  Tiled run;
  int64_t x0 = 0, y0 = 0, next = 0;
  run_tiled(
      w, h, window, [&](int64_t x, int64_t y, io::Image&) { x0 = x, y0 = y; },
      [&](const io::Image&, std::span<float> plane) {
        ++run.windows;
        for (int64_t j = 0; j < window; ++j) {
          for (int64_t i = 0; i < window; ++i)
            plane[static_cast<size_t>(j * window + i)] = value(x0 + i, y0 + j, x0, y0);
        }
      },
      [&](int64_t y, std::span<const float> row) {
        EXPECT_EQ(y, next++);
        EXPECT_EQ(static_cast<int64_t>(row.size()), w);
        run.plane.insert(run.plane.end(), row.begin(), row.end());
      });
  EXPECT_EQ(next, h);
  return run;
}

TEST(Tile, AConstantHasNoSeams) {
  const int64_t sizes[][2] = {{200, 130}, {65, 64}, {64, 65}, {40, 300}, {300, 40}, {129, 129}};
  for (const auto& size : sizes) {
    const Tiled run = tiled(size[0], size[1], 64, [](int64_t, int64_t, int64_t, int64_t) { return 0.7f; });
    // Each of at most nine windows rounds once: 9 * 2^-24.
    for (float p : run.plane) ASSERT_NEAR(p, 0.7f, 6e-7f) << size[0] << "x" << size[1];
  }
}

TEST(Tile, WindowsThatAgreeBlendToThePicture) {
  const auto picture = [](int64_t x, int64_t y) { return static_cast<float>((x * 31 + y * 17) % 101) / 101.0f; };
  const Tiled run = tiled(211, 157, 64, [&](int64_t x, int64_t y, int64_t, int64_t) { return picture(x, y); });
  for (int64_t y = 0; y < 157; ++y) {
    for (int64_t x = 0; x < 211; ++x) ASSERT_NEAR(run.plane[static_cast<size_t>(y * 211 + x)], picture(x, y), 6e-7f);
  }
}

// The blend against a full-size accumulation in double.
TEST(Tile, BlendEqualsBruteForce) {
  const int64_t w = 150, h = 170, window = 64;
  const auto value = [](int64_t x, int64_t y, int64_t x0, int64_t y0) {
    return static_cast<float>((x * 7 + y * 3 + x0 * 11 + y0 * 13) % 97) / 96.0f;
  };
  const Tiled run = tiled(w, h, window, value);
  std::vector<double> sums(static_cast<size_t>(w * h)), weights(static_cast<size_t>(w * h));
  const std::vector<double> weight = window_weights(window);
  for (const int64_t y0 : window_starts(h, window)) {
    for (const int64_t x0 : window_starts(w, window)) {
      for (int64_t j = 0; j < window; ++j) {
        for (int64_t i = 0; i < window; ++i) {
          const size_t at = static_cast<size_t>((y0 + j) * w + x0 + i);
          const double share = weight[static_cast<size_t>(i)] * weight[static_cast<size_t>(j)];
          sums[at] += share * value(x0 + i, y0 + j, x0, y0);
          weights[at] += share;
        }
      }
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) ASSERT_NEAR(run.plane[i], sums[i] / weights[i], 1e-6);
}

TEST(Tile, OneWindowPassesItsPlaneOnUnchanged) {
  for (const int64_t side : {64, 50}) {
    const auto value = [](int64_t x, int64_t y, int64_t, int64_t) { return static_cast<float>(x * 64 + y) / 4096.0f; };
    const Tiled run = tiled(side, side, 64, value);
    EXPECT_EQ(run.windows, 1);
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) ASSERT_EQ(run.plane[static_cast<size_t>(y * side + x)], value(x, y, 0, 0));
    }
  }
}

}  // namespace
}  // namespace furrow
