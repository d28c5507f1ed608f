// Sums over the threads of a block, in one fixed order: bit for bit the same in every run.
#pragma once

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// Thread 0 receives in values[k] the sum over the block's threads of their values[k]; other threads' values are spent.
// Order: a tree over the 32 lanes of a warp, then warps one after another. The block is one-dimensional, a multiple of
// 32 threads and at most 1024. Holds two barriers, so that it may be called again at once.
template <int N>
SIMT_DEVICE void block_sum(double (&values)[N]) {
  SHARED_ARRAY(double, of_warp, [32][N]);
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  SIMT_UNROLL
  for (int k = 0; k < N; ++k) {
    SIMT_UNROLL
    for (unsigned by = 16; by > 0; by /= 2) values[k] += __shfl_down_sync(~0u, values[k], by);
    if (lane == 0) of_warp[warp][k] = values[k];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    SIMT_UNROLL
    for (int k = 0; k < N; ++k) {
      values[k] = 0;
      for (unsigned w = 0; w < blockDim.x / 32; ++w) values[k] += of_warp[w][k];
    }
  }
  __syncthreads();
}

}  // namespace furrow::SIMT_NS
