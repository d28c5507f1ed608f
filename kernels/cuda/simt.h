// The words that kernels are written in: CUDA's own where both compilers can know them, named functions for the rest.
//
// A kernel file is compiled twice from the same text. By nvcc it becomes namespace furrow::cuda, for a GPU; by the host
// compiler namespace furrow::emulated, where kernels/emu runs every CUDA thread of a block on a CPU. Words:
//
//   __global__ void k(...)               a kernel; LAUNCH(stream, grid, block, shared_bytes, k, args...) runs it
//   SIMT_DEVICE float f(float)           a function for kernels; SIMT_BOTH: for kernels and the host
//   threadIdx blockIdx blockDim gridDim, __syncthreads, __syncthreads_count, __syncwarp, __shfl_sync, __shfl_up_sync,
//   __shfl_down_sync, __shfl_xor_sync, __ballot_sync, __popc, atomicAdd, atomicMax, float2, float4, uint2, uint4, dim3
//   expf logf log1pf powf sqrtf fmaf fminf fmaxf fabsf floorf min max isnan isfinite
//   SHARED_ARRAY(float, tile, [18][18]); DYNAMIC_SHARED(unsigned char, memory);   SIMT_UNROLL before a loop
//   f16, bf16: storage types; to_float(x), from_float<T>(x) (round to nearest even)
//   cp_async_16 cp_async_4 cp_async_commit cp_async_wait<N>, ldmatrix_x4 ldmatrix_x2 ldmatrix_x4_trans, mma_m16n8k16_f16,
//   mma_m16n8k16_bf16, mma_m16n8k8_tf32 (operands by to_tf32), mma_m16n8k32_s8, mma_m16n8k32_u8s8
//
// Not used: <<<>>>, bare __shared__, asm, __activemask, static locals, floating-point atomics, waiting for another block.
// No thread leaves before the block's last barrier. Locals of a kernel own no memory.
#pragma once

#if defined(__CUDACC__)
#define SIMT_NS cuda
#include "kernels/cuda/simt_device.h"
#else
#define SIMT_NS emulated
#include "kernels/cuda/simt_host.h"
#endif
