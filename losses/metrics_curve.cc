#include "losses/metrics_curve.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr float kSmallest = 0x1p-25f;  // 2^-(kOctaves + 1)

size_t low_bin(float p) {
  if (p < kSmallest) return 0;
  const uint32_t above = std::bit_cast<uint32_t>(p) - std::bit_cast<uint32_t>(kSmallest);
  return (above >> (23 - ScoreHistogram::kFractionBits)) + 1;
}

double as_double(PixelCount n) { return static_cast<double>(n); }

double ratio(PixelCount over, PixelCount under) { return under == 0 ? 0.0 : as_double(over) / as_double(under); }

bool inside(std::span<const uint8_t> region, size_t i) { return region.empty() || region[i] != 0; }

void check_lengths(size_t scores, size_t targets, size_t region) {
  require(scores == targets && (region == 0 || region == targets), "scores, targets and region of equal lengths");
}

}  // namespace

// Above 1/2 the bins are those of 1 - p, which is exact there, counted from the other end.
size_t ScoreHistogram::bin_of(float p) { return p < 0.5f ? low_bin(p) : kBins - 1 - low_bin(1.0f - p); }

ScoreHistogram::ScoreHistogram() : bins_(kBins) {}

void ScoreHistogram::clear() {
  std::ranges::fill(bins_, Bin{});
  positives_ = negatives_ = 0;
}

void ScoreHistogram::add_bin(size_t k, const Bin& more) {
  if (more.empty()) return;
  Bin& bin = bins_[k];
  if (bin.empty())
    bin.value = more.value;
  else if (!(bin.value == more.value))
    bin.value = std::numeric_limits<float>::quiet_NaN();
  bin.negatives += more.negatives;
  bin.positives += more.positives;
  negatives_ += more.negatives;
  positives_ += more.positives;
}

void ScoreHistogram::add(std::span<const float> scores, std::span<const uint8_t> targets,
                         std::span<const uint8_t> region) {
  check_lengths(scores.size(), targets.size(), region.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!inside(region, i)) continue;
    const float p = scores[i];
    if (!(p >= 0 && p <= 1)) throw Error(ErrorCode::malformed, "a score is not a number from 0 to 1");
    const bool positive = targets[i] != 0;
    add_bin(bin_of(p), {.negatives = positive ? 0u : 1u, .positives = positive ? 1u : 0u, .value = p});
  }
}

void ScoreHistogram::add(const ScoreHistogram& other) {
  for (size_t k = 0; k < kBins; ++k) add_bin(k, other.bins_[k]);
}

std::optional<Area> auroc(const ScoreHistogram& histogram) {
  if (histogram.positives() == 0 || histogram.negatives() == 0) return std::nullopt;
  const double pairs = as_double(histogram.positives()) * as_double(histogram.negatives());
  double right = 0, doubt = 0;
  PixelCount below = 0;
  for (size_t k = 0; k < ScoreHistogram::kBins; ++k) {
    const ScoreHistogram::Bin& bin = histogram.bin(k);
    const double tied = as_double(bin.positives) * as_double(bin.negatives) / 2;
    right += as_double(bin.positives) * as_double(below) + tied;
    if (std::isnan(bin.value)) doubt += tied;
    below += bin.negatives;
  }
  return Area{right / pairs, (right - doubt) / pairs, (right + doubt) / pairs};
}

std::optional<Area> average_precision(const ScoreHistogram& histogram) {
  if (histogram.positives() == 0) return std::nullopt;
  Area sum;
  PixelCount positives = 0, negatives = 0;
  for (size_t k = ScoreHistogram::kBins; k-- > 0;) {
    const ScoreHistogram::Bin& bin = histogram.bin(k);
    if (bin.empty()) continue;
    const double a = as_double(bin.positives), T = as_double(positives), F = as_double(negatives),
                 all = F + as_double(bin.negatives);
    if (bin.positives > 0) {
      const double tied = a * (T + a) / (T + a + all);
      const bool exact = !std::isnan(bin.value);
      sum.value += tied;
      sum.high += exact ? tied : a * (T + a) / (T + a + F);
      sum.low += exact ? tied : a - all * std::log((T + a + all + 0.5) / (T + all + 0.5));
    }
    positives += bin.positives;
    negatives += bin.negatives;
  }
  const double total = as_double(positives);
  return Area{sum.value / total, sum.low / total, sum.high / total};
}

std::vector<CurvePoint> curve(const ScoreHistogram& histogram, int points) {
  require(points > 0, "curve: points");
  std::vector<CurvePoint> out;
  const double step =
      3.0 / points;  // both curves are at most 2 long in each of these measures; leave room for the ends
  PixelCount positives = 0, negatives = 0;
  CurvePoint last{.score = 1};
  double kept_recall = 0, kept_rate = 0, kept_precision = 0;
  bool pending = false;
  for (size_t k = ScoreHistogram::kBins; k-- > 0;) {
    const ScoreHistogram::Bin& bin = histogram.bin(k);
    if (bin.empty()) continue;
    positives += bin.positives;
    negatives += bin.negatives;
    if (!std::isnan(bin.value)) last.score = static_cast<double>(bin.value);
    last.recall = ratio(positives, histogram.positives());
    last.false_positive_rate = ratio(negatives, histogram.negatives());
    last.precision = ratio(positives, positives + negatives);
    const double moved = last.recall - kept_recall + (last.false_positive_rate - kept_rate) +
                         (last.recall > kept_recall ? std::abs(last.precision - kept_precision) : 0);
    pending = moved < step && !out.empty();
    if (pending) continue;
    out.push_back(last);
    kept_recall = last.recall;
    kept_rate = last.false_positive_rate;
    kept_precision = last.precision;
  }
  if (pending) out.push_back(last);
  return out;
}

ThresholdSweep::ThresholdSweep(std::vector<double> thresholds)
    : thresholds_(std::move(thresholds)), passed_(2 * (thresholds_.size() + 1)) {
  require(std::ranges::is_sorted(thresholds_), "ThresholdSweep: thresholds do not decrease");
}

void ThresholdSweep::add(std::span<const float> scores, std::span<const uint8_t> targets,
                         std::span<const uint8_t> region) {
  check_lengths(scores.size(), targets.size(), region.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!inside(region, i)) continue;
    // How many thresholds lie below the score; none below NaN.
    const auto score = static_cast<double>(scores[i]);
    const auto below = std::ranges::partition_point(thresholds_, [&](double t) { return score > t; });
    ++passed_[2 * static_cast<size_t>(below - thresholds_.begin()) + (targets[i] != 0 ? 1 : 0)];
  }
}

void ThresholdSweep::add(const ThresholdSweep& other) { add_passed(other.passed_); }

void ThresholdSweep::add_passed(std::span<const PixelCount> more) {
  require(more.size() == passed_.size(), "ThresholdSweep: the same thresholds");
  for (size_t i = 0; i < passed_.size(); ++i) passed_[i] += more[i];
}

PixelCounts ThresholdSweep::counts(size_t i) const {
  PixelCounts c;
  for (size_t k = 0; k <= thresholds_.size(); ++k) {
    (k <= i ? c.tn : c.fp) += passed_[2 * k];
    (k <= i ? c.fn : c.tp) += passed_[2 * k + 1];
  }
  return c;
}

size_t ThresholdSweep::best() const {
  size_t best = 0;
  double best_f1 = -1;
  for (size_t i = 0; i < size(); ++i) {
    const double f1 = *pooled_rates(counts(i))[static_cast<size_t>(Rate::f1)];
    if (f1 > best_f1) best = i, best_f1 = f1;
  }
  return best;
}

}  // namespace furrow
