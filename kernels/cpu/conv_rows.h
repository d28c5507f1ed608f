// The convolution kernel, included once by each instruction-set file after it has defined `Vec` in an anonymous
// namespace. Everything here has internal linkage and uses no library: a template or inline function that another file
// also instantiates would be merged by the linker, and the AVX copy could end up on a CPU without AVX.
//
// Algorithm (direct convolution, register tiles): N neighbouring output pixels x Vec::kLanes channels stay in registers
// over the whole reduction. For stride-1 rows of three taps, one input value is broadcast once and meets all three
// weights of its (kh, ic): output o takes it as tap 0, o-1 as tap 1, o-2 as tap 2. So a step of 3N multiply-adds costs
// N+2 broadcasts and 3 loads, and the kernel is bound by the multiply-add units even where a broadcast takes a load
// port for a cycle. AVX-512: N = 24 accumulators + 3 weights + 1 value of 32 registers; AVX2: 10 + 3 + 1 of 16 (with
// 12, g++ spills). Source for register tiling of direct convolution in a blocked layout: Georganas et al. 2018,
// arXiv:1808.05567.
//
// A sum goes by parts of `part` terms or a few more (up to a kernel row of three taps, or the channels of a tap), each
// from 0 in a register; a part that is complete joins those before it, and the bias, on the stack: two short sums round
// less than a chain.
//
// Vec: T (register), kLanes, kTile, kRows (tile_rows.h), load, store, broadcast, fma(a, b, c) = a*b + c, add, sub,
// zero, relu (NaN stays), max (NaN wins); Wide, lower, upper (loss_rows.h).
#pragma once

#include <stdint.h>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/unroll.h"

namespace furrow::cpu {
namespace {

using T = Vec::T;
constexpr int64_t kBlock = 16;  // channels of an output block

// The tile after N when the row has fewer than N pixels left.
constexpr int smaller_tile(int n) { return n > 16 ? 16 : n > 8 ? 8 : n / 2; }

// N sums.
template <int N>
struct Sums {
  T part[N];          // in registers
  T whole[N];         // of the parts that are complete
  int64_t terms = 0;  // of `part`
};

template <int N>
FURROW_INLINE void begin(Sums<N>& sums, T bias) {
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) sums.part[j] = Vec::zero(), sums.whole[j] = bias;
}

// After `terms` more of each sum. Where parts end is the same for every N.
template <int N>
FURROW_INLINE void advance(Sums<N>& sums, int64_t terms, int64_t part) {
  sums.terms += terms;
  if (sums.terms < part) return;
  sums.terms = 0;
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) sums.whole[j] = Vec::add(sums.whole[j], sums.part[j]), sums.part[j] = Vec::zero();
}

// One kernel row of one channel: x points at the first of N+2 pixels.
template <int N, int kLanesX>
FURROW_INLINE void three_taps(T (&acc)[N], const float* x, const float* w) {
  const T w0 = Vec::load(w), w1 = Vec::load(w + kBlock), w2 = Vec::load(w + 2 * kBlock);
  FURROW_UNROLL
  for (int j = 0; j < N + 2; ++j) {
    const T v = Vec::broadcast(x + j * kLanesX);
    if (j < N) acc[j] = Vec::fma(v, w0, acc[j]);
    if (j >= 1 && j <= N) acc[j - 1] = Vec::fma(v, w1, acc[j - 1]);
    if (j >= 2) acc[j - 2] = Vec::fma(v, w2, acc[j - 2]);
  }
}

// All channels of one source; returns the weights of the next.
template <int N, int kLanesX>
FURROW_INLINE const float* reduce3(Sums<N>& sums, const ConvRow& r, const ConvSource& s, int64_t o, const float* w) {
  const float* block = s.x + (r.first_column + o) * kLanesX;
  for (int64_t left = s.channels; left > 0; left -= kLanesX, block += s.block_stride) {
    const int64_t channels = left < kLanesX ? left : kLanesX;
    for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh) {
      const float* x = block + (kh - r.kh_begin) * s.row_stride;
      const float* wk = w + kh * channels * 3 * kBlock;
      for (int64_t ic = 0; ic < channels; ++ic) three_taps<N, kLanesX>(sums.part, x + ic, wk + ic * 3 * kBlock);
      advance(sums, 3 * channels, r.part);
    }
    w += r.kernel_h * channels * 3 * kBlock;
  }
  return w;
}

