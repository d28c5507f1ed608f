// The sigmoid and its slope in float32, at any x.
#pragma once

#include <cmath>

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// Never overflows: the exponent is never positive. NaN stays.
SIMT_BOTH float stable_sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

// s * (1-s), s the sigmoid; as a product it would lose digits where s is near 1.
SIMT_BOTH float sigmoid_slope(float x) {
  const float e = expf(-fabsf(x));
  return e / ((1.0f + e) * (1.0f + e));
}

}  // namespace furrow::SIMT_NS
