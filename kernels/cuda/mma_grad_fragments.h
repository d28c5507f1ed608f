// Fragments whose K runs over pixels: both operands lie in shared memory as [pixel][64 channels], K outermost.
//
// 16-bit values come through transposing ldmatrix, 16 pixels at a time; it has no form for float32, whose 8 pixels are
// read word by word. Rows are swizzled so that neither meets a bank twice.
#pragma once

#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {

// Rows of 64 channels of T.
template <class T>
struct PixelRows {
  static constexpr int kChannels = 64, kBytes = kChannels * static_cast<int>(sizeof(T)), kVectors = kBytes / 16;
  static constexpr int kPerVector = 16 / static_cast<int>(sizeof(T));
  static constexpr int kDepth = sizeof(T) == 2 ? 16 : 8;  // pixels of a fragment
  // Byte of vector v of row `row`. 16-bit: 8 rows at one v; float: 4 rows at two neighbouring v.
  SIMT_DEVICE static int place(int row, int v) {
    return row * kBytes + (v ^ (sizeof(T) == 2 ? row & 7 : (row & 3) << 1)) * 16;
  }
  SIMT_DEVICE static uint32_t word(const unsigned char* rows, int row, int channel) {
    return tf32_of_bits(*reinterpret_cast<const uint32_t*>(rows + place(row, channel / 4) + channel % 4 * 4));
  }
};

// A: 16 channels from `channel` as M, kDepth pixels from row `row` as K.
template <class T>
SIMT_DEVICE void load_a(uint32_t (&a)[4], const unsigned char* rows, int row, int channel) {
  using R = PixelRows<T>;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  if constexpr (sizeof(T) == 2) {  // matrices: (pixels 0-7, channels 0-7), (0-7, 8-15), (8-15, 0-7), (8-15, 8-15)
    ldmatrix_x4_trans(a, rows + R::place(row + (lane & 7) + (lane >> 4) * 8, channel / 8 + (lane >> 3 & 1)));
  } else {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i)
      a[i] = R::word(rows, row + (lane & 3) + (i >> 1) * 4, channel + (lane >> 2) + (i & 1) * 8);
  }
}

// B: 8 channels from `channel` as N of b[0], the next 8 of b[1], kDepth pixels from row `row` as K.
template <class T>
SIMT_DEVICE void load_b(uint32_t (&b)[2][2], const unsigned char* rows, int row, int channel) {
  using R = PixelRows<T>;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  if constexpr (sizeof(T) == 2) {  // matrices: (pixels 0-7, channels 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15)
    uint32_t r[4];
    ldmatrix_x4_trans(r, rows + R::place(row + (lane & 15), channel / 8 + (lane >> 4)));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
  } else {
    SIMT_UNROLL
    for (int n = 0; n < 2; ++n)
      SIMT_UNROLL
      for (int i = 0; i < 2; ++i) b[n][i] = R::word(rows, row + (lane & 3) + i * 4, channel + (lane >> 2) + n * 8);
  }
}

}  // namespace furrow::SIMT_NS::tc
