// Curves and composed lines: circles, arcs, dashes, bends, branches.
#include <gtest/gtest.h>

#include "draw.h"
#include "segment/measure.h"

namespace furrow {
namespace {

constexpr double kPi = std::numbers::pi;

TEST(Curves, CirclesAreRightToOnePercent) {
  for (const double radius : {15.0, 20.0, 30.0, 60.0, 150.0})
    for (const double width : {1.0, 2.0, 3.0, 5.0, 9.0}) {
      const auto side = static_cast<int64_t>(2 * radius) + 30;
      io::Image mask(side, side, 1);
      draw::arc(mask, double(side) / 2 + 0.3, double(side) / 2 - 0.2, radius, 0, 7, width);
      const MaskMeasures found = measure(mask);
      EXPECT_EQ(found.count, 1);
      EXPECT_NEAR(found.length, 2 * kPi * radius, 0.01 * 2 * kPi * radius) << radius << " wide " << width;
      EXPECT_NEAR(found.mean_width, width, std::max(0.05 * width, 0.15)) << radius << " wide " << width;
    }
}

TEST(Curves, ArcsAreRightToTwoPercentOrOnePixel) {
  for (const double radius : {20.0, 40.0, 100.0})
    for (const double width : {2.0, 3.0, 5.0, 9.0})
      for (int from = 0; from < 360; from += 15)
        for (const double span : {kPi / 2, kPi, 1.5 * kPi}) {
          if (radius == 100 && from % 45 != 0) continue;
          const auto side = static_cast<int64_t>(2 * radius) + 30;
          io::Image mask(side, side, 1);
          draw::arc(mask, double(side) / 2 + 0.1, double(side) / 2 + 0.4, radius, from * kPi / 180, span, width);
          const double truth = radius * span;
          EXPECT_NEAR(measure(mask).length, truth, std::max(0.02 * truth, 1.2))
              << radius << " wide " << width << " from " << from << " over " << span;
        }
}

TEST(Curves, DashesAddUp) {
  for (int degrees = 0; degrees < 180; degrees += 5) {
    io::Image mask(300, 300, 1);
    const double c = std::cos(degrees * kPi / 180), s = std::sin(degrees * kPi / 180);
    for (int k = 0; k < 4; ++k) {
      const double from = -120 + 64 * k, to = from + 48;
      draw::line(mask, 150.2 + c * from, 149.7 + s * from, 150.2 + c * to, 149.7 + s * to, 3);
    }
    const MaskMeasures found = measure(mask);
    ASSERT_EQ(found.count, 4);
    EXPECT_NEAR(found.length, 4 * 48, 0.02 * 4 * 48) << degrees;
    double sum = 0;
    for (const Wrinkle& w : found.wrinkles) sum += w.length;
    EXPECT_DOUBLE_EQ(sum, found.length);
  }
}

// Two pieces of 60 pixels that meet at an angle. Corners are cut: see segment/measure.h.
TEST(Curves, BentLines) {
  for (const double width : {1.0, 3.0, 5.0, 9.0})
    for (const int turn : {15, 30, 45, 90})
      for (int degrees = 0; degrees < 360; degrees += 15) {
        io::Image mask(200, 200, 1);
        const double a = degrees * kPi / 180, b = a + turn * kPi / 180;
        draw::line(mask, 100.3 - 60 * std::cos(a), 100.1 - 60 * std::sin(a), 100.3, 100.1, width);
        draw::line(mask, 100.3, 100.1, 100.3 + 60 * std::cos(b), 100.1 + 60 * std::sin(b), width);
        const double found = measure(mask).length, corner = turn <= 45 ? 0 : 0.8 + 0.2 * width;
        EXPECT_NEAR(found + corner, 120, 2.4) << width << " turned by " << turn << " at " << degrees;
      }
}

// A branch of 50 pixels that leaves the middle of a line of 100.
TEST(Curves, BranchesCountFromTheLineTheyLeave) {
  for (const double width : {1.0, 3.0, 5.0, 7.0})
    for (const int turn : {45, 60, 90})
      for (int degrees = 0; degrees < 360; degrees += 15) {
        io::Image mask(160, 160, 1);
        const double a = degrees * kPi / 180, b = a + turn * kPi / 180, ca = 50 * std::cos(a), sa = 50 * std::sin(a);
        draw::line(mask, 80.3 - ca, 80.1 - sa, 80.3 + ca, 80.1 + sa, width);
        draw::line(mask, 80.3, 80.1, 80.3 + 50 * std::cos(b), 80.1 + 50 * std::sin(b), width);
        const MaskMeasures found = measure(mask);
        EXPECT_EQ(found.count, 1);
        // Where thick strokes part at a sharp angle, the skeleton parts up to a width earlier or later than centre
        // lines.
        EXPECT_NEAR(found.length, 150, std::max(3.0, 0.9 * width))
            << width << " branching by " << turn << " at " << degrees;
      }
}

// Bumps on the outline must not count as branches.
TEST(Curves, RaggedOutlinesDoNotLengthen) {
  io::Image mask(220, 40, 1);
  draw::line(mask, 10.2, 20.1, 210.2, 20.1, 7);
  for (int64_t x = 14; x < 206; x += 9) mask.row(16)[x] = mask.row(24)[x + 4] = 255;
  EXPECT_NEAR(measure(mask).length, 200, 4);
}

// A wedge: the centre line ends where the pen that fits into it ends.
TEST(Curves, TaperedStrokes) {
  for (int degrees = 0; degrees < 360; degrees += 10) {
    io::Image mask(160, 160, 1);
    const double c = std::cos(degrees * kPi / 180), s = std::sin(degrees * kPi / 180);
    for (double t = -50; t <= 50; t += 0.25)
      draw::line(mask, 80.2 + c * t, 79.9 + s * t, 80.2 + c * t, 79.9 + s * t, 5 - 4 * std::abs(t) / 50);
    EXPECT_NEAR(measure(mask).length, 100, 2.5) << degrees;
    EXPECT_NEAR(measure(mask).mean_width, 3, 0.3) << degrees;
  }
}

}  // namespace
}  // namespace furrow
