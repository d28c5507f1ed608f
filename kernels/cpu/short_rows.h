// Short sums (kernels/short_sums.h): convolution rows added up in double and rounded once. Included after conv_rows.h,
// under its rules.
//
// A row is unpacked into doubles before it is summed, the weights once and x by strips of pixels that stay in the
// first-level cache. What is left of sources, blocks and kernel is a list of terms, each a row of weights and a place
// in the strip, and a step is multiply-adds and loads alone: converting a value where it is used takes the ports of the
// multiply-adds on most CPUs. The steps from pixel to pixel are variables, so one loop also serves transposed
// convolutions (a column of the kernel, every second pixel of y), gathered matrices (pixels are rows) and their
// transposes (lanes 1). Blocks of y share their strips. What a first layer reads and writes next is fetched into the
// first-level cache while the CPU multiplies (docs/performance.md has what that saves).
//
// N pixels x the lanes of one float register are 2N registers of double; where its lower half holds all channels (a
// head of one class) 2N pixels x that half. Rows of three taps over pixels of 4 lanes, the first layer of most
// networks, meet all three weights of a value at once (conv_rows.h), and so load half as often. Products of float32
// numbers are exact in double, so the instruction sets give the same bits, whether they fuse or not.
//
// Vec: kShort, kShort3 (pixels of a tile, of three taps); Wide, a register of half the lanes in double; widen (half the
// lanes from memory), wide_load, wide_store, wide (one value broadcast), wide_fma, narrow (one or two registers of
// double into one of float).
#pragma once

#include "kernels/cpu/conv_rows.h"
#include "kernels/short_sums.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kHalf = Vec::kLanes / 2;

// A row's sums as a list of terms, and a strip of its sources.
struct ShortSums {
  static constexpr int64_t kTerms = kShortSum - 1, kStrip = 2048;
  int64_t terms[2] = {0, 0};  // of each source
  int64_t step[2] = {0, 0};   // from pixel to pixel in x
  int64_t columns = 0;        // of a strip
  int64_t pixels = 0;         // whose sums it is enough for
  int32_t place[kTerms];      // in x, of the first pixel's terms
  alignas(64) double bias[kShortBlocks * kBlock], w[kShortBlocks][kTerms * kBlock], x[kStrip];
};

FURROW_INLINE void widen_all(const float* from, int64_t count, double* to) {
  int64_t i = 0;
  for (; i + kHalf <= count; i += kHalf) Vec::wide_store(to + i, Vec::widen(from + i));
  for (; i < count; ++i) to[i] = static_cast<double>(from[i]);
}
FURROW_INLINE void widen_block(const float* from, double* to) {
  for (int64_t i = 0; i < kBlock; i += kHalf) Vec::wide_store(to + i, Vec::widen(from + i));
}

// Pixels of a strip: whole tiles of any size where they fit. One pixel always does: 48 terms in lanes of 16 are at most
// 768 values.
FURROW_INLINE void begin_strips(ShortSums& s, const ConvRow& r, bool three_taps) {
  constexpr int64_t kTiles = 48, kThreeTiles = 24;
  static_assert(kTiles % (2 * Vec::kShort) == 0 && kThreeTiles % Vec::kShort3 == 0);
  const int64_t kernel = r.kw_end - r.kw_begin;
  int64_t lanes = 0;  // of a column, in all kernel rows and blocks
  for (const ConvSource& from : r.source)
    lanes += (from.channels + from.lanes - 1) / from.lanes * from.lanes * (r.kh_end - r.kh_begin);
  s.pixels = r.width;
  if (lanes > 0 && ((r.width - 1) * r.stride + kernel) * lanes > ShortSums::kStrip) {
    s.pixels = (ShortSums::kStrip / lanes - kernel) / r.stride + 1;
    if (s.pixels > kTiles) s.pixels -= s.pixels % kTiles;
  }
  // Few, so that the CPU still multiplies for one strip while it fills the next.
  if (three_taps && s.pixels > kThreeTiles) s.pixels = kThreeTiles;
  s.columns = (s.pixels - 1) * r.stride + kernel;
}

