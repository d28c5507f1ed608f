// The counts of kernels/metric_ops.h in plain loops. An empty `region`: every pixel.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/metric_ops.h"

namespace furrow::ref {

void count_pixels(std::span<const double> values, double threshold, std::span<const uint8_t> targets,
                  std::span<const uint8_t> region, PixelCounts& counts);

// bins[t * 256 + k]: pixels of bin k whose target is (t = 1) or is not (t = 0) set.
void count_bins(std::span<const double> values, const HistogramBounds& bounds, std::span<const uint8_t> targets,
                std::span<const uint8_t> region, std::span<PixelCount> bins);

// matrix[y * classes + k]: pixels labelled y whose largest of `classes` scores is number k: the first of equals, or the
// first NaN. Labels that are no class are left out.
void count_classes(std::span<const double> scores, int classes, std::span<const uint8_t> labels,
                   std::span<const uint8_t> region, std::span<PixelCount> matrix);

}  // namespace furrow::ref
