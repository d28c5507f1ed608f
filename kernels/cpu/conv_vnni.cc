// Convolutions in 8 bits for AVX-512 with VNNI: 16 sums per register, four products into each per instruction. Compiled
// with -mavx512f -mavx512vnni; runs only where the CPU has both.
#include <immintrin.h>

#include "kernels/cpu/byte_kernels.h"

namespace furrow::cpu {
namespace {

struct Bytes {
  using Sum = __m512i;
  using Weights = __m512i;
  using Value = __m512i;
  typedef float Reals __attribute__((vector_size(64)));
  static constexpr int kLanes = 16, kTile = 24, kWeightBytes = 1;
  static Value value(const uint8_t* x) {
    int32_t four;
    __builtin_memcpy(&four, x, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static Weights weights(const std::byte* w) { return _mm512_loadu_si512(w); }
  static Sum dot(Sum sum, Value v, Weights w) { return _mm512_dpbusd_epi32(sum, v, w); }
  static Reals to_real(Sum s) { return reinterpret_cast<Reals>(_mm512_maskz_cvtepi32_ps(0xffff, s)); }
};

}  // namespace
}  // namespace furrow::cpu

#include "kernels/cpu/byte_rows.h"

namespace furrow::cpu {
namespace {

void pack_bytes(const int8_t (&w)[16][kByteGroup], std::byte* to) { __builtin_memcpy(to, w, sizeof w); }

}  // namespace

const ByteKernels kAvx512VnniBytes{"avx512vnni", Bytes::kTile, Bytes::kLanes, Bytes::kWeightBytes, pack_bytes,
                                   byte_row3,    byte_row,     byte_up,       byte_pool,           quantise_values};

}  // namespace furrow::cpu
