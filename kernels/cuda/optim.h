// Launch functions of the optimiser steps of kernels/optim_ops.h over flat float32 buffers. Nothing waits for the host:
// learning rate, step number, clip factor and loss scale are read where they lie, in device memory.
#pragma once

#include "kernels/cuda/stream.h"
#include "kernels/optim_ops.h"
#include "kernels/tensor.h"

namespace furrow::gpu {

// Norm, factor, skip, step and loss scale of one gradient, into *state.
struct OptimPrepareArgs {
  const float* gradient = nullptr;
  int64_t count = 0;
  double max_norm = 0;  // 0: no clipping
  LossScaling scaling;
  OptimState* state = nullptr;  // in device memory
  void* workspace = nullptr;    // optim_workspace() bytes, 8-byte aligned
};

// What every update reads and writes. Pointers in device memory; a buffer of `count` float32 that starts on 16 bytes is
// read 16 bytes at a time.
struct OptimBuffers {
  const float* gradient = nullptr;
  float* parameters = nullptr;
  void* shadow = nullptr;           // a copy of the new parameters in 16 bits for the network, or null
  DType shadow_type = DType::bf16;  // f16 or bf16
  int64_t count = 0;
  const OptimSegment* segments = nullptr;  // sorted, the first begins at 0
  int segment_count = 0;
  const double* lr = nullptr;         // one
  const OptimState* state = nullptr;  // as optim_prepare left it
};
struct AdamWArgs {
  AdamW options;
  OptimBuffers buffers;
  float* m = nullptr;
  float* v = nullptr;
};
struct SgdArgs {
  Sgd options;
  OptimBuffers buffers;
  float* buffer = nullptr;  // null where momentum is 0
};

// Elements whose squares one block adds, and one float64 per block.
inline constexpr int64_t kNormChunk = 16384;
constexpr int64_t norm_chunks(int64_t count) { return (count + kNormChunk - 1) / kNormChunk; }
constexpr size_t optim_workspace(int64_t count) { return static_cast<size_t>(norm_chunks(count)) * sizeof(double); }

struct OptimKernels {
  void (*prepare)(Stream, const OptimPrepareArgs&);
  void (*adamw)(Stream, const AdamWArgs&);
  void (*sgd)(Stream, const SgdArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::OptimKernels optim_kernels;
}
namespace furrow::cuda {
extern const gpu::OptimKernels optim_kernels;
}  // namespace furrow::cuda
