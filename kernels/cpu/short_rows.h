// Short sums (kernels/short_sums.h): convolution rows added up in double and rounded once. Included after conv_rows.h,
// under its rules.
//
// One loop for every shape: few sums are short, and each instance of a register tile is code in the program three
// times. The steps from pixel to pixel are variables, so it also serves transposed convolutions (a column of the
// kernel, every second pixel of y), gathered matrices (pixels are rows) and their transposes (lanes 1).
//
// N pixels x the lanes of one float register are 2N registers of double. Products of float32 numbers are exact in
// double, so the instruction sets give the same bits, whether they fuse or not.
//
// Vec: kShort; Wide, a register of half the lanes in double; widen (half the lanes from memory), wide (one value
// broadcast), wide_fma, narrow (two registers of double into one of float).
#pragma once

#include "kernels/cpu/conv_rows.h"

namespace furrow::cpu {
namespace {

// The two halves of a register's lanes.
struct Halves {
  Vec::Wide lower, upper;
};
FURROW_INLINE Halves widen(const float* p) { return {Vec::widen(p), Vec::widen(p + Vec::kLanes / 2)}; }

template <int N>
FURROW_INLINE void reduce_short(Halves (&sum)[N], const ConvRow& r, const ConvSource& s, int64_t o, const float* w) {
  const int64_t step = r.stride * s.lanes, taps = r.kernel_w * kBlock;
  const float* block = s.x + r.kw_begin * s.lanes + r.first_column * s.lanes + o * step;
  for (int64_t left = s.channels; left > 0; left -= s.lanes, block += s.block_stride) {
    const int64_t channels = left < s.lanes ? left : s.lanes;
    for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh) {
      const float* x = block + (kh - r.kh_begin) * s.row_stride;
      for (int64_t kw = r.kw_begin; kw < r.kw_end; ++kw, x += s.lanes) {
        const float* weight = w + kh * channels * taps + kw * kBlock;
        for (int64_t ic = 0; ic < channels; ++ic, weight += taps) {
          const Halves both = widen(weight);
          FURROW_UNROLL
          for (int j = 0; j < N; ++j) {
            const Vec::Wide value = Vec::wide(x + ic + j * step);
            sum[j].lower = Vec::wide_fma(value, both.lower, sum[j].lower);
            sum[j].upper = Vec::wide_fma(value, both.upper, sum[j].upper);
          }
        }
      }
    }
    w += r.kernel_h * channels * taps;
  }
}

template <int N>
void short_tile(const ConvRow& r, int64_t o, int64_t lane) {
  const Halves bias = widen(r.bias + lane);
  float* y = r.y + o * r.y_pixel + lane;
  Halves sum[N];
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    sum[j] = bias;
    if (r.add_y) {
      const Halves before = widen(y + j * r.y_pixel);
      sum[j].lower += before.lower, sum[j].upper += before.upper;
    }
  }
  const float* w = r.w + lane;
  for (const ConvSource& s : r.source) {
    if (s.channels == 0) break;
    reduce_short(sum, r, s, o, w);
    w += r.kernel_h * s.channels * r.kernel_w * kBlock;
  }
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    const T value = Vec::narrow(sum[j].lower, sum[j].upper);
    Vec::store(y + j * r.y_pixel, r.relu ? Vec::relu(value) : value);
  }
}

void short_row(const ConvRow& r) {
  for (int64_t lane = 0; lane < r.lanes; lane += Vec::kLanes) {
    int64_t o = 0;
    for (; o + Vec::kShort <= r.width; o += Vec::kShort) short_tile<Vec::kShort>(r, o, lane);
    for (; o < r.width; ++o) short_tile<1>(r, o, lane);
  }
}

}  // namespace
}  // namespace furrow::cpu
