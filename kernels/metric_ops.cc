// The bounds of histogram bins.
#include "kernels/metric_ops.h"

#include <cmath>

namespace furrow {

HistogramBounds histogram_bounds(bool of_logits) {
  HistogramBounds bounds{};
  for (size_t i = 0; i < bounds.size(); ++i) {
    const double p = static_cast<double>(i + 1) / kHistogramBins;
    bounds[i] = static_cast<float>(of_logits ? std::log(p / (1 - p)) : p);
  }
  return bounds;
}

}  // namespace furrow