// The terms in their order.
void list_terms(ShortSums& s, const ConvRow& r) {
  const int64_t blocks = (r.lanes + kBlock - 1) / kBlock;
  for (int64_t b = 0; b < blocks; ++b) widen_block(r.bias + b * kBlock, s.bias + b * kBlock);
  int64_t term = 0, segment = 0;
  const float* w = r.w;
  for (int i = 0; i < 2; ++i) {
    const ConvSource& from = r.source[i];
    const int64_t before = term;
    for (int64_t left = from.channels; left > 0; left -= from.lanes) {
      const int64_t channels = left < from.lanes ? left : from.lanes;
      for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh, segment += s.columns * from.lanes)
        for (int64_t ic = 0; ic < channels; ++ic)
          for (int64_t kw = r.kw_begin; kw < r.kw_end; ++kw, ++term) {
            const float* row = w + ((kh * channels + ic) * r.kernel_w + kw) * kBlock;
            for (int64_t b = 0; b < blocks; ++b) widen_block(row + b * r.w_block, s.w[b] + term * kBlock);
            s.place[term] = static_cast<int32_t>(segment + (kw - r.kw_begin) * from.lanes + ic);
          }
      w += r.kernel_h * channels * r.kernel_w * kBlock;
    }
    s.terms[i] = term - before, s.step[i] = r.stride * from.lanes;
  }
}

// visit(values, count, lanes), one piece of memory after another, for all that pixels [o, o + pixels) are made of.
template <class Visit>
FURROW_INLINE void for_sources(const ConvRow& r, int64_t o, int64_t pixels, Visit visit) {
  const int64_t columns = (pixels - 1) * r.stride + r.kw_end - r.kw_begin;
  for (const ConvSource& from : r.source) {
    if (from.channels == 0) continue;  // there is no second source, and null has no place to go on from
    const float* block = from.x + (r.first_column + r.kw_begin + o * r.stride) * from.lanes;
    for (int64_t left = from.channels; left > 0; left -= from.lanes, block += from.block_stride)
      for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh)
        visit(block + (kh - r.kh_begin) * from.row_stride, columns * from.lanes, from.lanes);
  }
}

void fill_strip(ShortSums& s, const ConvRow& r, int64_t o, int64_t pixels) {
  double* to = s.x;
  for_sources(r, o, pixels, [&](const float* values, int64_t count, int64_t lanes) {
    widen_all(values, count, to);
    to += s.columns * lanes;
  });
}

void prefetch_strip(const ConvRow& r, int64_t o, int64_t pixels) {
  for_sources(r, o, pixels, [](const float* values, int64_t count, int64_t) {
    for (int64_t i = 0; i < count; i += 64 / sizeof(float)) __builtin_prefetch(values + i);
  });
}

// The sums of N pixels, kHalves registers each.
template <int N, int kHalves>
using Pixels = Vec::Wide[N][kHalves];

template <int N, int kHalves>
FURROW_INLINE void add_pixel(Pixels<N, kHalves>& sum, int j, Vec::Wide value, const Vec::Wide (&weight)[kHalves]) {
  FURROW_UNROLL
  for (int h = 0; h < kHalves; ++h) sum[j][h] = Vec::wide_fma(value, weight[h], sum[j][h]);
}

template <int kHalves>
FURROW_INLINE void load_weight(Vec::Wide (&weight)[kHalves], const double* w) {
  FURROW_UNROLL
  for (int h = 0; h < kHalves; ++h) weight[h] = Vec::wide_load(w + h * kHalf);
}

template <int N, int kHalves>
FURROW_INLINE void add_terms(Pixels<N, kHalves>& sum, const ShortSums& s, int64_t j0, const double* w) {
  const int32_t* place = s.place;
  for (int i = 0; i < 2; ++i) {
    const int64_t step = s.step[i];
    const double* x = s.x + j0 * step;
    for (const int32_t* end = place + s.terms[i]; place != end; ++place, w += kBlock) {
      const double* at = x + *place;
      Vec::Wide weight[kHalves];
      load_weight(weight, w);
      FURROW_UNROLL
      for (int j = 0; j < N; ++j) add_pixel<N, kHalves>(sum, j, Vec::wide(at + j * step), weight);
    }
  }
}

