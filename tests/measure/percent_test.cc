// Share of the frame, rounded as Python does.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace furrow
