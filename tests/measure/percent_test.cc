// Shares: of the frame, rounded as Python does, and of a labelled region.
#include <gtest/gtest.h>

#include <array>

#include "kernels/error.h"
#include "segment/measure.h"

namespace furrow {
namespace {

// Wanted values: CPython 3.11's round(100 * k / n, 2).
TEST(Percent, RoundsAsPython) {
  EXPECT_EQ(percent_as_seed(0, 262144), 0.0);
  EXPECT_EQ(percent_as_seed(262144, 262144), 100.0);
  EXPECT_EQ(percent_as_seed(5479, 262144), 2.09);
  EXPECT_EQ(percent_as_seed(13, 262144), 0.0);
  EXPECT_EQ(percent_as_seed(14, 262144), 0.01);
  EXPECT_EQ(percent_as_seed(1, 0), 0.0);
  // Exact ties: 0.125 and 0.375 go to the even digit; 1.005 is no tie, it lies below (100 * 201 / 20000).
  EXPECT_EQ(percent_as_seed(1, 800), 0.12);
  EXPECT_EQ(percent_as_seed(3, 800), 0.38);
  EXPECT_EQ(percent_as_seed(201, 20000), 1.0);
  EXPECT_EQ(percent_as_seed(535, 20000), 2.67);
}

TEST(Percent, OfALabelledRegion) {
  io::Image mask(4, 2, 1), labels(4, 2, 1);
  labels.pixels = {1, 1, 10, 0, 1, 17, 10, 0};
  mask.pixels = {255, 0, 9, 255, 0, 255, 0, 0};
  const std::array<uint8_t, 2> kept = {1, 10};
  const RegionShare share = share_of_region(mask, labels, kept);
  EXPECT_EQ(share.region_pixels, 5);
  EXPECT_EQ(share.mask_pixels, 2);
  EXPECT_DOUBLE_EQ(share.percent, 40);
  EXPECT_EQ(share_of_region(mask, labels, {}).percent, 0);
  EXPECT_THROW(share_of_region(mask, io::Image(2, 4, 1), kept), Error);
}

}  // namespace
}  // namespace furrow
