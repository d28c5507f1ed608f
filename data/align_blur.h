// The loop of a symmetric filter, apart from its callers so that it alone is compiled for speed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::data {

// out[i] = sums[i] = at[i] w[0] + (at[i - k step] + at[i + k step]) w[k], k = radius .. 1, in double, the outermost
// pair first: scipy.ndimage's order for symmetric filters. `sums`: n, to work in; `out` must not overlap what is read.
void blur_row(const float* at, int64_t step, const double* w, int64_t radius, size_t n, double* sums, float* out);

}  // namespace furrow::data