template <int N, int kHalves>
FURROW_INLINE void add_three_taps(Pixels<N, kHalves>& sum, const ShortSums& s, int64_t j0, const double* w) {
  const double* x = s.x + j0 * 4;
  for (const int32_t *place = s.place, *end = place + s.terms[0] + s.terms[1]; place != end;
       place += 3, w += 3 * kBlock) {
    const double* at = x + *place;
    Vec::Wide w0[kHalves], w1[kHalves], w2[kHalves];
    load_weight(w0, w), load_weight(w1, w + kBlock), load_weight(w2, w + 2 * kBlock);
    FURROW_UNROLL
    for (int j = 0; j < N + 2; ++j) {
      const Vec::Wide value = Vec::wide(at + j * 4);
      if (j < N) add_pixel<N, kHalves>(sum, j, value, w0);
      if (j >= 1 && j <= N) add_pixel<N, kHalves>(sum, j - 1, value, w1);
      if (j >= 2) add_pixel<N, kHalves>(sum, j - 2, value, w2);
    }
  }
}

// Pixels [o, o + N), of which the strip begins with pixel o - j0. `lane` counts through all blocks.
template <int N, int kHalves, bool kThree>
void short_tile(const ShortSums& s, const ConvRow& r, int64_t o, int64_t j0, int64_t lane) {
  const int64_t y_pixel = r.y_pixel;  // not read again after each store
  const bool relu = r.relu;
  const int64_t block = lane / kBlock, in_block = lane % kBlock;
  float* y = r.y + block * r.y_block + o * y_pixel + in_block;
  const double* w = s.w[block] + in_block;
  if constexpr (kThree) {
    FURROW_UNROLL
    for (int j = 0; j < N; ++j) __builtin_prefetch(y + (2 * N + j) * y_pixel, 1);
  }
  Pixels<N, kHalves> sum;
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) load_weight(sum[j], s.bias + lane);
  if (r.add_y) {
    FURROW_UNROLL
    for (int j = 0; j < N; ++j) {
      FURROW_UNROLL
      for (int h = 0; h < kHalves; ++h) sum[j][h] += Vec::widen(y + j * y_pixel + h * kHalf);
    }
  }
  if constexpr (kThree)
    add_three_taps<N, kHalves>(sum, s, j0, w);
  else
    add_terms<N, kHalves>(sum, s, j0, w);
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    T value;
    if constexpr (kHalves == 2)
      value = Vec::narrow(sum[j][0], sum[j][1]);
    else
      value = Vec::narrow(sum[j][0]);
    Vec::store(y + j * y_pixel, relu ? Vec::relu(value) : value);
  }
}

// Pixels [o, end) of a strip that begins with pixel `first`, in tiles of N, then of fewer.
template <int N, int kHalves>
void short_tiles(const ShortSums& s, const ConvRow& r, int64_t first, int64_t o, int64_t end, int64_t lane) {
  for (; o + N <= end; o += N) short_tile<N, kHalves, false>(s, r, o, o - first, lane);
  if constexpr (N > 1)
    if (o < end) short_tiles<(N > 2 ? 2 : 1), kHalves>(s, r, first, o, end, lane);
}

// What is left of a row after tiles of three taps goes by the others: the order of the terms is one.
void sum_row(const ConvRow& r, bool three_taps) {
  ShortSums s;
  begin_strips(s, r, three_taps);
  list_terms(s, r);
  for (int64_t first = 0; first < r.width; first += s.pixels) {
    const int64_t end = first + s.pixels < r.width ? first + s.pixels : r.width;
    const int64_t next = r.width - end < s.pixels ? r.width - end : s.pixels;
    fill_strip(s, r, first, end - first);
    if (next > 0) prefetch_strip(r, end, next);
    for (int64_t lane = 0; lane < r.lanes; lane += Vec::kLanes) {
      int64_t o = first;
      if (three_taps)
        for (; o + Vec::kShort3 <= end; o += Vec::kShort3) short_tile<Vec::kShort3, 2, true>(s, r, o, o - first, lane);
      if (r.lanes - lane > kHalf)
        short_tiles<Vec::kShort, 2>(s, r, first, o, end, lane);
      else
        short_tiles<2 * Vec::kShort, 1>(s, r, first, o, end, lane);
    }
  }
}

void short_row(const ConvRow& r) { sum_row(r, false); }
void short3_row(const ConvRow& r) { sum_row(r, true); }

}  // namespace
}  // namespace furrow::cpu
