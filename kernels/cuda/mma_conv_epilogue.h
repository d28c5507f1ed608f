// What a block of the tensor-core convolution does with its sums: bias, residual, ReLU, stores, 2x2 maximum, head.
#pragma once

#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {

// A block of kWarpsM x kWarpsN warps, each 32 output channels x (8 rows x 8 columns) of pixels. kThree: 3x3, stride 1.
template <int kWarpsM_, int kWarpsN_, int kRowBytes_, bool kThree_> struct ConvBlock {
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kRowBytes = kRowBytes_, kMi = 2;
  static constexpr bool kThree = kThree_;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN, kOc = kWarpsM * kMi * 16, kColumns = kWarpsN * 8;
};

struct ConvParams {
  struct Source { const void* data; int pitch, chunks; } x[2];
  int h, w, spacing;
  int kernel_h, kernel_w, stride, pad_h, pad_w;
  const void* weights;
  const float* bias;
  bool relu;
  int oc, oc_tiles, out_h, out_w, tiles_x, tiles_y;
  struct Result { void* data; int pitch; } residual, y, pooled;
  gpu::MmaHead head;
  int head_offset;   // bytes of shared memory before the head's sums
};

struct PixelTile { int n, row, column; };

// Rows of a warp's results on their way between registers and memory: 16 pixels of two rows, 4 pooled ones.
template <class T, class B> struct Staging {
  static constexpr int kChannels = B::kMi * 16, kPixels = 16, kPooled = 4, kPerVector = 16 / static_cast<int>(sizeof(T));
  static constexpr int kRow = kChannels + kPerVector;   // elements; the odd vector spreads rows over the banks
  static constexpr size_t kBytes = (kPixels + kPooled) * kRow * sizeof(T);
};

// Copies channels [channel, channel + kChannels) of `pixels` staged rows to their pixels of `to`, 16 bytes at a time;
// offset(pixel) is the pixel's number in `to`, or -1 outside it.
template <class T, class S, class F> SIMT_DEVICE void store_rows(const ConvParams::Result& to, const T* rows, int pixels, int channel, F offset) {
  constexpr int kVectors = S::kChannels / S::kPerVector;
  for (int i = static_cast<int>(threadIdx.x) & 31; i < pixels * kVectors; i += 32) {
    const int pixel = i / kVectors, c = i % kVectors * S::kPerVector;
    const int64_t at = offset(pixel);
    if (at >= 0 && channel + c < to.pitch)
      *reinterpret_cast<uint4*>(static_cast<T*>(to.data) + at * to.pitch + channel + c) = *reinterpret_cast<const uint4*>(rows + pixel * S::kRow + c);
  }
}

// Zeros in the channels past the last tile, where a pitch is that wide.
template <class T, class F> SIMT_DEVICE void zero_tail(const ConvParams::Result& to, int first, int pixels, F offset) {
  const int tail = to.pitch - first;
  for (int i = static_cast<int>(threadIdx.x) & 31; i < pixels * tail; i += 32) {
    const int64_t at = offset(i / tail);
    if (at >= 0) static_cast<T*>(to.data)[at * to.pitch + first + i % tail] = from_float<T>(0);
  }
}

// acc <- y = act(acc + bias + residual), zero in channels past oc; y and its 2x2 maximum are stored. Warps do not wait for
// each other: each has its own staging rows in `memory`.
template <class T, class B>
SIMT_DEVICE void finish(const ConvParams& p, const PixelTile& tile, int oc_tile, unsigned char* memory, float (&acc)[B::kMi][gpu::kMmaRows][4]) {
  using S = Staging<T, B>;
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5, g = lane >> 2, t = lane & 3;
  const int warp_m = warp % B::kWarpsM, first = oc_tile * B::kOc + warp_m * S::kChannels;
  const int column = tile.column + warp / B::kWarpsM * 8;
  T* const rows = reinterpret_cast<T*>(memory + warp * S::kBytes);
  T* const pooled_rows = rows + S::kPixels * S::kRow;
  float bias[B::kMi][2];
  SIMT_UNROLL
  for (int i = 0; i < B::kMi; ++i)
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int oc = first + i * 16 + half * 8 + g;
      bias[i][half] = p.bias != nullptr && oc < p.oc ? p.bias[oc] : 0;
    }
  SIMT_UNROLL
  for (int j = 0; j < gpu::kMmaRows; j += 2) {
    const int row = tile.row + j;
    const auto pixel_of = [&](int pixel) -> int64_t {
      const int y = row + pixel / 8, x = column + pixel % 8;
      return y < p.out_h && x < p.out_w ? (static_cast<int64_t>(tile.n) * p.out_h + y) * p.out_w + x : -1;
    };
    const auto pooled_of = [&](int pixel) -> int64_t {
      const int y = row / 2, x = column / 2 + pixel;
      return y < p.out_h / 2 && x < p.out_w / 2 ? (static_cast<int64_t>(tile.n) * (p.out_h / 2) + y) * (p.out_w / 2) + x : -1;
    };
    if (p.residual.data != nullptr) {
      constexpr int kVectors = S::kChannels / S::kPerVector;
      for (int i = lane; i < S::kPixels * kVectors; i += 32) {
        const int pixel = i / kVectors, c = i % kVectors * S::kPerVector;
        const int64_t at = pixel_of(pixel);
        uint4 value = make_uint4(0, 0, 0, 0);
        if (at >= 0 && first + c < p.residual.pitch)
          value = *reinterpret_cast<const uint4*>(static_cast<const T*>(p.residual.data) + at * p.residual.pitch + first + c);
        *reinterpret_cast<uint4*>(rows + pixel * S::kRow + c) = value;
      }
      __syncwarp();
    }
    SIMT_UNROLL
    for (int i = 0; i < B::kMi; ++i)
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int channel = i * 16 + half * 8 + g;
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e) {   // the 2x2 window: row j + e/2, column 2t + e%2
          float& value = acc[i][j + e / 2][half * 2 + e % 2];
          T* const staged = rows + (e / 2 * 8 + 2 * t + e % 2) * S::kRow + channel;
          value += bias[i][half];
          if (p.residual.data != nullptr) value += to_float(*staged);
          if (p.relu) value = value < 0 ? 0 : value;
          if (first + channel >= p.oc) value = 0;   // whatever the sources hold: 0 * inf is no zero
          *staged = from_float<T>(value);
        }
        if (p.pooled.data != nullptr)
          pooled_rows[t * S::kRow + channel] = from_float<T>(nan_max(nan_max(acc[i][j][half * 2], acc[i][j][half * 2 + 1]),
                                                                     nan_max(acc[i][j + 1][half * 2], acc[i][j + 1][half * 2 + 1])));
      }
    __syncwarp();
    if (p.y.data != nullptr) store_rows<T, S>(p.y, rows, S::kPixels, first, pixel_of);
    if (p.pooled.data != nullptr) store_rows<T, S>(p.pooled, pooled_rows, S::kPooled, first, pooled_of);
    if (oc_tile == p.oc_tiles - 1 && warp_m == 0) {
      const int end = p.oc_tiles * B::kOc;
      if (p.y.data != nullptr && p.y.pitch > end) zero_tail<T>(p.y, end, S::kPixels, pixel_of);
      if (p.pooled.data != nullptr && p.pooled.pitch > end) zero_tail<T>(p.pooled, end, S::kPooled, pooled_of);
    }
    __syncwarp();
  }
}

