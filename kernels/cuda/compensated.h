// Float32 sums that are rounded once, without float64, which most GPUs compute at a 32nd or 64th of the rate: what
// every product and every addition rounds off is added up beside the sum and joins it at the end. The result errs by
// half a unit of its own and K^2 * 2^-48 of the sum of its terms' sizes, for K terms, and 2^-48 of the largest value
// for each weight (one_minus errs by a part of 1, not of its result): that of a sum in float64, but for numbers 2^-24
// of their terms. A partial sum that overflows stays an infinity: 3.4e38 + 3.4e38 - 3.4e38 is inf, and 3.4e38 in
// float64. A term costs 11 operations of float32. Source: Ogita, Rump and Oishi 2005, "Accurate sum and dot product",
// algorithm 5.3 (Dot2), with a fused multiply-add for what a product rounds off; Knuth's TwoSum.
//
// No plain product is added to anything here: nvcc would be free to fuse the two, in some places and not in others, and
// the parts that were rounded off would be wrong.
#pragma once

#include <type_traits>

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// high + low, low a rounding error of high.
struct Pair {
  float high = 0, low = 0;
};

// a + b, exactly.
SIMT_BOTH Pair exact_sum(float a, float b) {
  const float sum = a + b, part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}
// a * b, exactly, but for the sign of a product that is 0.
SIMT_BOTH Pair exact_product(float a, float b) {
  const float product = fmaf(a, b, 0.0f);
  return {product, fmaf(a, b, -product)};
}

// dividend / divisor, both whole numbers up to 2^24.
SIMT_BOTH Pair quotient(float dividend, float divisor) {
  const float high = dividend / divisor;
  return {high, fmaf(-high, divisor, dividend) / divisor};
}
SIMT_BOTH Pair one_minus(const Pair& x) {
  const Pair rest = exact_sum(1, -x.high);
  return {rest.high, rest.low - x.low};
}
SIMT_BOTH Pair product(const Pair& a, const Pair& b) {
  const Pair highs = exact_product(a.high, b.high);
  return {highs.high, fmaf(a.high, b.low, fmaf(a.low, b.high, highs.low))};
}

// sum += weight * value
SIMT_BOTH void add_product(Pair& sum, const Pair& weight, float value) {
  const Pair term = exact_product(weight.high, value), next = exact_sum(sum.high, term.high);
  sum = {next.high, sum.low + (next.low + fmaf(weight.low, value, term.low))};
}
// The sum, rounded. Beside an infinity the low part is no number.
SIMT_BOTH float rounded(const Pair& sum) {
  const float result = sum.high + sum.low;
  return isfinite(sum.high) ? result : sum.high;
}

// sum += value
SIMT_BOTH void add(Pair& sum, float value) {
  const Pair next = exact_sum(sum.high, value);
  sum = {next.high, sum.low + next.low};
}

SIMT_BOTH void add(Pair& sum, const Pair& value) {
  add(sum, value.high);
  sum.low += value.low;
}

// What results of the storage type T are added up in: those of 16 bits need no more than float32.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, float>, Pair, float>;
SIMT_BOTH void add_product(float& sum, const Pair& weight, float value) { sum = fmaf(weight.high, value, sum); }
SIMT_BOTH void add(float& sum, float value) { sum += value; }
SIMT_BOTH float rounded(float sum) { return sum; }

}  // namespace furrow::SIMT_NS
