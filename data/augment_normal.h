// Normal random numbers by position: the same bits on every machine.
#pragma once

#include <cstdint>
#include <span>

#include "data/sample.h"

namespace furrow::data {

// values[i] = deviation * z, z the number first_index + i of the key's stream, of N(0, 1): Box and Muller's transform
// of pairs of words of Philox (kernels/random.h), |z| < 5.8. Logarithm, sine and cosine are polynomials in float32,
// good to 1e-6 of z's scale, in operations that IEEE 754 rounds exactly: a mathematical library that chooses its code
// by the processor would give each machine its own last bits, and with them its own training run. Precondition
// (ErrorCode::internal): first_index is a multiple of 4.
void draw_normal(const DrawKey& key, uint64_t first_index, float deviation, std::span<float> values);

}  // namespace furrow::data