// sums[warp_m][pixel][h] (+)= sum over this warp's channels of w[h][oc] * y: 4 products per thread, then the 8 lanes that
// share a pixel by exchange (4, 8, 16), then tile after tile.
template <class B>
SIMT_DEVICE void add_to_head(const ConvParams& p, int oc_tile, bool fresh, float* sums, const float (&y)[B::kMi][gpu::kMmaRows][4]) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5, g = lane >> 2, t = lane & 3;
  const int warp_m = warp % B::kWarpsM, warp_n = warp / B::kWarpsM;
  for (int h = 0; h < p.head.channels; ++h) {
    float w[B::kMi][2];
    SIMT_UNROLL
    for (int i = 0; i < B::kMi; ++i)
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int oc = oc_tile * B::kOc + (warp_m * B::kMi + i) * 16 + half * 8 + g;
        w[i][half] = oc < p.oc ? p.head.w[static_cast<int64_t>(h) * p.oc + oc] : 0;
      }
    SIMT_UNROLL
    for (int j = 0; j < gpu::kMmaRows; ++j)
      SIMT_UNROLL
      for (int e = 0; e < 2; ++e) {
        float sum = 0;
        SIMT_UNROLL
        for (int i = 0; i < B::kMi; ++i)
          SIMT_UNROLL
          for (int half = 0; half < 2; ++half) sum = fmaf(w[i][half], y[i][j][half * 2 + e], sum);
        SIMT_UNROLL
        for (int by = 4; by < 32; by *= 2) sum += __shfl_xor_sync(~0u, sum, by);
        const int pixel = j * B::kColumns + warp_n * 8 + 2 * t + e;
        float* const to = sums + (warp_m * gpu::kMmaRows * B::kColumns + pixel) * p.head.channels + h;
        if (g == 0) *to = fresh ? sum : *to + sum;
      }
  }
}

// The head's results of the block's pixels, after a barrier behind the last add_to_head.
template <class B> SIMT_DEVICE void store_head(const ConvParams& p, const PixelTile& tile, const float* sums) {
  constexpr int kPixels = gpu::kMmaRows * B::kColumns;
  const int channels = p.head.channels;
  for (int i = static_cast<int>(threadIdx.x); i < kPixels * channels; i += B::kThreads) {
    const int pixel = i / channels, h = i % channels, y = tile.row + pixel / B::kColumns, x = tile.column + pixel % B::kColumns;
    if (y >= p.out_h || x >= p.out_w) continue;
    float logit = p.head.b != nullptr ? p.head.b[h] : 0;
    SIMT_UNROLL
    for (int m = 0; m < B::kWarpsM; ++m) logit += sums[m * kPixels * channels + i];
    const int64_t at = ((static_cast<int64_t>(tile.n) * p.out_h + y) * p.out_w + x) * channels + h;
    const float probability = 1.f / (1.f + expf(-logit));   // expf overflows to infinity: the quotient is then 0
    if (p.head.logits != nullptr) p.head.logits[at] = logit;
    if (p.head.probability != nullptr) p.head.probability[at] = probability;
    if (p.head.mask != nullptr) p.head.mask[at] = probability > p.head.threshold ? 255 : 0;
  }
}

}  // namespace furrow::SIMT_NS::tc
