// Batch normalisation per channel (Ioffe and Szegedy 2015), forward and backward: arguments and launch functions.
//
// Images of one call have one type (f32, f16, bf16); parameters, statistics and sums are float32 vectors of c values.
// M = n*h*w pixels. Reductions run in two stages over chunks of pixels, whose number depends on the shape alone: the
// same bits in every run of one build on one device. Over fewer than 49 pixels (kernels/short_sums.h), statistics and
// gradients are computed in float64 by one thread per channel, and each result is rounded once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// Pixels of one chunk: about 2048 blocks of 32 channels, and never less than 64 pixels.
constexpr int64_t batch_norm_chunk(int64_t pixels, int64_t channels) {
  const int64_t tiles = (channels + 31) / 32, chunks = tiles < 2048 ? 2048 / tiles : 1,
                share = (pixels + chunks - 1) / chunks;
  return share < 64 ? 64 : share;
}
constexpr int64_t batch_norm_chunks(int64_t pixels, int64_t channels) {
  const int64_t chunk = batch_norm_chunk(pixels, channels);
  return (pixels + chunk - 1) / chunk;
}
// Bytes of the workspace of a reduction: up to four float32 per chunk and channel.
constexpr size_t batch_norm_workspace(int64_t pixels, int64_t channels) {
  return static_cast<size_t>(batch_norm_chunks(pixels, channels) * channels) * 4 * sizeof(float);
}

// mean and rstd = 1/sqrt(var + eps), var the biased variance, of x over n,h,w. M > 1. Where differences between values
// are beyond float32's range, or their squares' sum is (49 pixels or more), the results are no numbers or 0.
// Where running_mean has data: running <- (1-momentum)*running + momentum*batch, with the unbiased variance M/(M-1).
struct BatchNormStatsArgs {
  ConstImage x;
  double eps = 1e-5, momentum = 0.1;
  float *mean = nullptr, *rstd = nullptr;
  float *running_mean = nullptr, *running_var = nullptr;  // both or neither
  float* workspace = nullptr;                             // batch_norm_workspace(M, c) bytes
};

// What normalises: rstd, or where that is null var (running statistics) and eps.
struct BatchNormVectors {
  const float *gamma = nullptr, *beta = nullptr, *mean = nullptr, *rstd = nullptr, *var = nullptr;
  double eps = 1e-5;
};

// y = gamma * (x - mean) * rstd + beta, then with `relu` y = y <= 0 ? 0 : y (NaN stays NaN). y may be the image of x.
struct BatchNormApplyArgs {
  ConstImage x;
  Image y;
  BatchNormVectors with;
  bool relu = false;
};

// Where a ReLU followed: dy counts where the result was not <= 0, read from y, or computed anew from x
// in float32 (a positive result that the storage type rounded to 0 then counts).
enum class ReluMask : uint8_t { none, from_y, from_x };

// With xh = (x-mean)*rstd and dy masked:
//   reduce: sums[0][c] = sum of dy, sums[1][c] = sum of dy*xh over n,h,w; dbeta and dgamma, if given, likewise
//   apply:  dx = gamma*rstd*(dy - sums[0]/M - xh*sums[1]/M);  with fixed_stats dx = gamma*rstd*dy, and no sums are read
struct BatchNormGradArgs {
  ConstImage x, dy, y;    // y only for ReluMask::from_y
  BatchNormVectors with;  // beta only for ReluMask::from_x
  ReluMask mask = ReluMask::none;
  float* sums = nullptr;  // {2, c}
  float *dgamma = nullptr, *dbeta = nullptr;
  bool accumulate_vectors = false;
  float* workspace = nullptr;  // of reduce: batch_norm_workspace(M, c) bytes
  Image dx;                    // of apply; may be the image of dy
  bool fixed_stats = false, accumulate_dx = false;
  bool shared_sums = false;  // of apply: sums are not those of these pixels alone
};

struct BatchNormKernels {
  void (*stats)(Stream, const BatchNormStatsArgs&);
  void (*apply)(Stream, const BatchNormApplyArgs&);
  void (*grad_reduce)(Stream, const BatchNormGradArgs&);
  void (*grad_apply)(Stream, const BatchNormGradArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::BatchNormKernels batch_norm_kernels;
}
namespace furrow::cuda {
extern const gpu::BatchNormKernels batch_norm_kernels;
}  // namespace furrow::cuda
