#include "data/align_blur.h"

namespace furrow::data {

void blur_row(const float* const* rows, const double* w, int64_t radius, size_t n, double* sums, float* out) {
  for (size_t i = 0; i < n; ++i) sums[i] = rows[0][i] * w[0];
  for (int64_t k = radius; k > 0; --k) {
    const float *a = rows[-k], *b = rows[k];
    const double weight = w[k];
    for (size_t i = 0; i < n; ++i) sums[i] += (static_cast<double>(a[i]) + b[i]) * weight;
  }
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(sums[i]);
}

}  // namespace furrow::data
