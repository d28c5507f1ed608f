// Launch functions that count pixels: at a threshold, in bins, and by class (kernels/metric_ops.h). Whole numbers added
// by atomics: the result does not depend on the order. Whoever begins a count zeroes its memory.
#pragma once

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"
#include "kernels/metric_ops.h"

namespace furrow::gpu {

struct CountPixelsArgs {
  ConstImage values;                 // logits or probabilities, c = 1
  float threshold = 0;               // in the unit of the values
  const uint8_t* targets = nullptr;  // [n][h][w]
  const uint8_t* region = nullptr;   // [n][h][w], or null
  PixelCounts* per_image = nullptr;  // [n], or null
  PixelCounts* total = nullptr;      // one, or null
};

struct CountBinsArgs {
  ConstImage values;              // c = 1
  const float* bounds = nullptr;  // histogram_bounds() of the values' unit
  const uint8_t* targets = nullptr;
  const uint8_t* region = nullptr;
  PixelCount* bins = nullptr;  // [2][256]: pixels whose target is 0, then the others
};

struct CountClassesArgs {
  ConstImage scores;                // c classes, 1 to 256
  const uint8_t* labels = nullptr;  // [n][h][w]; labels >= c are left out
  const uint8_t* region = nullptr;
  PixelCount* matrix = nullptr;  // [c][c], row: label, column: largest score (first of equals, or first NaN)
};

struct MetricKernels {
  void (*count_pixels)(Stream, const CountPixelsArgs&);
  void (*count_bins)(Stream, const CountBinsArgs&);
  void (*count_classes)(Stream, const CountClassesArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::MetricKernels metric_kernels;
}
namespace furrow::cuda {
extern const gpu::MetricKernels metric_kernels;
}  // namespace furrow::cuda
