// The loops of peak.h. Eight independent chains of sums per warp hide the latency of the instruction.
#include "bench/gpu/peak.h"

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

template <gpu::PeakLoop kLoop>
SIMT_DEVICE void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float x, float y) {
  if constexpr (kLoop == gpu::PeakLoop::f16) mma_m16n8k16_f16(sum, a, b);
  if constexpr (kLoop == gpu::PeakLoop::bf16) mma_m16n8k16_bf16(sum, a, b);
  if constexpr (kLoop == gpu::PeakLoop::tf32) mma_m16n8k8_tf32(sum, a, b);
  if constexpr (kLoop == gpu::PeakLoop::f32) {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) sum[i] = fmaf(x, y, sum[i]);
  }
}

// Grid {blocks}, block 256. `one` and `small` are the operands 1 and 2^-10, as the bits of a register for mma.
template <gpu::PeakLoop kLoop>
__global__ void __launch_bounds__(gpu::kPeakThreads)
    peak_loop(uint32_t one, uint32_t small, float x, float y, int rounds, float* __restrict__ out) {
  const uint32_t a[4] = {one, one, one, one}, b[2] = {small, small};
  float sum[gpu::kPeakChains][4] = {};
  for (int round = 0; round < rounds; ++round)
    SIMT_UNROLL
    for (int c = 0; c < gpu::kPeakChains; ++c) multiply_add<kLoop>(sum[c], a, b, x, y);
  float total = 0;
  SIMT_UNROLL
  for (int c = 0; c < gpu::kPeakChains; ++c)
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) total += sum[c][i];
  out[static_cast<int64_t>(blockIdx.x) * gpu::kPeakThreads + threadIdx.x] = total;
}

// Grid {blocks}, block 256. Four loads at a time are on their way.
__global__ void __launch_bounds__(gpu::kPeakThreads)
    read_all(const uint4* __restrict__ from, int words, int rounds, uint32_t* __restrict__ out) {
  constexpr int kLoads = 4;
  const unsigned first = (blockIdx.x * 2654435761u & ~31u) + threadIdx.x, mask = static_cast<unsigned>(words) - 1;
  uint32_t sum = 0;
  for (int round = 0; round < rounds; ++round)
    for (unsigned i = 0; i < static_cast<unsigned>(words); i += kLoads * gpu::kPeakThreads) {
      uint4 v[kLoads];
      SIMT_UNROLL
      for (unsigned k = 0; k < kLoads; ++k) v[k] = from[(first + i + k * gpu::kPeakThreads) & mask];
      SIMT_UNROLL
      for (int k = 0; k < kLoads; ++k) sum += v[k].x + v[k].y + v[k].z + v[k].w;
    }
  out[static_cast<int64_t>(blockIdx.x) * gpu::kPeakThreads + threadIdx.x] = sum;
}

__global__ void __launch_bounds__(32) no_work(int) {}

void loop(gpu::Stream stream, const gpu::PeakArgs& args) {
  const dim3 grid(static_cast<unsigned>(args.blocks)), block(gpu::kPeakThreads);
  const float x = 1, y = 0x1p-10f;
  switch (args.loop) {
    case gpu::PeakLoop::f16:
      LAUNCH(stream, grid, block, 0, (peak_loop<gpu::PeakLoop::f16>), 0x3C003C00u, 0x14001400u, x, y, args.rounds,
             args.out);
      break;
    case gpu::PeakLoop::bf16:
      LAUNCH(stream, grid, block, 0, (peak_loop<gpu::PeakLoop::bf16>), 0x3F803F80u, 0x3A803A80u, x, y, args.rounds,
             args.out);
      break;
    case gpu::PeakLoop::tf32:
      LAUNCH(stream, grid, block, 0, (peak_loop<gpu::PeakLoop::tf32>), 0x3F800000u, 0x3A800000u, x, y, args.rounds,
             args.out);
      break;
    case gpu::PeakLoop::f32:
      LAUNCH(stream, grid, block, 0, (peak_loop<gpu::PeakLoop::f32>), 0u, 0u, x, y, args.rounds, args.out);
      break;
  }
}

void read(gpu::Stream stream, const gpu::ReadArgs& args) {
  LAUNCH(stream, dim3(static_cast<unsigned>(args.blocks)), dim3(gpu::kPeakThreads), 0, read_all,
         static_cast<const uint4*>(args.from), args.words, args.rounds, args.out);
}

void nothing(gpu::Stream stream) { LAUNCH(stream, dim3(1), dim3(32), 0, no_work, 0); }

}  // namespace

const gpu::PeakKernels peak_kernels{loop, read, nothing};

}  // namespace furrow::SIMT_NS
