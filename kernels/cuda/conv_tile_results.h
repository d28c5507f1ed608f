// What the tiled convolution kernel does with its results: stores them, pools them, and computes their head, a 1x1
// convolution of the block's pixels of y, which lie in shared memory for it.
#pragma once

#include <algorithm>

#include "kernels/cuda/conv_tile.h"
#include "kernels/short_sums.h"

namespace furrow::SIMT_NS {

constexpr int kTileThreads = 128;                                     // of a block, and its pixels of y
constexpr int kTileChannels = gpu::kConvChannelTile, kTileGroup = 8;  // of a block at a time, and of a thread
constexpr int kHeadTile = 64;  // head channels of a block; more are shared out over blockIdx.y
// Of y in shared memory, where the head reads one pixel per lane: odd, so that the 32 lanes touch all 32 banks. A short
// head (kernels/short_sums.h) has all its channels there and adds them up in double at the end; others take a tile of
// channels at a time.
constexpr int kYPitch = kTileChannels + 1, kShortYPitch = kShortSum;
static_assert(kShortYPitch % 2 == 1);

// Floats of shared memory: y, and the sums of a head that is not short.
inline int head_shared_floats(const TileProblem& p) {
  if (p.head.channels == 0) return 0;
  if (is_short_sum(p.oc)) return kTileThreads * kShortYPitch;
  return kTileThreads * (kYPitch + std::min(kHeadTile, p.head.channels));
}

// Eight channels of one pixel, from channel `first`; those at pitch and beyond do not exist.
SIMT_DEVICE void store_group(const TileProblem::Target& target, int64_t pixel, int first, const float* v) {
  float* to = target.data + pixel * target.pitch + first;
  if (target.quads) {
    if (first < target.pitch) *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
    if (first + 4 < target.pitch) *reinterpret_cast<float4*>(to + 4) = make_float4(v[4], v[5], v[6], v[7]);
  } else {
    SIMT_UNROLL
    for (int j = 0; j < kTileGroup; ++j)
      if (first + j < target.pitch) to[j] = v[j];
  }
}

// A maximum in which NaN wins.
SIMT_DEVICE float pool_max(float a, float b) { return a > b || isnan(a) ? a : b; }

// sums[k][thread] += the part of channels first .. first+31 of head channel k0+k, for this thread's pixel of y.
SIMT_DEVICE void add_to_head(const TileProblem& p, const float* y, int first, int k0, float* sums) {
  const int count = min(kTileChannels, p.oc - first);
  const float* pixel = y + static_cast<int>(threadIdx.x) * kYPitch;
  for (int k = k0; k < min(k0 + kHeadTile, p.head.channels); ++k) {
    const float* w = p.head.w + static_cast<int64_t>(k) * p.oc + first;
    float sum = 0;
    for (int i = 0; i < count; ++i) sum += w[i] * pixel[i];
    float* to = sums + (k - k0) * kTileThreads + static_cast<int>(threadIdx.x);
    *to = (first == 0 ? (p.head.b != nullptr ? p.head.b[k] : 0.0f) : *to) + sum;
  }
}

// Head channel k of this thread's pixel, from all channels of y: one chain in double, rounded once.
SIMT_DEVICE float short_logit(const TileProblem& p, const float* y, int k) {
  const float* pixel = y + static_cast<int>(threadIdx.x) * kShortYPitch;
  const float* w = p.head.w + static_cast<int64_t>(k) * p.oc;
  double sum = p.head.b != nullptr ? static_cast<double>(p.head.b[k]) : 0.0;
  for (int i = 0; i < p.oc; ++i) sum += static_cast<double>(w[i]) * static_cast<double>(pixel[i]);
  return static_cast<float>(sum);
}

// y: of a short head, sums: of another.
SIMT_DEVICE void store_head(const TileProblem& p, int64_t pixel, int k0, const float* y, const float* sums) {
  const gpu::ConvHead& head = p.head;
  const bool is_short = p.oc < kShortSum;
  for (int k = k0; k < min(k0 + kHeadTile, head.channels); ++k) {
    const float logit = is_short ? short_logit(p, y, k) : sums[(k - k0) * kTileThreads + static_cast<int>(threadIdx.x)];
    const int64_t at = pixel * head.channels + k;
    if (head.kind == gpu::HeadOutput::mask) {
      static_cast<uint8_t*>(head.out)[at] = logit > head.logit_threshold ? 255 : 0;
    } else if (head.kind == gpu::HeadOutput::logits) {
      static_cast<float*>(head.out)[at] = logit;
    } else {
      const float e = expf(-fabsf(logit));  // at most 1: no overflow for any logit
      static_cast<float*>(head.out)[at] = (logit < 0 ? e : 1.0f) / (1.0f + e);
    }
  }
}

}  // namespace furrow::SIMT_NS
