// Rules and limits of the metrics: empty masks, regions, counts beyond 32 bits, bounds, thresholds.
#include "losses/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/error.h"
#include "losses/metrics_bootstrap.h"
#include "losses/metrics_classes.h"
#include "losses/metrics_curve.h"
#include "losses/metrics_tolerance.h"

namespace furrow {
namespace {

std::optional<double> rate(const Rates& rates, Rate which) { return rates[static_cast<size_t>(which)]; }

TEST(Rates, EmptyMaskRule) {
  const Rates both_empty = picture_rates({.tn = 9});
  for (const Rate which : {Rate::iou, Rate::f1, Rate::precision, Rate::recall, Rate::specificity, Rate::accuracy})
    EXPECT_EQ(rate(both_empty, which), 1.0);
  EXPECT_EQ(rate(pooled_rates({.tn = 9}), Rate::f1), 0.0);

  const Rates false_alarm = picture_rates({.fp = 1, .tn = 8});
  for (const Rate which : {Rate::iou, Rate::f1, Rate::precision, Rate::recall})
    EXPECT_EQ(rate(false_alarm, which), 0.0);
  const Rates missed = picture_rates({.fn = 1, .tn = 8});
  for (const Rate which : {Rate::iou, Rate::f1, Rate::precision, Rate::recall}) EXPECT_EQ(rate(missed, which), 0.0);

  EXPECT_FALSE(rate(picture_rates({.tp = 3}), Rate::specificity));
  EXPECT_EQ(rate(picture_rates({.tp = 3}), Rate::accuracy), 1.0);
  for (const std::optional<double>& value : picture_rates({})) EXPECT_FALSE(value);
}

TEST(Rates, CountsBeyondThirtyTwoBits) {
  // A hundred thousand pictures of 1024 x 1024.
  PixelCounts sum;
  const PixelCounts one{.tp = 1u << 17, .fp = 1u << 16, .fn = 1u << 16, .tn = (1u << 20) - (1u << 18)};
  for (int i = 0; i < 100'000; ++i) sum += one;
  EXPECT_EQ(sum.tp + sum.fp + sum.fn + sum.tn, 100'000ull << 20);
  EXPECT_EQ(rate(pooled_rates(sum), Rate::iou), 0.5);
  EXPECT_EQ(rate(pooled_rates(sum), Rate::precision), 2.0 / 3);
}

TEST(Rates, StrictThresholdNaNAndRegion) {
  const std::vector<float> scores = {0.5f, std::nextafter(0.5f, 1.0f), std::numeric_limits<float>::quiet_NaN(), 0.9f};
  const std::vector<uint8_t> targets = {1, 1, 1, 0}, region = {1, 1, 1, 0};
  EXPECT_EQ(count(scores, 0.5, targets, {}), (PixelCounts{.tp = 1, .fp = 1, .fn = 2}));
  EXPECT_EQ(count(scores, 0.5, targets, region), (PixelCounts{.tp = 1, .fn = 2}));
}

TEST(ScoreHistogram, BinsAreMonotoneAndNarrow) {
  size_t last = 0;
  float first = 0;
  for (uint64_t i = 0; i <= 1u << 20; ++i) {
    const auto p = static_cast<float>(static_cast<double>(i) / (1u << 20));
    const size_t bin = ScoreHistogram::bin_of(p);
    ASSERT_LT(bin, ScoreHistogram::kBins);
    ASSERT_GE(bin, last);
    if (bin != last) first = p;
    const double distance = static_cast<double>(p) - static_cast<double>(first);
    ASSERT_LE(distance, 0x1p-14 * std::max(0x1p-25, std::min<double>(p, 1 - static_cast<double>(first))));
    last = bin;
  }
  EXPECT_EQ(ScoreHistogram::bin_of(0), 0u);
  EXPECT_EQ(ScoreHistogram::bin_of(1), ScoreHistogram::kBins - 1);
  EXPECT_NE(ScoreHistogram::bin_of(0.5f), ScoreHistogram::bin_of(std::nextafter(0.5f, 0.0f)));
  EXPECT_EQ(ScoreHistogram::bin_of(0x1p-26f), 0u);
  EXPECT_EQ(ScoreHistogram::bin_of(0x1p-25f), 1u);
}

TEST(ScoreHistogram, SixteenBitScoresNeverShareABin) {
  size_t last = ScoreHistogram::kBins;
  for (int i = 0; i <= 65535; ++i) {
    const size_t bin = ScoreHistogram::bin_of(static_cast<float>(i / 65535.0));
    ASSERT_NE(bin, last) << i;
    last = bin;
  }
}

TEST(ScoreHistogram, RefusesWhatIsNoProbability) {
  ScoreHistogram histogram;
  const std::vector<uint8_t> target = {1}, outside = {0};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -0.1f, 1.5f}) {
    const std::vector<float> scores = {bad};
    EXPECT_THROW(histogram.add(scores, target, {}), Error);
    EXPECT_NO_THROW(histogram.add(scores, target, outside));
  }
  EXPECT_FALSE(auroc(histogram));
  EXPECT_FALSE(average_precision(histogram));
}

TEST(ScoreHistogram, AddsUpToTheWhole) {
  std::vector<float> scores;
  std::vector<uint8_t> targets;
  for (int i = 0; i < 4000; ++i) {
    scores.push_back(static_cast<float>((i * 7919 % 4000) / 4000.0));
    targets.push_back(i % 3 == 0 || i * 7919 % 4000 > 3000);
  }
  ScoreHistogram whole, first, second;
  whole.add(scores, targets, {});
  first.add(std::span(scores).first(1500), std::span(targets).first(1500), {});
  second.add(std::span(scores).subspan(1500), std::span(targets).subspan(1500), {});
  first.add(second);
  EXPECT_EQ(auroc(first)->value, auroc(whole)->value);
  EXPECT_EQ(average_precision(first)->high, average_precision(whole)->high);
  // The end of the curves is everything.
  const std::vector<CurvePoint> points = curve(whole, 100);
  EXPECT_LT(points.size(), 300u);
  EXPECT_EQ(points.back().recall, 1.0);
  EXPECT_EQ(points.back().false_positive_rate, 1.0);
  // A trapezoid sum over the thinned curve: within its step of the area.
  double area = 0, x = 0, y = 0;
  for (const CurvePoint& point : points) {
    area += (point.false_positive_rate - x) * (point.recall + y) / 2;
    x = point.false_positive_rate;
    y = point.recall;
  }
  EXPECT_NEAR(area, auroc(whole)->value, 3.0 / 100);
}

TEST(ThresholdSweep, CountsAsAtEachThreshold) {
  std::vector<float> scores;
  std::vector<uint8_t> targets, region;
  for (int i = 0; i <= 2000; ++i) {
    scores.push_back(static_cast<float>(i / 2000.0));  // many exactly on a threshold, as far as float32 goes
    targets.push_back(i % 5 == 0 || i > 1200);
    region.push_back(i % 11 != 0);
  }
  scores.push_back(std::numeric_limits<float>::quiet_NaN());
  targets.push_back(1);
  region.push_back(1);
  std::vector<double> thresholds;
  for (int i = 1; i < 100; ++i) thresholds.push_back(i / 100.0);
  ThresholdSweep sweep(thresholds);
  sweep.add(scores, targets, region);
  double best = -1;
  for (size_t i = 0; i < sweep.size(); ++i) {
    EXPECT_EQ(sweep.counts(i), count(scores, thresholds[i], targets, region)) << thresholds[i];
    best = std::max(best, *rate(pooled_rates(sweep.counts(i)), Rate::f1));
  }
  EXPECT_EQ(rate(pooled_rates(sweep.counts(sweep.best())), Rate::f1), best);
}

TEST(Near, DiscAndRegion) {
  // One true pixel in the middle of 9 x 9; the disc of radius 2 has 13 pixels, of radius 3 has 29.
  std::vector<uint8_t> truth(81), all(81, 1);
  truth[40] = 1;
  EXPECT_EQ(count_near(all, truth, {}, 9, 9, 2), (NearCounts{81, 13, 1, 1}));
  EXPECT_EQ(count_near(all, truth, {}, 9, 9, 3), (NearCounts{81, 29, 1, 1}));
  std::vector<uint8_t> region(81);
  for (size_t i = 0; i < 36; ++i) region[i] = 1;  // the rows above it
  EXPECT_EQ(count_near(all, truth, region, 9, 9, 2), (NearCounts{36, 0, 0, 0}));
  EXPECT_EQ(picture_near_rates({}).f1, 1.0);
  EXPECT_EQ(pooled_near_rates({}).f1, 0.0);
  EXPECT_EQ(picture_near_rates({.predicted = 4}).precision, 0.0);
}

TEST(Near, LargestRadiusReachesAcross) {
  std::vector<uint8_t> a(200), b(200);
  a[10] = 1;
  b[10 + kLargestRadius] = 1;
  EXPECT_EQ(count_near(a, b, {}, 200, 1, kLargestRadius), (NearCounts{1, 1, 1, 1}));
  EXPECT_EQ(count_near(a, b, {}, 200, 1, kLargestRadius - 1), (NearCounts{1, 0, 1, 0}));
  EXPECT_EQ(count_near(a, b, {}, 1, 200, kLargestRadius), (NearCounts{1, 1, 1, 1}));
  EXPECT_THROW(count_near(a, b, {}, 200, 1, kLargestRadius + 1), Error);
}

TEST(Classes, IgnoredTruthAndWrongPrediction) {
  ConfusionMatrix matrix(2);
  const std::vector<uint8_t> truth = {0, 1, 1, 255}, predicted = {0, 1, 0, 1}, wrong = {0, 2, 0, 0};
  matrix.add(predicted, truth, {});
  EXPECT_EQ(matrix.one_against_rest(1), (PixelCounts{.tp = 1, .fn = 1, .tn = 1}));
  EXPECT_THROW(matrix.add(wrong, truth, {}), Error);
  EXPECT_FALSE(mean_iou(ConfusionMatrix(3)));
}

TEST(Bootstrap, IntervalOfAMeanHasTheRightWidth) {
  // The mean of n numbers of deviation s has deviation s / sqrt(n); the 95 % interval is 2 x 1.96 of that wide.
  constexpr size_t kNumbers = 400;
  std::vector<double> numbers;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < kNumbers; ++i) {
    numbers.push_back(std::fmod(static_cast<double>(i) * 0.6180339887, 1.0));
    sum += numbers.back();
    squares += numbers.back() * numbers.back();
  }
  const double mean = sum / kNumbers, deviation = std::sqrt(squares / kNumbers - mean * mean);
  const Statistics statistics = [&](std::span<const uint32_t> drawn, std::span<std::optional<double>> out) {
    double total = 0;
    for (const uint32_t i : drawn) total += numbers[i];
    out[0] = total / static_cast<double>(drawn.size());
    if (drawn[0] % 4 != 0) out[1] = 1.0;  // defined in three of four resamples
    if (drawn[0] % 4 == 0) out[2] = 1.0;  // in one of four
  };
  const auto found = bootstrap(kNumbers, 3, statistics, {});
  ASSERT_TRUE(found[0] && found[1]);
  EXPECT_FALSE(found[2]);
  const double width = 2 * 1.96 * deviation / std::sqrt(kNumbers);
  // Each end is a quantile of 2,000 draws: its own deviation is about 3 % of the width; six of these.
  EXPECT_NEAR(found[0]->high - found[0]->low, width, 0.2 * width);
  EXPECT_LT(found[0]->low, mean);
  EXPECT_GT(found[0]->high, mean);
  EXPECT_FALSE(bootstrap(1, 1, statistics, {})[0]);
  EXPECT_FALSE(bootstrap(kNumbers, 1, statistics, {.resamples = 0})[0]);
}

}  // namespace
}  // namespace furrow
