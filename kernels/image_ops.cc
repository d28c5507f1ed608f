// Bounds that stand for a function of the CPU's float32 arithmetic, so that devices need compare only.
#include "kernels/image_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace furrow::gpu {
namespace {

// Floats in the order of their values, as whole numbers: -inf .. +inf.
uint32_t ordered(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}
float from_ordered(uint32_t key) { return std::bit_cast<float>(key >> 31 != 0 ? key & 0x7fffffffu : ~key); }

// The smallest float from -inf to +inf with passes(x), which holds from there on; NaN where it holds nowhere.
template <class Passes> float least(Passes passes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (!passes(kInfinity)) return std::numeric_limits<float>::quiet_NaN();
  uint32_t low = ordered(-kInfinity), high = ordered(kInfinity);   // high passes
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (passes(from_ordered(middle))) high = middle;
    else low = middle + 1;
  }
  return from_ordered(low);
}

float sigmoid(float z) { return 1.0f / (1.0f + std::exp(-z)); }

}  // namespace

float least_probability(double threshold) {
  return least([=](float p) { return p > threshold; });
}

float least_logit(double threshold) {
  return least([=](float z) { return sigmoid(z) > threshold; });
}

std::array<float, 255> logit_bounds() {
  std::array<float, 255> bounds;
  for (uint32_t k = 1; k <= 255; ++k)
    bounds[k - 1] = least([=](float z) { return static_cast<uint32_t>(sigmoid(z) * 255.0f + 0.5f) >= k; });
  return bounds;
}

}  // namespace furrow::gpu
