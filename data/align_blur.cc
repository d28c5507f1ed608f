#include "data/align_blur.h"

namespace furrow::data {

void blur_row(const float* at, int64_t step, const double* w, int64_t radius, size_t n, double* sums, float* out) {
  for (size_t i = 0; i < n; ++i) sums[i] = at[i] * w[0];
  for (int64_t k = radius; k > 0; --k) {
    const float *a = at - k * step, *b = at + k * step;
    const double weight = w[k];
    for (size_t i = 0; i < n; ++i) sums[i] += (static_cast<double>(a[i]) + b[i]) * weight;
  }
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(sums[i]);
}

}  // namespace furrow::data
