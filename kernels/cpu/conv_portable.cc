// Inner loops for any CPU: 4 floats per register through the compilers' vector extension (SSE2, NEON, or scalar code).
// A product is rounded before it is added: a fused multiply-add without the instruction would be a library call. So
// this path's last bits differ from those of the AVX paths, which fuse; the order of the sums is the same.
#include "kernels/cpu/byte_pairs.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tile_kernels.h"

namespace furrow::cpu {
namespace {

struct Vec {
  typedef float T __attribute__((vector_size(16)));
  typedef float Loose __attribute__((vector_size(16), aligned(4), may_alias));  // at any address of a float
  typedef int Bits __attribute__((vector_size(16)));
  static constexpr int kLanes = 4, kTile = 8, kRows = 6, kShort = 4, kShort3 = 4;
  static T load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
  static void store(float* p, T v) { *reinterpret_cast<Loose*>(p) = v; }
  static T broadcast(const float* p) { return T{*p, *p, *p, *p}; }
  static T zero() { return T{0, 0, 0, 0}; }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T mul(T a, T b) { return a * b; }
  static T add(T a, T b) { return a + b; }
  static T sub(T a, T b) { return a - b; }
  static T pick(Bits mask, T a, T b) {
    return reinterpret_cast<T>((reinterpret_cast<Bits>(a) & mask) | (reinterpret_cast<Bits>(b) & ~mask));
  }
  static T relu(T v) { return pick(v < zero(), zero(), v); }
  static T max(T a, T b) { return pick((a > b) | (a != a), a, b); }
  typedef double Wide __attribute__((vector_size(16)));  // half the lanes in double
  static Wide lower(T v) { return Wide{v[0], v[1]}; }
  static Wide upper(T v) { return Wide{v[2], v[3]}; }
  static Wide widen(const float* p) { return Wide{p[0], p[1]}; }
  typedef double LooseWide __attribute__((vector_size(16), aligned(8), may_alias));
  static Wide wide_load(const double* p) { return *reinterpret_cast<const LooseWide*>(p); }
  static void wide_store(double* p, Wide v) { *reinterpret_cast<LooseWide*>(p) = v; }
  static Wide wide(const double* p) { return Wide{*p, *p}; }
  static Wide wide_fma(Wide a, Wide b, Wide c) { return a * b + c; }
  static float rounded(double v) { return static_cast<float>(v); }
  static T narrow(Wide a) { return T{rounded(a[0]), rounded(a[1]), 0, 0}; }
  static T narrow(Wide a, Wide b) { return T{rounded(a[0]), rounded(a[1]), rounded(b[0]), rounded(b[1])}; }
};

struct Bytes {
  typedef int32_t Sum __attribute__((vector_size(16)));
  struct Weights {
    int16_t pairs[2][4][2];
  };
  struct Value {
    int32_t channel[4];
  };
  using Reals = Vec::T;
  static constexpr int kLanes = 4, kTile = 1, kWeightBytes = 2;
  static Value value(const uint8_t* x) { return {{x[0], x[1], x[2], x[3]}}; }
  static Weights weights(const std::byte* w) {
    Weights out;
    __builtin_memcpy(out.pairs[0], w, sizeof out.pairs[0]);
    __builtin_memcpy(out.pairs[1], w + 64, sizeof out.pairs[1]);
    return out;
  }
  static Sum dot(Sum sum, const Value& v, const Weights& w) {
    for (int lane = 0; lane < kLanes; ++lane)
      sum[lane] += v.channel[0] * w.pairs[0][lane][0] + v.channel[2] * w.pairs[0][lane][1] +
                   v.channel[1] * w.pairs[1][lane][0] + v.channel[3] * w.pairs[1][lane][1];
    return sum;
  }
  static Reals to_real(Sum s) { return __builtin_convertvector(s, Reals); }
};

}  // namespace
}  // namespace furrow::cpu

#include "kernels/cpu/byte_rows.h"
#include "kernels/cpu/loss_rows.h"
#include "kernels/cpu/other_rows.h"
#include "kernels/cpu/short_rows.h"
#include "kernels/cpu/tile_rows.h"
#include "kernels/cpu/winograd4_rows.h"

namespace furrow::cpu {

const RowKernels kPortableRows{"portable", Vec::kLanes, Vec::kTile, Vec::kShort, Vec::kShort3, conv3_row,
                               conv_row,   upconv_row,  short_row,  short3_row,  pool_row,     mix_row};
const TileKernels kPortableTiles{"portable",          Vec::kRows,        2 * Vec::kLanes,   multiply,
                                 multiply_transposed, winograd_source,   winograd_gradient, winograd_result,
                                 winograd4_source,    winograd4_weights, winograd4_weights_of, winograd4_result,
                                 winograd4_gradient,  winograd4_taps};
const LossKernels kPortableLosses{"portable", dice_focal_run, dice_focal_gradient, exponentials_of_minus,
                                  probabilities_of_logits};
const ByteKernels kPortableBytes{"portable", Bytes::kTile, Bytes::kLanes, Bytes::kWeightBytes,
                                 pack_pairs, byte_row3,    byte_row,      byte_up, byte_pool, quantise_values};

}  // namespace furrow::cpu
