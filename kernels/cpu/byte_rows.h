// Convolution in 8 bits, included once by each instruction-set file after it has defined `Bytes` in an anonymous
// namespace, under the rules of conv_rows.h, whose register tiles these are: N neighbouring pixels x Bytes::kLanes
// channels of 32-bit sums stay in registers over the whole reduction, and where a row has three taps at stride 1, four
// channels of a pixel are broadcast once and meet the weights of all three.
//
// The product of four bytes and four weights, per lane:
//   AVX-512 VNNI  vpdpbusd, one instruction
//   AVX2, others  channels 0 and 2, and 1 and 3, as pairs of 16 bits, vpmaddwd each. (vpmaddubsw adds two products of
//                 bytes in 16 bits and saturates.)
//
// Bytes: Sum, kLanes, kTile, kWeightBytes; Value, value(x): four channels of a pixel in every lane; Weights,
// weights(w), dot(Sum, Value, Weights); Reals, to_real(Sum).
#pragma once

#include <stdint.h>

#include "kernels/cpu/byte_kernels.h"
#include "kernels/cpu/unroll.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kByteBlock = 16;  // channels of a block

// The tile after N when the row has fewer than N pixels left.
constexpr int smaller_byte_tile(int n) { return n > 8 ? 8 : 1; }

// kThree: three taps at stride 1. Returns the weights of the next source. A call for each, as that is half the code
// and loads and stores the sums once more.
template <int N, bool kThree>
__attribute__((noinline)) const std::byte* byte_reduce(Bytes::Sum (&sums)[N], const ByteRow& r, const ByteSource& s,
                                                       int64_t o, const std::byte* w) {
  constexpr int64_t kTap = kByteBlock * kByteGroup * Bytes::kWeightBytes;
  const int64_t step = kThree ? kByteBlock : r.stride * kByteBlock;
  Bytes::Sum sum[N];
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) sum[j] = sums[j];
  const uint8_t* block = s.x + r.first_column * kByteBlock + o * step;
  for (int64_t left = s.channels; left > 0; left -= kByteBlock, block += s.block_stride) {
    const int64_t groups = left < kByteBlock ? (left + kByteGroup - 1) / kByteGroup : kByteBlock / kByteGroup;
    for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh) {
      const uint8_t* x = block + (kh - r.kh_begin) * s.row_stride;
      const std::byte* row = w + kh * groups * r.kernel_w * kTap;
      for (int64_t g = 0; g < groups; ++g, x += kByteGroup) {
        if constexpr (kThree) {
          const Bytes::Weights w0 = Bytes::weights(row), w1 = Bytes::weights(row + kTap),
                               w2 = Bytes::weights(row + 2 * kTap);
          FURROW_UNROLL
          for (int j = 0; j < N + 2; ++j) {
            const Bytes::Value v = Bytes::value(x + j * kByteBlock);
            if (j < N) sum[j] = Bytes::dot(sum[j], v, w0);
            if (j >= 1 && j <= N) sum[j - 1] = Bytes::dot(sum[j - 1], v, w1);
            if (j >= 2) sum[j - 2] = Bytes::dot(sum[j - 2], v, w2);
          }
          row += 3 * kTap;
        } else {
          for (int64_t kw = 0; kw < r.kernel_w; ++kw, row += kTap) {
            const Bytes::Weights weights = Bytes::weights(row);
            const uint8_t* pixel = x + kw * kByteBlock;
            FURROW_UNROLL
            for (int j = 0; j < N; ++j, pixel += step) sum[j] = Bytes::dot(sum[j], Bytes::value(pixel), weights);
          }
        }
      }
    }
    w += r.kernel_h * groups * r.kernel_w * kTap;
  }
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) sums[j] = sum[j];
  return w;
}

