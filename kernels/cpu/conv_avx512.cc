// Inner loops for AVX-512F: 16 floats per register, 32 registers. Compiled with -mavx512f; runs only where the CPU has
// it.
#include <immintrin.h>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tile_kernels.h"

namespace furrow::cpu {
namespace {

struct Vec {
  using T = __m512;
  static constexpr int kLanes = 16, kTile = 24, kRows = 12, kShort = 8, kShort3 = 12;
  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T v) { _mm512_storeu_ps(p, v); }
  static T broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static T zero() { return _mm512_setzero_ps(); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  // The instruction returns its second operand where either is NaN. (Written with a full mask, which compiles to the
  // plain instruction: g++ 12 warns of its own header's _mm512_max_ps, GCC bug 105593.)
  static T hardware_max(T a, T b) { return _mm512_maskz_max_ps(0xffff, a, b); }
  static T relu(T v) { return hardware_max(_mm512_setzero_ps(), v); }
  static T max(T a, T b) { return _mm512_mask_mov_ps(hardware_max(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a); }
  // Half the lanes in double. (Through memory and with a full mask for the same bug's sake.)
  using Wide = __m512d;
  static Wide half(T v, int which) {
    __m256 halves[2];
    __builtin_memcpy(halves, &v, sizeof v);
    return _mm512_maskz_cvtps_pd(0xff, halves[which]);
  }
  static Wide lower(T v) { return half(v, 0); }
  static Wide upper(T v) { return half(v, 1); }
  static Wide widen(const float* p) { return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(p)); }
  static Wide wide_load(const double* p) { return _mm512_loadu_pd(p); }
  static void wide_store(double* p, Wide v) { _mm512_storeu_pd(p, v); }
  static Wide wide(const double* p) { return _mm512_set1_pd(*p); }
  static Wide wide_fma(Wide a, Wide b, Wide c) { return _mm512_fmadd_pd(a, b, c); }
  static T narrow(Wide a) { return _mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xff, a)); }
  static T narrow(Wide a, Wide b) {
    const __m256d lower = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, a)),
                  upper = _mm256_castps_pd(_mm512_maskz_cvtpd_ps(0xff, b));
    return _mm512_castpd_ps(_mm512_maskz_insertf64x4(0xff, _mm512_castpd256_pd512(lower), upper, 1));
  }
};

}  // namespace
}  // namespace furrow::cpu

#include "kernels/cpu/loss_rows.h"
#include "kernels/cpu/other_rows.h"
#include "kernels/cpu/short_rows.h"
#include "kernels/cpu/tile_rows.h"
#include "kernels/cpu/winograd4_rows.h"

namespace furrow::cpu {

const RowKernels kAvx512Rows{"avx512", Vec::kLanes, Vec::kTile, Vec::kShort, Vec::kShort3, conv3_row,
                             conv_row, upconv_row,  short_row,  short3_row,  pool_row,     mix_row};
const TileKernels kAvx512Tiles{
    "avx512",          Vec::kRows,      2 * Vec::kLanes,  multiply,          multiply_transposed, winograd_source,
    winograd_gradient, winograd_result, winograd4_source, winograd4_weights, winograd4_weights_of,
    winograd4_result,  winograd4_gradient, winograd4_taps};
const LossKernels kAvx512Losses{"avx512", dice_focal_run, dice_focal_gradient, exponentials_of_minus,
                                probabilities_of_logits};

}  // namespace furrow::cpu
