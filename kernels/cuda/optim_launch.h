// What the optimiser's kernels share: reading and writing four elements at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/optim.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

constexpr unsigned kOptimThreads = 256;

void optim_prepare(gpu::Stream stream, const gpu::OptimPrepareArgs& args);  // optim_norm.cu

inline bool starts_on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// to[0..n-1] = from[0..n-1], n <= 4; the rest becomes 0. `wide`: `from` lies on 16 bytes.
SIMT_DEVICE void load4(const float* __restrict__ from, int n, bool wide, float (&to)[4]) {
  if (wide && n == 4) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
    return;
  }
  SIMT_UNROLL
  for (int k = 0; k < 4; ++k) to[k] = k < n ? from[k] : 0;
}
SIMT_DEVICE void store4(const float (&from)[4], int n, bool wide, float* __restrict__ to) {
  if (wide && n == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
    return;
  }
  SIMT_UNROLL
  for (int k = 0; k < 4; ++k)
    if (k < n) to[k] = from[k];
}

}  // namespace furrow::SIMT_NS
