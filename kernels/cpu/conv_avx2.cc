// Inner loops for AVX2 with FMA: 8 floats per register, 16 registers. Compiled with -mavx2 -mfma.
#include <immintrin.h>

#include "kernels/cpu/byte_pairs.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tile_kernels.h"

namespace furrow::cpu {
namespace {

struct Vec {
  using T = __m256;
  static constexpr int kLanes = 8, kTile = 10, kRows = 6, kShort = 6, kShort3 = 4;
  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T v) { _mm256_storeu_ps(p, v); }
  static T broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static T zero() { return _mm256_setzero_ps(); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  // The instruction returns its second operand where either is NaN.
  static T relu(T v) { return _mm256_max_ps(_mm256_setzero_ps(), v); }
  static T max(T a, T b) { return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q)); }
  using Wide = __m256d;  // half the lanes in double
  static Wide lower(T v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
  static Wide upper(T v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
  static Wide widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static Wide wide_load(const double* p) { return _mm256_loadu_pd(p); }
  static void wide_store(double* p, Wide v) { _mm256_storeu_pd(p, v); }
  static Wide wide(const double* p) { return _mm256_broadcast_sd(p); }
  static Wide wide_fma(Wide a, Wide b, Wide c) { return _mm256_fmadd_pd(a, b, c); }
  static T narrow(Wide a) { return _mm256_castps128_ps256(_mm256_cvtpd_ps(a)); }
  static T narrow(Wide a, Wide b) { return _mm256_set_m128(_mm256_cvtpd_ps(b), _mm256_cvtpd_ps(a)); }
};

struct Bytes {
  using Sum = __m256i;
  struct Weights {
    const std::byte* at;  // operands in memory: registers are scarce
  };
  struct Value {
    __m256i even, odd;  // channels 0 and 2, 1 and 3
  };
  typedef float Reals __attribute__((vector_size(32)));
  static constexpr int kLanes = 8, kTile = 8, kWeightBytes = 2;
  static Value value(const uint8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, sizeof four);
    const __m256i all = _mm256_set1_epi32(four);
    return {_mm256_and_si256(all, _mm256_set1_epi32(0x00ff00ff)), _mm256_srli_epi16(all, 8)};
  }
  static Weights weights(const std::byte* w) { return {w}; }
  static __m256i load(const std::byte* w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)); }
  static Sum dot(Sum sum, Value v, Weights w) {
    return _mm256_add_epi32(_mm256_add_epi32(sum, _mm256_madd_epi16(v.even, load(w.at))),
                            _mm256_madd_epi16(v.odd, load(w.at + 64)));
  }
  static Reals to_real(Sum s) { return reinterpret_cast<Reals>(_mm256_cvtepi32_ps(s)); }
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

const RowKernels kAvx2Rows{"avx2",   Vec::kLanes, Vec::kTile, Vec::kShort, Vec::kShort3, conv3_row,
                           conv_row, upconv_row,  short_row,  short3_row,  pool_row,     mix_row};
const TileKernels kAvx2Tiles{"avx2",          Vec::kRows,        2 * Vec::kLanes, multiply,         multiply_transposed,
                             winograd_source, winograd_gradient, winograd_result, winograd4_source, winograd4_weights,
                             winograd4_weights_of, winograd4_result, winograd4_gradient, winograd4_taps};
const LossKernels kAvx2Losses{"avx2", dice_focal_run, dice_focal_gradient, exponentials_of_minus,
                              probabilities_of_logits};
const ByteKernels kAvx2Bytes{"avx2",     Bytes::kTile, Bytes::kLanes, Bytes::kWeightBytes,
                             pack_pairs, byte_row3,    byte_row,      byte_up, byte_pool, quantise_values};

}  // namespace furrow::cpu
