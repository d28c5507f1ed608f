// Areas under curves from a histogram of scores, in memory that does not grow with the pixels; and counts at a list of
// thresholds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "losses/metrics.h"

namespace furrow {

// Counts of probabilities p in bins that are narrow where it matters, near 0 and near 1: 2^14 bins for every power of
// two of p below 1/2, down to 2^-25, and of 1 - p above. Two probabilities in one bin differ by less than 2^-14 of p
// (or of 1 - p); below 2^-25, and as near to 1, they share a bin. Probabilities of 8 and 16 bits (k/255, k/65535) never
// share one.
//
// A bin that has met one value only is exact; the others are the histogram's whole error, and auroc() and
// average_precision() say how large it can be.
class ScoreHistogram {
 public:
  static constexpr int kFractionBits = 14, kOctaves = 24;
  static constexpr size_t kHalf = (size_t{kOctaves} << kFractionBits) + 1, kBins = 2 * kHalf + 1;
  // p in [0, 1]. Monotone.
  static size_t bin_of(float p);

  ScoreHistogram();
  // targets, region as count() takes them. Throws ErrorCode::malformed for a counted score that is not in [0, 1].
  void add(std::span<const float> scores, std::span<const uint8_t> targets, std::span<const uint8_t> region);
  void add(const ScoreHistogram& other);
  void clear();

  struct Bin {
    PixelCount negatives = 0, positives = 0;
    // The only value met, or NaN where there were several.
    float value = 0;
    bool empty() const { return negatives == 0 && positives == 0; }
  };
  const Bin& bin(size_t k) const { return bins_[k]; }
  // Adds what another histogram held in bin k.
  void add_bin(size_t k, const Bin& more);
  PixelCount positives() const { return positives_; }
  PixelCount negatives() const { return negatives_; }

 private:
  std::vector<Bin> bins_;
  PixelCount positives_ = 0, negatives_ = 0;
};

// A value computed from a histogram, and the bounds between which the value of the scores themselves lies (equal where
// every bin is exact). Rounding of the sums, below 1e-12, is not in the bounds.
struct Area {
  double value = 0, low = 0, high = 0;
};

// Area under the ROC curve by trapezoids over all distinct scores = the share of (positive, negative) pairs in the
// right order, ties counting half (Mann and Whitney 1947). Undefined without positives or without negatives. Bound: a
// bin of a positives and b negatives is wrong by at most a b / 2 pairs.
std::optional<Area> auroc(const ScoreHistogram& histogram);

// Average precision, sum of (recall_i - recall_{i-1}) precision_i over the distinct scores from the highest down, no
// interpolation: torchmetrics' and scikit-learn's. Undefined without positives.
// Bounds of a bin of a positives and b negatives below which (T, F) positives and negatives have been passed: all
// positives tied before every negative, a (T+a)/(T+a+F); all negatives first, then one positive after another,
// a - (F+b) (H(T+a+F+b) - H(T+F+b)), where the harmonic numbers' difference is at most ln((T+a+F+b+1/2)/(T+F+b+1/2)).
std::optional<Area> average_precision(const ScoreHistogram& histogram);

// A point of the ROC and precision-recall curves: everything at or above `score` is predicted.
struct CurvePoint {
  double score = 0, recall = 0, precision = 0, false_positive_rate = 0;
};
// About `points` of them, from the highest score down, evenly spread along both curves; the last predicts everything.
// Rates that are undefined are 0.
std::vector<CurvePoint> curve(const ScoreHistogram& histogram, int points);

// Counts at every threshold of a list, exactly: as count() at each.
class ThresholdSweep {
 public:
  // thresholds: not decreasing (ErrorCode::internal).
  explicit ThresholdSweep(std::vector<double> thresholds);
  void add(std::span<const float> scores, std::span<const uint8_t> targets, std::span<const uint8_t> region);
  void add(const ThresholdSweep& other);

  size_t size() const { return thresholds_.size(); }
  double threshold(size_t i) const { return thresholds_[i]; }
  PixelCounts counts(size_t i) const;
  // The first threshold of the largest pooled F1, which is also that of the largest pooled IoU: F1 = 2 IoU / (1 + IoU).
  size_t best() const;

  // passed()[2 i + t]: pixels of target t that exceed exactly the first i thresholds.
  const std::vector<PixelCount>& passed() const { return passed_; }
  // Adds counts of the same form (ErrorCode::internal for another length).
  void add_passed(std::span<const PixelCount> more);

 private:
  std::vector<double> thresholds_;
  std::vector<PixelCount> passed_;
};

}  // namespace furrow