// Of N pixels both columns: a value is broadcast once and meets the weights of two kernel rows.
template <int N>
__attribute__((noinline)) void byte_reduce_up(Bytes::Sum (&sums)[2 * N], const ByteRow& r, int64_t o,
                                              const std::byte* w) {
  constexpr int64_t kTap = kByteBlock * kByteGroup * Bytes::kWeightBytes;
  Bytes::Sum sum[2 * N];
  FURROW_UNROLL
  for (int j = 0; j < 2 * N; ++j) sum[j] = sums[j];
  const ByteSource& s = r.source[0];
  const uint8_t* block = s.x + o * kByteBlock;
  for (int64_t left = s.channels; left > 0; left -= kByteBlock, block += s.block_stride) {
    const int64_t groups = left < kByteBlock ? (left + kByteGroup - 1) / kByteGroup : kByteBlock / kByteGroup;
    const std::byte* row = w + r.kh_begin * groups * kTap;
    const uint8_t* x = block;
    for (int64_t g = 0; g < groups; ++g, x += kByteGroup, row += kTap) {
      const Bytes::Weights w0 = Bytes::weights(row), w1 = Bytes::weights(row + groups * kTap);
      FURROW_UNROLL
      for (int j = 0; j < N; ++j) {
        const Bytes::Value v = Bytes::value(x + j * kByteBlock);
        sum[2 * j] = Bytes::dot(sum[2 * j], v, w0);
        sum[2 * j + 1] = Bytes::dot(sum[2 * j + 1], v, w1);
      }
    }
    w += r.kernel_h * groups * kTap;
  }
  FURROW_UNROLL
  for (int j = 0; j < 2 * N; ++j) sums[j] = sum[j];
}

typedef uint8_t SmallBytes __attribute__((vector_size(Bytes::kLanes)));

// How float32 becomes bytes, in vectors that loops keep.
struct ToBytes {
  Bytes::Reals inverse, zero, least, most;
  // least: the smallest byte, 0 or more.
  ToBytes(float inverse_of_scale, float zero_point, float smallest)
      : inverse(Bytes::Reals{} + inverse_of_scale),
        zero(Bytes::Reals{} + zero_point),
        least(Bytes::Reals{} + smallest),
        most(Bytes::Reals{} + 255.0f) {}
  // Adding 1.5 * 2^23 rounds a number of 0..255 to an integer in the low bits, ties to even.
  FURROW_INLINE SmallBytes operator()(Bytes::Reals v) const {
    typedef int32_t Words __attribute__((vector_size(4 * Bytes::kLanes)));
    v = v * inverse + zero;
    v = v > least ? v : least;
    v = (v < most ? v : most) + 12582912.0f;
    return __builtin_convertvector(reinterpret_cast<Words>(v) & 255, SmallBytes);
  }
};

template <int N>
__attribute__((noinline)) void byte_finish(const Bytes::Sum (&sum)[N], const ByteRow& r, int64_t o, int64_t lane) {
  Bytes::Reals scale, bias;
  __builtin_memcpy(&scale, r.scale + lane, sizeof scale);
  __builtin_memcpy(&bias, r.bias + lane, sizeof bias);
  const Bytes::Reals least = Bytes::Reals{} + (r.relu ? 0.0f : -__builtin_inff());
  if (r.y != nullptr) {
    FURROW_NO_UNROLL
    for (int j = 0; j < N; ++j) {
      Bytes::Reals y = Bytes::to_real(sum[j]) * scale + bias;
      y = y < least ? least : y;
      __builtin_memcpy(r.y + (o + j) * kByteBlock + lane, &y, sizeof y);
    }
    return;
  }
  // After a ReLU no byte is less than that of 0: rounding keeps order.
  const ToBytes bytes_of(r.bytes.inverse, r.bytes.zero, r.relu ? r.bytes.zero : 0.0f);
  uint8_t* to = r.bytes.y + o * kByteBlock + lane;
  FURROW_NO_UNROLL
  for (int j = 0; j < N; ++j, to += kByteBlock) {
    const SmallBytes y = bytes_of(Bytes::to_real(sum[j]) * scale + bias);
    __builtin_memcpy(to, &y, sizeof y);
  }
}

