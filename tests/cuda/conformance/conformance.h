// The conformance kernels: each runs one word of kernels/cuda/simt.h on raw 32-bit words, so that the emulator and a
// GPU can be compared on the same inputs.
//
// A sample is one block: it reads in_words(word) words and writes out_words(word). What the words mean stands with each
// kernel (conformance.cu) and, written a second time from the PTX documentation alone, with each model (models.cc).
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace furrow::gpu {

enum class Word : uint32_t {
  mma_f16, mma_bf16, mma_tf32, mma_s8, mma_u8s8,
  ldmatrix_x4, ldmatrix_x4_trans, ldmatrix_x2,
  cp_async_16, cp_async_4,
  shuffle_index, shuffle_up, shuffle_down, shuffle_xor, shuffle_64,
  ballot, barrier_count,
  to_tf32, from_f16, from_bf16, to_f16, to_bf16,
  expf, logf, log1pf, powf, exact_math,
  atomics,
};
constexpr int kWords = static_cast<int>(Word::atomics) + 1;

// Widths of shuffles and their arguments in the order of the output: every width, and for each the arguments
// 0..width-1.
constexpr int kShuffleWidths[] = {2, 4, 8, 16, 32};
constexpr int kShuffles = 2 + 4 + 8 + 16 + 32;

struct ConformanceKernels {
  void (*run)(Stream stream, Word word, const uint32_t* in, uint32_t* out, int samples);
};

}  // namespace furrow::gpu

namespace furrow::emulated { extern const gpu::ConformanceKernels conformance_kernels; }
namespace furrow::cuda { extern const gpu::ConformanceKernels conformance_kernels; }
