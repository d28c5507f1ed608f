// The inverse discrete cosine transform of JPEG, with libjpeg-turbo's integers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace furrow::io {

// Steps of the 64 coefficients, row by row (not in zigzag order).
using JpegQuantisation = std::array<uint16_t, 64>;

// Turns a block of quantised coefficients (row-major: index 8 * v + u, u the horizontal frequency) into 8 rows of 8
// samples, the first at `out`, each `stride` behind the one above:
//   s(x, y) = 128 + sum over u, v of C(u) C(v) / 4 * q(u, v) * c(u, v) * cos((2x + 1) u pi / 16) * cos((2y + 1) v pi /
//   16)
// (T.81, A.3.3), clamped to 0..255, computed in two passes of an eight-point transform with 11 multiplications in its
// original form (Loeffler, Ligtenberg and Moschytz, ICASSP 1989), in fixed point: constants of 13 bits, 2 bits kept
// between the passes. That is libjpeg's "islow" method; to the bit, for coefficients that no encoder writes included,
// what libjpeg-turbo's SSE2 and AVX2 code gives, which keeps 16 bits of products and of some sums.
void inverse_dct(const int16_t* coefficients, const JpegQuantisation& steps, uint8_t* out, ptrdiff_t stride);

}  // namespace furrow::io
