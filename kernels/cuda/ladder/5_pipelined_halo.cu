// Step 5: the input tile of step 2 under the tensor cores of step 4, loaded while the tile before it is computed.
//
// A block computes 8x16 pixels x 64 channels. For each 16 input channels it needs a halo of 10x18 pixels, which all nine
// taps read, and 9x64 rows of weights; both are rows of 32 bytes in shared memory, which come and go in 16-byte pieces:
//  - cp.async copies from global to shared memory without passing registers, and without waiting. There are two buffers:
//    while the warps multiply from one, the copies for the next 16 channels run into the other.
//  - ldmatrix hands a warp four 8x8 matrices, each lane getting the pairs that mma wants, from 32 row addresses. A tap
//    only shifts the addresses of x, so nothing is copied per tap.
//  - swizzle: shared memory has 32 banks of 4 bytes, and eight rows of 32 bytes put pieces that are read together into
//    the same banks twice. Rows 4..7 of every 8 therefore store their two pieces in swapped order.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kRows = 8, kColumns = 16, kOutputs = 64;   // of a block
constexpr int kHaloColumns = kColumns + 2, kHaloPixels = (kRows + 2) * kHaloColumns, kTapRows = 9 * kOutputs;
constexpr int kRowBytes = 32, kStageBytes = (kHaloPixels + kTapRows) * kRowBytes;   // a row: 16 channels
constexpr int kThreads = 128, kM = 2, kN = kOutputs / 8;   // each of 4 warps: 2 rows of 16 pixels x 64 channels

struct LadderShape {
  int h, w, oc, x_pitch, y_pitch, tiles_h, tiles_w;
};

template <bool swizzled> SIMT_DEVICE int piece_offset(int row, int piece) {
  return row * kRowBytes + 16 * (swizzled ? piece ^ (row / 4 & 1) : piece);
}

// Starts the copies of channels k .. k+15 into `stage`: the halo, then the weights.
template <bool swizzled>
SIMT_DEVICE void start_copies(unsigned char* stage, const f16* x, const f16* weights, const LadderShape& s, int64_t image, int row0, int column0,
                              int c0, int k) {
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kHaloPixels; i += kThreads) {
    const int pixel = i / 2, piece = i % 2, r = row0 + pixel / kHaloColumns - 1, c = column0 + pixel % kHaloColumns - 1;
    const bool inside = r >= 0 && r < s.h && c >= 0 && c < s.w;   // what is not is filled with zeros
    cp_async_16(stage + piece_offset<swizzled>(pixel, piece), inside ? x + ((image + r) * s.w + c) * s.x_pitch + k + 8 * piece : x, inside);
  }
  unsigned char* taps = stage + kHaloPixels * kRowBytes;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kTapRows; i += kThreads) {
    const int row = i / 2, piece = i % 2, tap = row / kOutputs, c = c0 + row % kOutputs;
    const bool inside = c < s.oc;
    cp_async_16(taps + piece_offset<swizzled>(row, piece),
                inside ? weights + (static_cast<int64_t>(c) * 9 + tap) * s.x_pitch + k + 8 * piece : weights, inside);
  }
}

