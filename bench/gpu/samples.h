// Right or wrong at full size: a convolution's formula in float64 at some of its outputs, and whole results against
// each other.
#pragma once

#include <span>

#include "bench/gpu/rows.h"
#include "kernels/planned.h"

namespace furrow::bench {

// What a step reads: dense float32 or float64 tensors, the second one empty where there is none.
struct StepInputs {
  Tensor x[2];
  StepWeights weights;
};
// What it wrote, dense float32; empty where it writes none.
struct StepResults {
  Tensor y, pooled, head;
};

// Largest |got - want| / largest |want| over all four corners and `pixels` more pixels of every result, all channels of
// a convolution's or transposed convolution's pixel. NaN where any is NaN.
double sampled_error(const Step& step, const StepInputs& in, const StepResults& got, int pixels);

// Largest |got - want| / largest |want|, over everything.
double relative_difference(std::span<const float> got, std::span<const float> want);

// Of one or more results: the largest ||got - want|| / ||want||, signs that differ (pixels on the other side of a
// threshold of one half), values that are no number. `error` is NaN where any value is.
struct Logits {
  double error = 0;
  int64_t values = 0, flips = 0, not_finite = 0;
  void add(std::span<const float> got, std::span<const double> want);
  std::string text() const;   // "3 of 4995 signs flipped, 0 not finite"
};

// What `precision` leaves of a sum of `length` products, relative to the largest result: float32 rounds each partial
// sum; the others round operands and results to 10 (tf32, fp16) or 7 bits of fraction.
double rounding_bound(const char* precision, int64_t length);

}  // namespace furrow::bench
