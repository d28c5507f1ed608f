// Rates from counts of pixels: what docs/metrics.md defines, with the rule for every zero denominator.
//
// P = tp + fp pixels are predicted, T = tp + fn are true. 0/0 has no value of its own, and the two ways to count answer
// differently on purpose: pooled counts follow torchmetrics, so that numbers can be compared with published ones;
// single pictures, many of which have no wrinkle at all, follow the empty-mask rule.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/metric_ops.h"

namespace furrow {

enum class Rate : uint8_t {
  iou,          // tp / (tp + fp + fn)                 also called Jaccard index, JSI
  f1,           // 2 tp / (2 tp + fp + fn)             also called Dice
  precision,    // tp / (tp + fp)
  recall,       // tp / (tp + fn)                      also called sensitivity
  specificity,  // tn / (tn + fp)
  accuracy,     // (tp + tn) / (tp + fp + fn + tn)
};
inline constexpr std::array<std::string_view, 6> kRateNames = {"iou",    "f1",          "precision",
                                                               "recall", "specificity", "accuracy"};
inline constexpr size_t kRates = kRateNames.size();

// Empty: undefined ("n/a").
using Rates = std::array<std::optional<double>, kRates>;

PixelCounts& operator+=(PixelCounts& to, const PixelCounts& more);
bool operator==(const PixelCounts& a, const PixelCounts& b);

// A pixel is predicted where its score > threshold (compared as doubles; never where it is NaN), and true where its
// target byte is not 0. `region`: bytes, 0 leaves a pixel out; empty: every pixel counts. Equal lengths
// (ErrorCode::internal).
PixelCounts count(std::span<const float> scores, double threshold, std::span<const uint8_t> targets,
                  std::span<const uint8_t> region);

// Of the counts of many pictures added up. A zero denominator gives 0, as torchmetrics 1.6.0 does (its binary
// classification metrics with the default zero_division); always defined.
Rates pooled_rates(const PixelCounts& counts);

// Of one picture. Nothing true and nothing predicted: IoU, F1, precision and recall are 1. Either alone: 0, which is
// what the formulas say or what their 0/0 is taken for. Specificity without a false pixel, and everything of a picture
// without pixels (its region is empty): undefined.
Rates picture_rates(const PixelCounts& counts);

}  // namespace furrow
