// Words of the tensor-core kernels: swizzled rows in shared memory, and fragments loaded from them.
//
// A row is kRowBytes (32 or 64) of channels of one pixel or one output channel. Fragments are 32 bytes of a row deep: K
// = 16 of 16-bit values or K = 8 of float32, whose fragments ldmatrix fills alike (a float is two 16-bit halves side by
// side).
#pragma once

#include <cstdint>

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS::tc {

inline bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Byte of vector v (16 bytes) inside row `row`: any 8 consecutive rows at one v meet all 32 banks once.
template <int kRowBytes>
SIMT_DEVICE int swizzled_vector(int row, int v) {
  constexpr int kVectors = kRowBytes / 16, kRowsPerLine = 8 / kVectors;
  return (v ^ (row / kRowsPerLine & (kVectors - 1))) * 16;
}

// d += a * b for fragments of T's storage.
template <class T>
SIMT_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
SIMT_DEVICE void mma<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_m16n8k16_f16(d, a, b);
}
template <>
SIMT_DEVICE void mma<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_m16n8k16_bf16(d, a, b);
}
template <>
SIMT_DEVICE void mma<float>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_m16n8k8_tf32(d, a, b);
}

SIMT_DEVICE uint32_t tf32_of_bits(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } value{bits};
  return to_tf32(value.f);
}

// The B fragments of 8 pixels from each of two rows of 8: `row` is this lane's, see pixel_lane_row. f32 is rounded to
// tf32.
template <class T>
SIMT_DEVICE void load_pixels(uint32_t (&first)[2], uint32_t (&second)[2], const void* row) {
  uint32_t r[4];
  ldmatrix_x4(r, row);
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) r[i] = tf32_of_bits(r[i]);
    (i < 2 ? first : second)[i & 1] = r[i];
  }
}

// 2x2 maximum: NaN wins, as in PyTorch.
SIMT_DEVICE float nan_max(float a, float b) { return b > a || isnan(b) ? b : a; }

}  // namespace furrow::SIMT_NS::tc
