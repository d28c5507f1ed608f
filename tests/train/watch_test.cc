// Warnings come when something begins, once; early stopping counts epochs.
#include "train/watch.h"

#include <gtest/gtest.h>

#include <cmath>

namespace furrow::testing {
namespace {

using train::EarlyStopping;
using train::Watch;

TEST(Watches, EmptyMasksAreReportedAfterAWhileAndOnce) {
  Watch watch;
  int warnings = 0;
  for (int step = 1; step <= 100; ++step) {
    const auto warning = watch.targets(step, 0, 1000);
    if (!warning) continue;
    ++warnings;
    EXPECT_EQ(step, Watch::kEmptySteps);
    EXPECT_EQ(train::name(warning->kind), "masks-empty");
  }
  EXPECT_EQ(warnings, 1);
  EXPECT_FALSE(watch.targets(101, 5, 1000));
  for (int step = 102; step < 102 + Watch::kEmptySteps - 1; ++step) EXPECT_FALSE(watch.targets(step, 0, 1000));
  EXPECT_TRUE(watch.targets(200, 0, 1000));
}

TEST(Watches, OneMaskInTwentyIsEnough) {
  Watch watch;
  for (int step = 1; step <= 200; ++step) EXPECT_FALSE(watch.targets(step, step % 19 == 0 ? 1 : 0, 1000));
}

TEST(Watches, CollapsedPredictionsAreAllOrNothing) {
  Watch watch;
  EXPECT_FALSE(watch.predictions(1, 10, 5, 100));
  const auto none = watch.predictions(2, 0, 5, 100);
  ASSERT_TRUE(none);
  EXPECT_NE(none->text.find("no wrinkle"), std::string::npos);
  EXPECT_NE(none->text.find("5 %"), std::string::npos);
  EXPECT_FALSE(watch.predictions(3, 0, 5, 100));
  EXPECT_FALSE(watch.predictions(4, 3, 5, 100));
  EXPECT_TRUE(watch.predictions(5, 100, 5, 100));
  Watch other;
  EXPECT_FALSE(other.predictions(1, 0, 0, 100));  // nothing to find, nothing found
}

TEST(Watches, AGradientIsJudgedByTheMedianOfThoseBefore) {
  Watch watch;
  for (int step = 1; step < static_cast<int>(Watch::kFewest); ++step)
    EXPECT_FALSE(watch.gradient(step, step == 3 ? 1e6 : 1));
  EXPECT_FALSE(watch.gradient(20, 1));
  EXPECT_FALSE(watch.gradient(21, 100));  // exactly 100 times is not more
  EXPECT_FALSE(watch.gradient(22, std::nan("")));
  const auto warning = watch.gradient(23, 100.5);
  ASSERT_TRUE(warning);
  EXPECT_EQ(warning->step, 23);
  EXPECT_FALSE(watch.gradient(24, 5000));
  EXPECT_FALSE(watch.gradient(25, 1));
  EXPECT_TRUE(watch.gradient(26, 5000));
}

TEST(Watches, GoOnFromASavedState) {
  Watch a, b;
  for (int step = 1; step < 60; ++step) {
    a.gradient(step, 1 + step % 7);
    a.targets(step, step < 50 ? 1 : 0, 10);
  }
  b.restore(a.state());
  for (int step = 60; step < 200; ++step) {
    const double norm = step % 50 == 0 ? 1e4 : 1;
    EXPECT_EQ(a.gradient(step, norm).has_value(), b.gradient(step, norm).has_value());
    EXPECT_EQ(a.targets(step, 0, 10).has_value(), b.targets(step, 0, 10).has_value());
  }
}

TEST(Stopping, CountsEpochsWithoutImprovement) {
  EarlyStopping stop({.mode = EarlyStopping::Mode::max, .patience = 2, .min_delta = 0.01});
  EXPECT_TRUE(stop.add(0.1));
  EXPECT_FALSE(stop.add(0.105));  // less than min_delta
  EXPECT_FALSE(stop.should_stop());
  EXPECT_TRUE(stop.add(0.2));
  EXPECT_FALSE(stop.add(std::nan("")));
  EXPECT_FALSE(stop.add(0.2));
  EXPECT_TRUE(stop.should_stop());
  EXPECT_EQ(stop.best(), 0.2);
}

TEST(Stopping, TakesTheLeastOfALoss) {
  EarlyStopping stop({.mode = EarlyStopping::Mode::min});
  EXPECT_FALSE(stop.add(std::nan("")));
  EXPECT_TRUE(stop.add(3));
  EXPECT_TRUE(stop.add(2));
  EXPECT_FALSE(stop.add(2));
  for (int i = 0; i < 1000; ++i) stop.add(5);
  EXPECT_FALSE(stop.should_stop());  // no patience: never
}

}  // namespace
}  // namespace furrow::testing
