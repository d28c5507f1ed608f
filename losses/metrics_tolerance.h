// Precision and recall that forgive a line drawn a few pixels beside the truth.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/metric_ops.h"

namespace furrow {

// How many pixels of each mask lie near the other: within a disc, dx^2 + dy^2 <= radius^2, exactly.
struct NearCounts {
  PixelCount predicted = 0, predicted_near = 0;  // predicted_near: at most `radius` from a true pixel
  PixelCount truth = 0, truth_near = 0;          // truth_near: at most `radius` from a predicted pixel
  bool operator==(const NearCounts&) const = default;
};
NearCounts& operator+=(NearCounts& to, const NearCounts& more);

inline constexpr int kLargestRadius = 64;

// predicted, truth: bytes of a width x height picture, row-major, set where not 0. `region`: a pixel outside it is in
// neither mask; empty: the whole picture. With radius 0 the counts are those of the plain metrics. Errors:
// ErrorCode::internal for lengths, a radius outside 0..kLargestRadius.
NearCounts count_near(std::span<const uint8_t> predicted, std::span<const uint8_t> truth,
                      std::span<const uint8_t> region, int64_t width, int64_t height, int radius);

// precision = predicted_near / predicted, recall = truth_near / truth, f1 = their harmonic mean (0 where both are 0).
struct NearRates {
  double precision = 0, recall = 0, f1 = 0;
};
// A zero denominator gives 0, as pooled_rates() has it.
NearRates pooled_near_rates(const NearCounts& counts);
// Both masks empty: 1, as picture_rates() has it.
NearRates picture_near_rates(const NearCounts& counts);

}  // namespace furrow
