// The loop of a symmetric filter, apart from its callers so that it alone is compiled for speed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::data {

// out[i] = sums[i] = rows[0][i] w[0] + (rows[-k][i] + rows[k][i]) w[k], k = radius .. 1, in double, the outermost pair
// first: scipy.ndimage's order for symmetric filters. `rows` points to the middle of 2 radius + 1 rows of n; sums: n, to
// work in; `out` may be one of the rows only where radius is 0.
void blur_row(const float* const* rows, const double* w, int64_t radius, size_t n, double* sums, float* out);

}  // namespace furrow::data
