// Counting pixels: what the kernels of kernels/cuda/metrics.h count, and their plain loops in kernels/ref/metrics.h.
//
// Everything is counted in whole numbers of 64 bits and added to what is there, so that one buffer takes a whole data
// set and the order of adding is of no account. A `region` of bytes, where given, leaves out the pixels where it is 0.
#pragma once

#include <array>

namespace furrow {

using PixelCount = unsigned long long;  // as CUDA's atomics take it

// A pixel is predicted where its value > threshold (never where it is NaN), and true where its target byte is not 0.
// Logits go with the logit of a probability: 0 for 0.5.
struct PixelCounts {
  PixelCount tp = 0, fp = 0, fn = 0, tn = 0;
};

// Histograms of 256 bins, bin k for probabilities in [k/256, (k+1)/256): a value's bin is the number of bounds at or
// below it. NaN is in no bin. For areas under curves and for calibration.
inline constexpr int kHistogramBins = 256;
using HistogramBounds = std::array<float, kHistogramBins - 1>;
// k/256 for k = 1..255, or the logits of these, rounded to float32.
HistogramBounds histogram_bounds(bool of_logits);

}  // namespace furrow
