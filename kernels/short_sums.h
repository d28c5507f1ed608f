// Which float32 sums are added up in double.
//
// The convolutions of the float32 back-ends and their gradients err by at most 4e-8 * sqrt(K) of the largest result, K
// the terms of a sum. Long sums keep that by two levels of float32 (kernels/cpu/steps.h, kernels/cuda/conv_tile.cu):
// the bound grows with sqrt(K), and so do their errors, which walk. A short sum has too few terms for that. Rounding
// the result alone takes up to 2^-24 = 6.0e-8 of it, which is the whole bound of K = 2 and more than that of K = 1;
// every addition before it may take as much again, and up to K = 48 the largest errors of float32 chains were measured
// to be up to 1.9 times the bound. So short sums add exact products in double, bias and what is already there included,
// and round once: no float32 result can be nearer. For K = 1 and 2 that is 2^-24 of the result, and the bound there.
// docs/accuracy.md has the measurements.
//
// They cost twice as much or more, and hardly any of a network's work is short: its first layer (27 terms), heads of
// few channels and what goes back through them, transposed convolutions from few channels, gradients of weights over
// fewer than 49 positions. So do bilinear interpolation, which waits for memory anyway, gradients of maxima, and batch
// norm over few pixels; on the CUDA kernels interpolation and maxima add up in pairs of float32 instead
// (kernels/cuda/compensated.h).
#pragma once

#include <cstdint>

namespace furrow {

// The shortest sum that two levels of float32 keep within the bound.
inline constexpr int kShortSum = 49;

constexpr bool is_short_sum(int64_t K) { return K < kShortSum; }

}  // namespace furrow
