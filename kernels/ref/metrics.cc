// Counts of pixels, bins and classes, as kernels/metric_ops.h writes them.
#include "kernels/ref/metrics.h"

#include <algorithm>
#include <cmath>

namespace furrow::ref {
namespace {

bool counts(std::span<const uint8_t> region, size_t i) { return region.empty() || region[i] != 0; }

}  // namespace

void count_pixels(std::span<const double> values, double threshold, std::span<const uint8_t> targets,
                  std::span<const uint8_t> region, PixelCounts& to) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!counts(region, i)) continue;
    const bool predicted = values[i] > threshold, target = targets[i] != 0;
    ++(predicted ? (target ? to.tp : to.fp) : (target ? to.fn : to.tn));
  }
}

void count_bins(std::span<const double> values, const HistogramBounds& bounds, std::span<const uint8_t> targets,
                std::span<const uint8_t> region, std::span<PixelCount> bins) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!counts(region, i) || std::isnan(values[i])) continue;
    const auto bin = std::count_if(bounds.begin(), bounds.end(),
                                   [&](float bound) { return static_cast<double>(bound) <= values[i]; });
    ++bins[(targets[i] != 0 ? kHistogramBins : 0) + static_cast<size_t>(bin)];
  }
}

void count_classes(std::span<const double> scores, int classes, std::span<const uint8_t> labels,
                   std::span<const uint8_t> region, std::span<PixelCount> matrix) {
  const auto C = static_cast<size_t>(classes);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!counts(region, i) || labels[i] >= C) continue;
    size_t best = 0;
    for (size_t c = 1; c < C; ++c) {
      const double now = scores[i * C + c], before = scores[i * C + best];
      if (now > before || (std::isnan(now) && !std::isnan(before))) best = c;
    }
    ++matrix[labels[i] * C + best];
  }
}

}  // namespace furrow::ref
