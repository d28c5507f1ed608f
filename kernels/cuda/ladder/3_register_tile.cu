// Step 3: each thread keeps a tile of outputs in registers: 4 pixels of a row times 8 channels.
//
// A value in a register serves many MACs: for one input channel and one kernel row a thread loads 6 values of x (its 4
// pixels and one on each side) and 3 * 8 weights, and does 3 * 4 * 8 = 96 MACs with them: a third of a load per MAC,
// where step 2 needs one, and the weights are a broadcast to the warp. Weights now come through shared memory too, once
// per block of 8x16 pixels x 32 channels. Blocks got fewer and threads got more to do: the 32 sums of a thread are
// independent, so the adder never waits for its own result.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kRows = 8, kColumns = 16, kOutputs = 32;   // of a block
constexpr int kChannels = 8;                             // of x at a time
constexpr int kPitch = kColumns + 3;                     // of a tile's row: 18 would put four lanes of a warp into a bank, 19 puts two
constexpr int kPixels = 4, kEach = 8;                    // of a thread: pixels of a row, output channels
constexpr int kThreads = kRows * kColumns / kPixels * (kOutputs / kEach);   // 128; a warp shares its output channels

// Grid: {n * tiles down * tiles across, pitch of y / 32}, block 128, 15,296 bytes of shared memory.
// Order of the sum: 8 channels at a time, in them ic, kh, kw upwards.
__global__ void __launch_bounds__(kThreads, 4) ladder_3(const float* __restrict__ x, int h, int w, int ic, int x_pitch,
                                                     const float* __restrict__ weights, const float* __restrict__ bias,
                                                     int oc, float* __restrict__ y, int y_pitch, int tiles_h, int tiles_w) {
  SHARED_ARRAY(float, tile, [kChannels][kRows + 2][kPitch]);
  SHARED_ARRAY(float, taps, [kChannels][9][kOutputs]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t image = static_cast<int64_t>(static_cast<int>(blockIdx.x) / tiles_w / tiles_h) * h;   // its first row
  const int row0 = static_cast<int>(blockIdx.x) / tiles_w % tiles_h * kRows, column0 = static_cast<int>(blockIdx.x) % tiles_w * kColumns;
  const int c0 = static_cast<int>(blockIdx.y) * kOutputs;
  const int column = thread % (kColumns / kPixels) * kPixels, row = thread / (kColumns / kPixels) % kRows, c = thread / 32 * kEach;

  float sum[kPixels][kEach] = {};
  for (int first = 0; first < ic; first += kChannels) {
    for (int i = thread; i < kChannels * (kRows + 2) * (kColumns + 2); i += kThreads) {
      const int channel = i % kChannels, s = i / kChannels % (kColumns + 2), r = i / kChannels / (kColumns + 2);
      const int from_row = row0 + r - 1, from_column = column0 + s - 1;
      const bool inside = from_row >= 0 && from_row < h && from_column >= 0 && from_column < w && first + channel < ic;
      tile[channel][r][s] = inside ? x[((image + from_row) * w + from_column) * x_pitch + first + channel] : 0.0f;
    }
    for (int i = thread; i < kChannels * 9 * kOutputs; i += kThreads) {
      const int channel = i % kChannels, tap = i / kChannels % 9, output = i / kChannels / 9;
      const bool inside = c0 + output < oc && first + channel < ic;
      taps[channel][tap][output] = inside ? weights[(static_cast<int64_t>(c0 + output) * 9 + tap) * x_pitch + first + channel] : 0.0f;
    }
    __syncthreads();
    for (int channel = 0; channel < kChannels; ++channel)
      SIMT_UNROLL
      for (int kh = 0; kh < 3; ++kh) {
        float from[kPixels + 2];
        SIMT_UNROLL
        for (int p = 0; p < kPixels + 2; ++p) from[p] = tile[channel][row + kh][column + p];
        SIMT_UNROLL
        for (int kw = 0; kw < 3; ++kw) {
          const float4* four = reinterpret_cast<const float4*>(&taps[channel][kh * 3 + kw][c]);
          const float4 low = four[0], high = four[1];
          const float weight[kEach] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
          SIMT_UNROLL
          for (int p = 0; p < kPixels; ++p)
            SIMT_UNROLL
            for (int o = 0; o < kEach; ++o) sum[p][o] = fmaf(from[p + kw], weight[o], sum[p][o]);
        }
      }
    __syncthreads();
  }
  if (row0 + row >= h) return;
  SIMT_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    if (column0 + column + p >= w) continue;
    float* to = y + ((image + row0 + row) * w + column0 + column + p) * y_pitch;
    SIMT_UNROLL
    for (int o = 0; o < kEach; ++o) {
      const int output = c0 + c + o;
      if (output < y_pitch) to[output] = output < oc ? ladder_relu(sum[p][o] + bias[output]) : 0.0f;
    }
  }
}

}  // namespace

void ladder_register_tile(gpu::Stream stream, const gpu::LadderArgs& a) {
  check_ladder(a, DType::f32);
  const auto tiles_h = static_cast<int>(ladder_tiles(a.x.h, kRows)), tiles_w = static_cast<int>(ladder_tiles(a.x.w, kColumns));
  const dim3 grid(static_cast<unsigned>(a.x.n) * static_cast<unsigned>(tiles_h) * static_cast<unsigned>(tiles_w),
                  static_cast<unsigned>(ladder_tiles(a.y.pitch, kOutputs)));
  LAUNCH(stream, grid, dim3(kThreads), 0, ladder_3, static_cast<const float*>(a.x.data), a.x.h, a.x.w, a.x.c, a.x.pitch,
         static_cast<const float*>(a.w), a.b, a.y.c, static_cast<float*>(a.y.data), a.y.pitch, tiles_h, tiles_w);
}

}  // namespace furrow::SIMT_NS