template <int N, bool kThree>
void byte_tile(const ByteRow& r, int64_t o, int64_t lane) {
  Bytes::Sum sum[N];
  FURROW_NO_UNROLL
  for (int j = 0; j < N; ++j) __builtin_memcpy(&sum[j], r.start + lane, sizeof sum[j]);
  const std::byte* w = r.w + lane * kByteGroup;  // a lane is 4 bytes of VNNI's weights, and of each half of pairs
  FURROW_NO_UNROLL
  for (const ByteSource& s : r.source)
    if (s.channels > 0) w = byte_reduce<N, kThree>(sum, r, s, o, w);
  byte_finish(sum, r, o, lane);
}

template <int N, bool kThree>
void byte_tiles(const ByteRow& r, int64_t o, int64_t lane) {
  for (; o + N <= r.width; o += N) byte_tile<N, kThree>(r, o, lane);
  if constexpr (N > 1)
    if (o < r.width) byte_tiles<smaller_byte_tile(N), kThree>(r, o, lane);
}

void byte_row3(const ByteRow& r) {
  for (int64_t lane = 0; lane < kByteBlock; lane += Bytes::kLanes) byte_tiles<Bytes::kTile, true>(r, 0, lane);
}

void byte_row(const ByteRow& r) {
  for (int64_t lane = 0; lane < kByteBlock; lane += Bytes::kLanes) { byte_tiles<Bytes::kTile, false>(r, 0, lane); }
}

template <int N>
void byte_up_tiles(const ByteRow& r, int64_t o, int64_t lane) {
  for (; o + N <= r.width; o += N) {
    Bytes::Sum sum[2 * N];
    FURROW_NO_UNROLL
    for (int j = 0; j < 2 * N; ++j) __builtin_memcpy(&sum[j], r.start + j % 2 * kByteBlock + lane, sizeof sum[j]);
    byte_reduce_up<N>(sum, r, o, r.w + lane * kByteGroup);
    byte_finish(sum, r, 2 * o, lane);
  }
  if constexpr (N > 1)
    if (o < r.width) byte_up_tiles<smaller_byte_tile(2 * N) == 8 ? 4 : 1>(r, o, lane);
}

constexpr int kUpTile = Bytes::kTile > 1 ? Bytes::kTile / 2 : 1;  // pixels, of two columns each

void byte_up(const ByteRow& r) {
  for (int64_t lane = 0; lane < kByteBlock; lane += Bytes::kLanes) byte_up_tiles<kUpTile>(r, 0, lane);
}

void byte_pool(const uint8_t* upper, const uint8_t* lower, int64_t width, uint8_t* to) {
  typedef uint8_t Pixel __attribute__((vector_size(kByteBlock)));
  const auto at = [](const uint8_t* row, int64_t pixel) {
    Pixel p;
    __builtin_memcpy(&p, row + pixel * kByteBlock, sizeof p);
    return p;
  };
  const auto larger = [](Pixel a, Pixel b) { return a > b ? a : b; };
  for (int64_t p = 0; p < width; ++p) {
    const Pixel most =
        larger(larger(at(upper, 2 * p), at(upper, 2 * p + 1)), larger(at(lower, 2 * p), at(lower, 2 * p + 1)));
    __builtin_memcpy(to + p * kByteBlock, &most, sizeof most);
  }
}

void quantise_values(const float* x, int64_t count, float inverse, float zero, uint8_t* y) {
  const ToBytes bytes_of(inverse, zero, 0.0f);
  Bytes::Reals v = {};
  int64_t i = 0;
  for (; i + Bytes::kLanes <= count; i += Bytes::kLanes) {
    __builtin_memcpy(&v, x + i, sizeof v);
    const SmallBytes bytes = bytes_of(v);
    __builtin_memcpy(y + i, &bytes, sizeof bytes);
  }
  if (i == count) return;
  for (int lane = 0; lane < count - i; ++lane) v[lane] = x[i + lane];
  const SmallBytes bytes = bytes_of(v);
  for (int lane = 0; lane < count - i; ++lane) y[i + lane] = bytes[lane];
}

}  // namespace
}  // namespace furrow::cpu