// Grid: {n * tiles down * tiles across, pitch of y / 64}, block 128, 48,384 bytes of shared memory (two stages).
// Order of the sum: 16 channels at a time, in them kh, kw upwards; within 16 the tensor core's own.
template <bool swizzled>
__global__ void __launch_bounds__(kThreads) ladder_5(const f16* __restrict__ x, const f16* __restrict__ weights, const float* __restrict__ bias,
                                                     f16* __restrict__ y, LadderShape s) {
  DYNAMIC_SHARED(unsigned char, stages);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t image = static_cast<int64_t>(static_cast<int>(blockIdx.x) / s.tiles_w / s.tiles_h) * s.h;   // its first row
  const int row0 = static_cast<int>(blockIdx.x) / s.tiles_w % s.tiles_h * kRows, column0 = static_cast<int>(blockIdx.x) % s.tiles_w * kColumns;
  const int c0 = static_cast<int>(blockIdx.y) * kOutputs;

  float sum[kM][kN][4] = {};
  start_copies<swizzled>(stages, x, weights, s, image, row0, column0, c0, 0);
  cp_async_commit();
  for (int k = 0; k < s.x_pitch; k += 16) {
    unsigned char* stage = stages + k / 16 % 2 * kStageBytes;
    if (k + 16 < s.x_pitch) start_copies<swizzled>(stages + (k / 16 + 1) % 2 * kStageBytes, x, weights, s, image, row0, column0, c0, k + 16);
    cp_async_commit();
    cp_async_wait<1>();   // all groups but the newest: this stage's pieces that this thread copied
    __syncthreads();      // and those that the others copied
    for (int tap = 0; tap < 9; ++tap) {
      uint32_t a[kM][4], b[kN / 2][4];
      SIMT_UNROLL
      for (int m = 0; m < kM; ++m) {   // matrices: pixels 0..7, 8..15 of channels 0..7, then of channels 8..15
        const int pixel = (2 * warp + m + tap / 3) * kHaloColumns + lane % 16 + tap % 3;
        ldmatrix_x4(a[m], stage + piece_offset<swizzled>(pixel, lane / 16));
      }
      SIMT_UNROLL
      for (int n = 0; n < kN / 2; ++n) {   // matrices: 8 outputs of channels 0..7, 8..15, then the next 8 outputs
        const int row = tap * kOutputs + 16 * n + lane % 8 + lane / 16 * 8;
        ldmatrix_x4(b[n], stage + kHaloPixels * kRowBytes + piece_offset<swizzled>(row, lane / 8 % 2));
      }
      SIMT_UNROLL
      for (int m = 0; m < kM; ++m)
        SIMT_UNROLL
        for (int n = 0; n < kN; ++n) mma_m16n8k16_f16(sum[m][n], a[m], {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]});
    }
    __syncthreads();   // the next copies overwrite this stage
  }
  SIMT_UNROLL
  for (int m = 0; m < kM; ++m)
    SIMT_UNROLL
    for (int n = 0; n < kN; ++n)
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int r = row0 + 2 * warp + m, c = column0 + lane / 4 + 8 * (i / 2), output = c0 + 8 * n + 2 * (lane % 4) + i % 2;
        if (r < s.h && c < s.w && output < s.y_pitch)
          y[((image + r) * s.w + c) * s.y_pitch + output] = from_float<f16>(output < s.oc ? ladder_relu(sum[m][n][i] + bias[output]) : 0.0f);
      }
}

template <bool swizzled> void launch(gpu::Stream stream, const gpu::LadderArgs& a) {
  check_ladder(a, DType::f16);
  const LadderShape shape{a.x.h, a.x.w, a.y.c, a.x.pitch, a.y.pitch, static_cast<int>(ladder_tiles(a.x.h, kRows)),
                          static_cast<int>(ladder_tiles(a.x.w, kColumns))};
  const dim3 grid(static_cast<unsigned>(a.x.n) * static_cast<unsigned>(shape.tiles_h) * static_cast<unsigned>(shape.tiles_w),
                  static_cast<unsigned>(ladder_tiles(a.y.pitch, kOutputs)));
  LAUNCH(stream, grid, dim3(kThreads), 2 * kStageBytes, ladder_5<swizzled>, static_cast<const f16*>(a.x.data), static_cast<const f16*>(a.w), a.b,
         static_cast<f16*>(a.y.data), shape);
}

}  // namespace

void ladder_pipelined_halo(gpu::Stream stream, const gpu::LadderArgs& a) { launch<true>(stream, a); }
void ladder_pipelined_halo_unswizzled(gpu::Stream stream, const gpu::LadderArgs& a) { launch<false>(stream, a); }

}  // namespace furrow::SIMT_NS
