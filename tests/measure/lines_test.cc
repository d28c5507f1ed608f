// Straight lines: every angle, the widths and lengths that wrinkles have. The table in segment/measure.h is printed
// here.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include "draw.h"
#include "segment/measure.h"

namespace furrow {
namespace {

struct Errors {
  double max = 0, sum = 0, squares = 0, width_max = 0, width_sum = 0;
  int n = 0;
  void add(double error) {
    max = std::max(max, std::abs(error));
    sum += error;
    squares += error * error;
    ++n;
  }
  double mean() const { return sum / n; }
  double rms() const { return std::sqrt(squares / n); }
};

// Measures a line of `length` pixels at 180 angles, at a different fraction of a pixel each; width 0 means Bresenham.
Errors measure_lines(double length, double width) {
  std::mt19937 random(7);
  const auto fraction = [&] { return double(random()) / 4294967296.0; };
  const auto side = static_cast<int64_t>(length) + 30;
  Errors errors;
  for (int degrees = 0; degrees < 180; ++degrees) {
    io::Image mask(side, side, 1);
    const double angle = degrees * std::numbers::pi / 180, dx = length / 2 * std::cos(angle),
                 dy = length / 2 * std::sin(angle);
    const double cx = double(side / 2) + fraction(), cy = double(side / 2) + fraction();
    double truth = length;
    if (width == 0) {
      const int64_t x0 = std::llround(cx - dx), y0 = std::llround(cy - dy), x1 = std::llround(cx + dx),
                    y1 = std::llround(cy + dy);
      truth = std::hypot(x1 - x0, y1 - y0);
      draw::bresenham(mask, x0, y0, x1, y1);
    } else {
      draw::line(mask, cx - dx, cy - dy, cx + dx, cy + dy, width);
    }
    const MaskMeasures found = measure(mask);
    EXPECT_EQ(found.count, 1) << degrees << " degrees";
    errors.add(found.length - truth);
    errors.width_max = std::max(errors.width_max, std::abs(found.mean_width - width));
    errors.width_sum += found.mean_width - width;
  }
  std::printf(
      "length %3g width %g: max %.2f px = %.2f %%, mean %+.2f %%, rms %.2f %%; width max %.2f px, mean %+.2f px\n",
      length, width, errors.max, 100 * errors.max / length, 100 * errors.mean() / length, 100 * errors.rms() / length,
      errors.width_max, errors.width_sum / errors.n);
  return errors;
}

class Lines : public testing::TestWithParam<double> {};

TEST_P(Lines, OnePixelWideByBresenhamAreRightToOnePercent) {
  const double length = GetParam();
  EXPECT_LE(measure_lines(length, 0).max, 0.01 * length);
}

// Where a line one pixel wide ends within its pixel the raster does not say: two pixels for both ends.
TEST_P(Lines, OnePixelWideAreRightToTwoPercentOrTwoPixels) {
  const double length = GetParam();
  const Errors errors = measure_lines(length, 1);
  EXPECT_LE(errors.max, std::max(0.02 * length, 2.0));
  EXPECT_LE(errors.rms(), std::max(0.005 * length, 0.7));
  EXPECT_LE(std::abs(errors.mean()), std::max(0.0025 * length, 0.35));
}

TEST_P(Lines, OfTwoToNinePixelsAreRightToTwoPercentOrOnePixel) {
  const double length = GetParam();
  for (int width = 2; width <= 9; width += length > 300 ? 3 : 1) {
    const Errors errors = measure_lines(length, width);
    EXPECT_LE(errors.max, std::max(0.02 * length, 1.2)) << width;
    EXPECT_LE(errors.rms(), std::max(0.005 * length, 0.4)) << width;
    EXPECT_LE(std::abs(errors.mean()), 0.005 * length) << width;
    // Along the grid and its diagonals the raster rounds the width itself, by up to 0.71 pixels.
    EXPECT_LE(errors.width_max, 0.75) << width;
    EXPECT_LE(std::abs(errors.width_sum / errors.n), 0.1) << width;
  }
}

// How far the ends of a line can move along it with every pixel staying as it is, and how far off what measure() says
// of those pixels is from the longest and the shortest such line.
struct Open {
  double half_range = 0;  // no measure of the pixels can be nearer than this to both
  double excess = 0;      // what measure() is further off than that
};

Open open_by_raster(double cx, double cy, double angle, double length, double width) {
  const auto side = static_cast<int64_t>(length) + 30;
  const auto drawn = [&](double front, double back) {
    io::Image mask(side, side, 1);
    const double c = std::cos(angle), s = std::sin(angle);
    draw::line(mask, cx - front * c, cy - front * s, cx + back * c, cy + back * s, width);
    return mask;
  };
  const double half = length / 2;
  const io::Image mask = drawn(half, half);
  // A longer line covers what a shorter one does, so equality ends once: bisection.
  const auto farthest = [&](bool front, double direction) {
    double equal = 0, differs = 2.5;
    for (int k = 0; k < 10; ++k) {
      const double middle = (equal + differs) / 2, moved = half + direction * middle;
      (drawn(front ? moved : half, front ? half : moved).pixels == mask.pixels ? equal : differs) = middle;
    }
    return equal;
  };
  const double longest = length + farthest(true, 1) + farthest(false, 1),
               shortest = length - farthest(true, -1) - farthest(false, -1), found = measure(mask).length;
  const double half_range = (longest - shortest) / 2;
  return {half_range, std::max(std::abs(found - longest), std::abs(found - shortest)) - half_range};
}

// Two percent of 30 pixels are 0.6. The raster does not tell lines apart that differ by up to five times as much, so
// the limits above are as near as limits can be: a measured length is at most a pixel worse than the best answer, the
// middle between the longest and the shortest line of the same pixels.
TEST(Line, LengthsAreAsRightAsTheRasterAllows) {
  for (const double length : {30.0, 60.0, 120.0})
    for (const double width : {1.0, 2.0, 3.0, 5.0, 9.0}) {
      std::mt19937 random(7);
      const auto fraction = [&] { return double(random()) / 4294967296.0; };
      Open worst;
      for (int degrees = 0; degrees<180; degrees += length> 60 ? 5 : 1) {
        const double cx = length / 2 + 15 + fraction(), cy = length / 2 + 15 + fraction();
        const Open open = open_by_raster(cx, cy, degrees * std::numbers::pi / 180, length, width);
        worst.half_range = std::max(worst.half_range, open.half_range);
        worst.excess = std::max(worst.excess, open.excess);
      }
      std::printf("length %g width %g: left open by the raster %.2f px, measured at most %.2f px beyond\n", length,
                  width, worst.half_range, worst.excess);
      EXPECT_GT(worst.half_range, width == 1 ? 1.3 : width == 2 ? 0.8 : 0.3);
      EXPECT_LE(worst.excess, 1.05) << length << " x " << width;
    }
}

INSTANTIATE_TEST_SUITE_P(Length, Lines, testing::Values(30, 60, 120, 400));

TEST(Line, MayTouchTheEdgeOfThePicture) {
  io::Image mask(80, 20, 1);
  draw::line(mask, 0, 0, 79, 0, 5);
  draw::line(mask, 0, 17, 79, 17, 4.9);
  const MaskMeasures found = measure(mask);
  EXPECT_EQ(found.count, 2);
  EXPECT_NEAR(found.length, 2 * 79, 8);  // the caps are cut off by the edge
}

TEST(Line, ThresholdedFromAnAntialiasedDrawing) {
  for (int degrees = 0; degrees < 180; degrees += 3) {
    io::Image fine(8 * 120, 8 * 120, 1), mask(120, 120, 1);
    const double angle = degrees * std::numbers::pi / 180, dx = 40 * std::cos(angle), dy = 40 * std::sin(angle);
    draw::line(fine, 8 * (60.3 - dx) + 3.5, 8 * (59.8 - dy) + 3.5, 8 * (60.3 + dx) + 3.5, 8 * (59.8 + dy) + 3.5, 8 * 4);
    for (int64_t y = 0; y < 120; ++y)
      for (int64_t x = 0; x < 120; ++x) {
        int covered = 0;
        for (int64_t k = 0; k < 64; ++k) covered += fine.row(8 * y + k / 8)[8 * x + k % 8] != 0;
        mask.row(y)[x] = covered >= 32;
      }
    EXPECT_NEAR(measure(mask).length, 80, 1.6) << degrees;
    EXPECT_NEAR(measure(mask).mean_width, 4, 0.75) << degrees;
  }
}

}  // namespace
}  // namespace furrow
