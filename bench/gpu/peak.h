// Kernels that measure the device and nothing else: how fast it multiplies, and what a launch costs.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// Multiply-adds on registers alone: mma.sync of f16, bf16 or tf32, or fmaf. The most that a kernel built of that
// instruction can reach; on GPUs with faster instructions of another kind (wgmma on sm_90) not the most of the GPU.
enum class PeakLoop : uint8_t { f16, bf16, tf32, f32 };
constexpr int kPeakThreads = 256, kPeakChains = 8;

struct PeakArgs {
  PeakLoop loop = PeakLoop::f16;
  int blocks = 1, rounds = 1;
  float* out = nullptr;   // {blocks * kPeakThreads}: peak_result in every element
};
// Operations of a launch, 2 per multiply-add.
constexpr double peak_flops(const PeakArgs& a) {
  const double per_round = a.loop == PeakLoop::f32 ? 2.0 * 4 * kPeakChains * 32
                                                   : 2.0 * 16 * 8 * (a.loop == PeakLoop::tf32 ? 8 : 16) * kPeakChains;
  return per_round * a.rounds * a.blocks * (kPeakThreads / 32);
}
// Every product is 2^-10 and every partial sum a multiple of it below 2^14 of them in float32: exact for rounds < 2^16.
constexpr double peak_result(const PeakArgs& a) {
  const int products = a.loop == PeakLoop::f32 ? 1 : a.loop == PeakLoop::tf32 ? 8 : 16;
  return 4.0 * kPeakChains * products * a.rounds * 0x1p-10;
}

// Every block reads all `words` words `rounds` times, in an order that starts elsewhere in each: where they fit into
// the second-level cache, but are many times what a multiprocessor's own cache holds, what the former gives.
struct ReadArgs {
  const void* from = nullptr;   // 16-byte aligned
  int words = 0;                // of 16 bytes; a power of two, at least 4 * kPeakThreads
  int blocks = 1, rounds = 1;
  uint32_t* out = nullptr;      // {blocks * kPeakThreads}: those of a block add up to rounds * the sum of all uint32_t
};
constexpr double read_bytes(const ReadArgs& a) { return 16.0 * a.words * a.rounds * a.blocks; }

struct PeakKernels {
  void (*loop)(Stream, const PeakArgs&);
  void (*read)(Stream, const ReadArgs&);
  void (*nothing)(Stream);   // one block of one warp that returns at once
};

}  // namespace furrow::gpu

namespace furrow::emulated { extern const gpu::PeakKernels peak_kernels; }
namespace furrow::cuda { extern const gpu::PeakKernels peak_kernels; }   // only where the build has nvcc
