// Step 2: the block's piece of the input in shared memory.
//
// A block computes 8x8 pixels of 4 channels. Their 3x3 neighbourhoods are 10x10 pixels, which the block loads once for
// each 16 input channels; its 256 outputs then take every value from shared memory, 9 * 4 times. What is new: threads
// work together, so there are barriers. One lets nobody read the tile before all have written it, the other lets nobody
// overwrite it before all have read it.
//
// The tile is stored channel by channel: the 32 threads of a warp are neighbours in the picture and then read
// neighbouring floats, in different banks. They share oc, so the weight is one broadcast.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kTile = 8, kHalo = kTile + 2, kChannels = 16, kOutputs = 4;

// Grid: {n * tiles down * tiles across, pitch of y / 4}, block {64 pixels, 4 channels}, 6,400 bytes of shared memory.
// Order of the sum: 16 channels at a time, in them a sum over ic upwards for each tap, kh and kw upwards.
__global__ void __launch_bounds__(256) ladder_2(const float* __restrict__ x, int h, int w, int ic, int x_pitch,
                                                const float* __restrict__ weights, const float* __restrict__ bias,
                                                int oc, float* __restrict__ y, int y_pitch, int tiles_h, int tiles_w) {
  SHARED_ARRAY(float, tile, [kChannels][kHalo][kHalo]);
  const int tile_w = static_cast<int>(blockIdx.x) % tiles_w, tile_h = static_cast<int>(blockIdx.x) / tiles_w % tiles_h;
  const int64_t image = static_cast<int64_t>(static_cast<int>(blockIdx.x) / tiles_w / tiles_h) * h;   // its first row
  const int row0 = tile_h * kTile, column0 = tile_w * kTile;
  const int row = static_cast<int>(threadIdx.x) / kTile, column = static_cast<int>(threadIdx.x) % kTile;
  const int c = static_cast<int>(blockIdx.y) * kOutputs + static_cast<int>(threadIdx.y);
  const int thread = static_cast<int>(threadIdx.y) * kTile * kTile + static_cast<int>(threadIdx.x);

  float sum = c < oc ? bias[c] : 0.0f;
  for (int first = 0; first < ic; first += kChannels) {
    for (int i = thread; i < kChannels * kHalo * kHalo; i += kTile * kTile * kOutputs) {   // neighbours in memory: channels
      const int channel = i % kChannels, s = i / kChannels % kHalo, r = i / kChannels / kHalo;
      const int from_row = row0 + r - 1, from_column = column0 + s - 1;
      const bool inside = from_row >= 0 && from_row < h && from_column >= 0 && from_column < w && first + channel < ic;
      tile[channel][r][s] = inside ? x[((image + from_row) * w + from_column) * x_pitch + first + channel] : 0.0f;
    }
    __syncthreads();
    if (c < oc) {
      const int channels = min(kChannels, ic - first);
      for (int kh = 0; kh < 3; ++kh)
        for (int kw = 0; kw < 3; ++kw) {
          const float* tap = weights + (static_cast<int64_t>(c) * 9 + kh * 3 + kw) * x_pitch + first;
          float part = 0.0f;
          for (int i = 0; i < channels; ++i) part = fmaf(tile[i][row + kh][column + kw], tap[i], part);
          sum += part;
        }
    }
    __syncthreads();
  }
  if (row0 + row >= h || column0 + column >= w || c >= y_pitch) return;
  y[((image + row0 + row) * w + column0 + column) * y_pitch + c] = c < oc ? ladder_relu(sum) : 0.0f;
}

}  // namespace

void ladder_shared_tile(gpu::Stream stream, const gpu::LadderArgs& a) {
  check_ladder(a, DType::f32);
  const auto tiles_h = static_cast<int>(ladder_tiles(a.x.h, kTile)), tiles_w = static_cast<int>(ladder_tiles(a.x.w, kTile));
  const dim3 grid(static_cast<unsigned>(a.x.n) * static_cast<unsigned>(tiles_h) * static_cast<unsigned>(tiles_w),
                  static_cast<unsigned>(ladder_tiles(a.y.pitch, kOutputs)));
  LAUNCH(stream, grid, dim3(kTile * kTile, kOutputs), 0, ladder_2, static_cast<const float*>(a.x.data), a.x.h, a.x.w, a.x.c, a.x.pitch,
         static_cast<const float*>(a.w), a.b, a.y.c, static_cast<float*>(a.y.data), a.y.pitch, tiles_h, tiles_w);
}

}  // namespace furrow::SIMT_NS
