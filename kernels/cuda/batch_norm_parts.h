// What the kernels of batch normalisation share: threads over channels and pixels, and the vectors of a channel.
//
// Blocks are (x: channels in vectors, at most 32; y: pixels) of 256 threads, grid y over channels; each thread keeps
// its channels and goes down its pixels, so that the vectors per channel are read once per thread.
#pragma once

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/simt.h"
#include "kernels/short_sums.h"

namespace furrow::SIMT_NS {

constexpr int kApplyPixels = 8;                       // pixels per thread of the apply kernels
constexpr int kFinishChannels = 32, kFinishRows = 8;  // block of the second stages

struct Vectors {
  const float *gamma, *beta, *mean, *rstd, *var;
  float eps;
};
inline Vectors vectors_of(const gpu::BatchNormVectors& v) {
  return {v.gamma, v.beta, v.mean, v.rstd, v.var, static_cast<float>(v.eps)};
}

// The vectors' values for V channels; zeros from channel c on.
template <int V>
struct Own {
  float mean[V], rstd[V], scale[V], beta[V];  // scale = gamma * rstd
  SIMT_DEVICE Own(const Vectors& v, int channel, int c) {
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      const bool inside = channel + j < c;
      mean[j] = inside ? v.mean[channel + j] : 0;
      rstd[j] = !inside ? 0 : v.rstd != nullptr ? v.rstd[channel + j] : 1.0f / sqrtf(v.var[channel + j] + v.eps);
      scale[j] = inside ? v.gamma[channel + j] * rstd[j] : 0;
      beta[j] = inside && v.beta != nullptr ? v.beta[channel + j] : 0;
    }
  }
  // The same bits wherever it is computed, so that a mask computed anew is the mask there was.
  SIMT_DEVICE float normalised(float x, int j) const { return fmaf(x - mean[j], scale[j], beta[j]); }
};

inline void check(const gpu::BatchNormVectors& v) {
  require(v.gamma != nullptr && v.mean != nullptr && (v.rstd != nullptr || v.var != nullptr), "batch_norm: vectors");
}

// One thread per channel, for sums over fewer than 49 pixels (kernels/short_sums.h).
inline unsigned channel_blocks(int c) { return static_cast<unsigned>((c + kPixelThreads - 1) / kPixelThreads); }
inline unsigned finish_blocks(int c) { return static_cast<unsigned>((c + kFinishChannels - 1) / kFinishChannels); }

// Batch normalisation's gradient (batch_norm_grad.cu).
void batch_norm_grad_reduce(gpu::Stream stream, const gpu::BatchNormGradArgs& a);
void batch_norm_grad_apply(gpu::Stream stream, const gpu::BatchNormGradArgs& a);

}  // namespace furrow::SIMT_NS