// Any kernel width, the columns outside the channels; kStride 0 stands for a stride that only r.stride knows (then N is
// 1).
template <int N, int kStride, int kLanesX>
FURROW_INLINE const float* reduce(Sums<N>& sums, const ConvRow& r, const ConvSource& s, int64_t o, const float* w) {
  const float* block = s.x + (r.first_column + r.kw_begin + o * r.stride) * kLanesX;
  const int64_t taps = r.kernel_w * kBlock;
  for (int64_t left = s.channels; left > 0; left -= kLanesX, block += s.block_stride) {
    const int64_t channels = left < kLanesX ? left : kLanesX;
    for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh) {
      const float* x = block + (kh - r.kh_begin) * s.row_stride;
      const float* wk = w + kh * channels * taps;
      for (int64_t kw = r.kw_begin; kw < r.kw_end; ++kw) {
        for (int64_t ic = 0; ic < channels; ++ic) {
          const T weight = Vec::load(wk + ic * taps + kw * kBlock);
          const float* pixel = x + (kw - r.kw_begin) * kLanesX + ic;
          FURROW_UNROLL
          for (int j = 0; j < N; ++j)
            sums.part[j] = Vec::fma(Vec::broadcast(pixel + j * kStride * kLanesX), weight, sums.part[j]);
        }
        advance(sums, channels, r.part);
      }
    }
    w += r.kernel_h * channels * taps;
  }
  return w;
}

template <int N>
FURROW_INLINE void finish(const Sums<N>& sums, const ConvRow& r, int64_t o, int64_t lane) {
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    const T y = Vec::add(sums.whole[j], sums.part[j]);
    Vec::store(r.y + (o + j) * kBlock + lane, r.relu ? Vec::relu(y) : y);
  }
}

// kStride -1: three taps.
template <int N, int kStride>
void conv_tile(const ConvRow& r, int64_t o, int64_t lane) {
  Sums<N> sums;
  begin(sums, Vec::load(r.bias + lane));
  const float* w = r.w + lane;
  for (const ConvSource& s : r.source) {
    if (s.channels == 0) break;
    if constexpr (kStride < 0)
      w = s.lanes == kBlock ? reduce3<N, 16>(sums, r, s, o, w) : reduce3<N, 4>(sums, r, s, o, w);
    else
      w = s.lanes == kBlock ? reduce<N, kStride, 16>(sums, r, s, o, w) : reduce<N, kStride, 4>(sums, r, s, o, w);
  }
  finish<N>(sums, r, o, lane);
}

// Covers pixels [o, width) with tiles of N, then of smaller sizes.
template <int N, int kStride>
void conv_tiles(const ConvRow& r, int64_t o, int64_t lane) {
  for (; o + N <= r.width; o += N) conv_tile<N, kStride>(r, o, lane);
  if constexpr (N > 1)
    if (o < r.width) conv_tiles<smaller_tile(N), kStride>(r, o, lane);
}

void conv3_row(const ConvRow& r) {
  for (int64_t lane = 0; lane < r.lanes; lane += Vec::kLanes) conv_tiles<Vec::kTile, -1>(r, 0, lane);
}

void conv_row(const ConvRow& r) {
  for (int64_t lane = 0; lane < r.lanes; lane += Vec::kLanes) {
    if (r.stride == 1)
      conv_tiles<Vec::kTile, 1>(r, 0, lane);
    else if (r.stride == 2)
      conv_tiles<Vec::kTile, 2>(r, 0, lane);
    else
      conv_tiles<1, 0>(r, 0, lane);
  }
}

}  // namespace
}  // namespace furrow::cpu
