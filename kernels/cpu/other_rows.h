// The remaining inner loops: transposed convolution, pooling and interpolation. Included after conv_rows.h, under its
// rules.
#pragma once

#include "kernels/cpu/conv_rows.h"

namespace furrow::cpu {
namespace {

// Each broadcast meets the weights of both output columns j = 0, 1: 2N multiply-adds for N broadcasts and 2 loads.
template <int N, int kLanesX>
FURROW_INLINE void upconv_reduce(Sums<2 * N>& sums, const UpconvRow& r, int64_t o, int64_t lane) {
  const float* block = r.source.x + o * kLanesX;
  const float* w = r.w + lane;
  for (int64_t left = r.source.channels; left > 0; left -= kLanesX, block += r.source.block_stride) {
    const int64_t channels = left < kLanesX ? left : kLanesX;
    for (int64_t ic = 0; ic < channels; ++ic, w += 2 * kBlock) {
      const T w0 = Vec::load(w), w1 = Vec::load(w + kBlock);
      FURROW_UNROLL
      for (int j = 0; j < N; ++j) {
        const T v = Vec::broadcast(block + j * kLanesX + ic);
        sums.part[2 * j] = Vec::fma(v, w0, sums.part[2 * j]);
        sums.part[2 * j + 1] = Vec::fma(v, w1, sums.part[2 * j + 1]);
      }
    }
    advance(sums, channels, r.part);
  }
}

template <int N>
void upconv_tile(const UpconvRow& r, int64_t o, int64_t lane) {
  Sums<2 * N> sums;
  begin(sums, Vec::load(r.bias + lane));
  if (r.source.lanes == kBlock)
    upconv_reduce<N, 16>(sums, r, o, lane);
  else
    upconv_reduce<N, 4>(sums, r, o, lane);
  FURROW_UNROLL
  for (int j = 0; j < 2 * N; ++j) Vec::store(r.y + (2 * o + j) * kBlock + lane, Vec::add(sums.whole[j], sums.part[j]));
}

template <int N>
void upconv_tiles(const UpconvRow& r, int64_t o, int64_t lane) {
  for (; o + N <= r.width; o += N) upconv_tile<N>(r, o, lane);
  if constexpr (N > 1)
    if (o < r.width) upconv_tiles<smaller_tile(N)>(r, o, lane);
}

void upconv_row(const UpconvRow& r) {
  for (int64_t lane = 0; lane < r.lanes; lane += Vec::kLanes) upconv_tiles<Vec::kTile / 2>(r, 0, lane);
}

// The comparison is false where b is NaN, so a NaN anywhere in the window survives to the end.
FURROW_INLINE float max_of(float a, float b) { return a > b || a != a ? a : b; }

void pool_row(const float* upper, const float* lower, int64_t width, int64_t lanes, float* y) {
  if (lanes % Vec::kLanes != 0) {
    for (int64_t o = 0; o < width; ++o)
      for (int64_t i = 0; i < lanes; ++i) {
        const float *u = upper + 2 * o * lanes + i, *l = lower + 2 * o * lanes + i;
        y[o * lanes + i] = max_of(max_of(u[0], u[lanes]), max_of(l[0], l[lanes]));
      }
    return;
  }
  for (int64_t o = 0; o < width; ++o)
    for (int64_t i = 0; i < lanes; i += Vec::kLanes) {
      const float *u = upper + 2 * o * lanes + i, *l = lower + 2 * o * lanes + i;
      const T above = Vec::max(Vec::load(u), Vec::load(u + lanes)),
              below = Vec::max(Vec::load(l), Vec::load(l + lanes));
      Vec::store(y + o * lanes + i, Vec::max(above, below));
    }
}

// Products are rounded before they are added, on every instruction set: a fused one would give other bits, now and
// then.
void mix_row(const MixRow& r) {
  for (int64_t o = 0; o < r.width; ++o) {
    float* y = r.y + o * r.pixel;
    const MixColumn *begin = r.columns + r.first[o], *end = r.columns + r.first[o + 1];
    int64_t c = 0;
    for (; c + Vec::kLanes <= r.channels; c += Vec::kLanes) {
      Vec::Wide lower = {}, upper = {};
      if (r.add_y) lower = Vec::widen(y + c), upper = Vec::widen(y + c + Vec::kLanes / 2);
      for (const MixSource* row = r.rows; row < r.rows + r.row_count; ++row)
        for (const MixColumn* column = begin; column < end; ++column) {
          const float* x = row->x + column->at * r.pixel + c;
          const double weight = row->weight * column->weight;
          lower += Vec::widen(x) * weight, upper += Vec::widen(x + Vec::kLanes / 2) * weight;
        }
      Vec::store(y + c, Vec::narrow(lower, upper));
    }
    for (; c < r.channels; ++c) {
      double sum = r.add_y ? static_cast<double>(y[c]) : 0;
      for (const MixSource* row = r.rows; row < r.rows + r.row_count; ++row)
        for (const MixColumn* column = begin; column < end; ++column)
          sum += static_cast<double>(row->x[column->at * r.pixel + c]) * (row->weight * column->weight);
      y[c] = static_cast<float>(sum);
    }
  }
}

}  // namespace
}  // namespace furrow::cpu
