// Step 4: tensor cores. The convolution is one matrix product, C[pixel][oc] = A[pixel][k] * B[k][oc] with k = (kh, kw, ic),
// whose A is never written down: row `pixel`, columns (kh, kw, *) of A is x at that tap ("implicit GEMM").
//
// mma.sync multiplies 16x16 by 16x8 in float16 with float32 sums: 2,048 MACs for one instruction of a warp, where fmaf does
// 32. A warp holds the matrices together; each lane loads just the pairs of numbers that the instruction wants from it (the
// layout is written over mma_m16n8k16_f16 in simt_device.h). Consecutive k are consecutive channels in NHWC, for x and for
// w, so each pair is one 4-byte load. A warp computes 32 pixels x 32 channels: a loaded pair of x serves 4 products and
// one of w serves 2, which makes 4 bytes * 16 loads * 32 lanes for 8 * 2,048 MACs: 1/8 byte per MAC.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kWarps = 4, kPixels = 32, kOutputs = 32;   // pixels and output channels of a warp; warps lie along pixels
constexpr int kM = kPixels / 16, kN = kOutputs / 8;

// Two consecutive float16 values as one register.
SIMT_DEVICE uint32_t pair_at(const f16* p) { return *reinterpret_cast<const uint32_t*>(p); }

// Grid: {pixels / 128, pitch of y / 32}, block 128, no shared memory: neither barrier nor sharing, only bigger words.
// Order of the sum: kh, kw upwards, 16 channels at a time; within 16 the tensor core's own.
__global__ void __launch_bounds__(32 * kWarps) ladder_4(const f16* __restrict__ x, int64_t pixels, int h, int w, int x_pitch,
                                                        const f16* __restrict__ weights, const float* __restrict__ bias,
                                                        int oc, f16* __restrict__ y, int y_pitch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, t = lane % 4;
  const int64_t pixel0 = (static_cast<int64_t>(blockIdx.x) * kWarps + warp) * kPixels;
  const int c0 = static_cast<int>(blockIdx.y) * kOutputs;

  int row[kM][2], column[kM][2];   // of the four pixels whose x this lane loads
  SIMT_UNROLL
  for (int m = 0; m < kM; ++m)
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t pixel = pixel0 + 16 * m + 8 * half + g;
      row[m][half] = pixel < pixels ? static_cast<int>(pixel / w % h) : -2;   // -2: no tap is inside
      column[m][half] = static_cast<int>(pixel % w);
    }

  float sum[kM][kN][4] = {};
  for (int tap = 0; tap < 9; ++tap) {
    const int dh = tap / 3 - 1, dw = tap % 3 - 1;
    for (int k = 0; k < x_pitch; k += 16) {
      uint32_t a[kM][4];
      SIMT_UNROLL
      for (int m = 0; m < kM; ++m)
        SIMT_UNROLL
        for (int half = 0; half < 2; ++half) {
          const int r = row[m][half] + dh, s = column[m][half] + dw;
          const bool inside = r >= 0 && r < h && s >= 0 && s < w;
          const int64_t from = pixel0 + 16 * m + 8 * half + g + static_cast<int64_t>(dh) * w + dw;
          a[m][half] = inside ? pair_at(x + from * x_pitch + k + 2 * t) : 0;
          a[m][half + 2] = inside ? pair_at(x + from * x_pitch + k + 2 * t + 8) : 0;
        }
      SIMT_UNROLL
      for (int n = 0; n < kN; ++n) {
        const int c = c0 + 8 * n + g;
        const f16* from = weights + (static_cast<int64_t>(c) * 9 + tap) * x_pitch + k + 2 * t;
        const uint32_t b[2] = {c < oc ? pair_at(from) : 0, c < oc ? pair_at(from + 8) : 0};
        SIMT_UNROLL
        for (int m = 0; m < kM; ++m) mma_m16n8k16_f16(sum[m][n], a[m], b);
      }
    }
  }
  SIMT_UNROLL
  for (int m = 0; m < kM; ++m)
    SIMT_UNROLL
    for (int n = 0; n < kN; ++n)
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {   // this lane's part of a 16x8 result: rows g and g+8, columns 2t and 2t+1
        const int64_t pixel = pixel0 + 16 * m + 8 * (i / 2) + g;
        const int c = c0 + 8 * n + 2 * t + i % 2;
        if (pixel < pixels && c < y_pitch) y[pixel * y_pitch + c] = from_float<f16>(c < oc ? ladder_relu(sum[m][n][i] + bias[c]) : 0.0f);
      }
}

}  // namespace

void ladder_mma(gpu::Stream stream, const gpu::LadderArgs& a) {
  check_ladder(a, DType::f16);
  const dim3 grid(static_cast<unsigned>(ladder_tiles(a.x.pixels(), kWarps * kPixels)), static_cast<unsigned>(ladder_tiles(a.y.pitch, kOutputs)));
  LAUNCH(stream, grid, dim3(32 * kWarps), 0, ladder_4, static_cast<const f16*>(a.x.data), a.x.pixels(), a.x.h, a.x.w, a.x.pitch,
         static_cast<const f16*>(a.w), a.b, a.y.c, static_cast<f16*>(a.y.data), a.y.pitch);
}

}  // namespace furrow::SIMT_NS
