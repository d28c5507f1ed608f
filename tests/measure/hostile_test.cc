// Masks made to hurt: nothing overflows, nothing takes more than linear time or memory.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <string>

#include "kernels/error.h"
#include "segment/measure.h"

namespace furrow {
namespace {

constexpr int64_t kSide = 1024;

template <class Set>
io::Image pattern(Set&& set, int64_t side = kSide) {
  io::Image mask(side, side, 1);
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) mask.row(y)[x] = set(x, y);
  return mask;
}

struct Hostile {
  const char* name;
  bool (*set)(int64_t, int64_t);
  int64_t pieces;  // of at least one pixel, at kSide x kSide
};

const Hostile kHostile[] = {
    {"all set", [](int64_t, int64_t) { return true; }, 1},
    {"checkerboard", [](int64_t x, int64_t y) { return (x + y) % 2 == 0; }, 1},
    {"dots", [](int64_t x, int64_t y) { return x % 2 == 0 && y % 2 == 0; }, kSide* kSide / 4},
    {"rows", [](int64_t, int64_t y) { return y % 2 == 0; }, kSide / 2},
    {"columns", [](int64_t x, int64_t) { return x % 2 == 0; }, kSide / 2},
    {"comb", [](int64_t x, int64_t y) { return x % 2 == 0 || y == kSide - 1; }, 1},
    {"snake", [](int64_t x, int64_t y) { return y % 2 == 0 || x == (y / 2 % 2 ? 0 : kSide - 1); }, 1},
    {"nested frames",
     [](int64_t x, int64_t y) {
       return std::min({x, y, kSide - 1 - x, kSide - 1 - y}) % 2 == 0;
     },
     kSide / 4},
    {"grid", [](int64_t x, int64_t y) { return x % 4 == 0 || y % 4 == 0; }, 1},
    {"spikes", [](int64_t x, int64_t y) { return y > kSide / 2 || x % 3 == 0; }, 1},
};

// Wide bounds, because the machine may be busy and the build instrumented: quadratic time would miss them a
// hundredfold.
TEST(Hostile, LinearInTime) {
  for (const Hostile& hostile : kHostile) {
    const io::Image mask = pattern(hostile.set);
    const clock_t begin = clock();
    const MaskMeasures found = measure(mask, {.min_area = 1});
    EXPECT_EQ(found.count, hostile.pieces) << hostile.name;
    EXPECT_LE(static_cast<int64_t>(found.wrinkles.size()), kMaxListedWrinkles);
    EXPECT_TRUE(std::isfinite(found.length) && std::isfinite(found.mean_width)) << hostile.name;
    EXPECT_LE(double(clock() - begin) / CLOCKS_PER_SEC, 10) << hostile.name;
  }
}

// At most six bytes for each pixel; the bound leaves room for what sanitizers add.
TEST(Hostile, MemoryIsBounded) {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} * 1024;
  };
  for (const Hostile& hostile : {kHostile[0], kHostile[1]}) {
    const io::Image mask = pattern(hostile.set, 2048);
    const int64_t before = peak();
    measure(mask, {.min_area = 1});
    EXPECT_LE(peak() - before, 16 * 2048 * 2048) << hostile.name;
  }
}

TEST(Hostile, LengthsOfThePatternsAreRight) {
  const auto length = [](const char* name) {
    for (const Hostile& h : kHostile)
      if (std::string(h.name) == name) return measure(pattern(h.set), {.min_area = 1}).length;
    return -1.0;
  };
  const double lines = double(kSide) / 2 * (kSide - 1), diagonals = std::sqrt(2.0) * (kSide - 1) * (kSide - 1);
  EXPECT_EQ(length("dots"), 0);
  EXPECT_NEAR(length("rows"), lines, 0.001 * lines);
  EXPECT_NEAR(length("columns"), lines, 0.001 * lines);
  EXPECT_NEAR(length("snake"), lines + 2 * (kSide / 2 - 1), 0.01 * lines);
  EXPECT_NEAR(length("checkerboard"), diagonals, 0.001 * diagonals);
}

// Deeper than a cell of a finished skeleton can tell (3,276 pixels), yet thinned to the middle.
TEST(Hostile, VeryThickBlobs) {
  const MaskMeasures found = measure(pattern([](int64_t, int64_t) { return true; }, 6'600));
  EXPECT_EQ(found.count, 1);
  EXPECT_LE(found.length, 10);  // a square is one disc with four corners
}

TEST(Hostile, MoreWrinklesThanAreListed) {
  const io::Image mask =
      pattern([](int64_t x, int64_t y) { return (x % 4 < 2 && y % 3 == 0) || (y >= 1022 && x < 99); });
  const MaskMeasures found = measure(mask, {.min_area = 1});
  EXPECT_EQ(found.count, 256 * 342 - 25 + 1);
  ASSERT_EQ(found.wrinkles.size(), 1u);  // the pairs are too many, and all alike
  EXPECT_EQ(found.wrinkles[0].area, 2 * 99);
}

TEST(Hostile, TooLargeIsALimit) {
  for (const auto& [width, height] : {std::pair{int64_t{1} << 40, int64_t{1} << 40}, {65'536, 1}, {65'535, 4'097}}) {
    io::Image mask;
    mask.width = width, mask.height = height, mask.channels = 1;
    try {
      measure(mask);
      FAIL() << width << " x " << height;
    } catch (const Error& e) { EXPECT_EQ(e.code(), ErrorCode::limit); }
  }
}

TEST(Hostile, BrokenImagesAreTheCallersFault) {
  io::Image short_of_pixels(10, 10, 1), colour(4, 4, 3);
  short_of_pixels.pixels.resize(99);
  EXPECT_THROW(measure(short_of_pixels), Error);
  EXPECT_THROW(measure(colour), Error);
}

}  // namespace
}  // namespace furrow
