// What a block of the tensor-core convolution does with its sums: bias, residual, ReLU, stores, 2x2 maximum, head.
#pragma once

#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {

// A block of kWarpsM x kWarpsN warps, each 32 output channels x (8 rows x 8 columns) of pixels. kThree: 3x3, stride 1.
template <int kWarpsM_, int kWarpsN_, int kRowBytes_, bool kThree_>
struct ConvBlock {
  static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kRowBytes = kRowBytes_, kMi = 2;
  static constexpr bool kThree = kThree_;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN, kOc = kWarpsM * kMi * 16, kColumns = kWarpsN * 8;
  static constexpr int kBlocksPerSm =
      kRowBytes == 64 && kWarpsN == 2 ? 3 : 2;  // 168 or 255 registers a thread; the others spill at 168
};

struct ConvParams {
  struct Source {
    const void* data;
    int pitch, chunks;
  } x[2];
  int h, w, spacing;
  int kernel_h, kernel_w, stride, pad_h, pad_w;
  const void* weights;
  int64_t tile_bytes;  // of one tile of output channels
  const float* bias;
  bool relu;
  int oc, oc_tiles, out_h, out_w, tiles_x, tiles_y;
  struct Result {
    void* data;
    int pitch;
  } residual, y, pooled;
  gpu::MmaHead head;
  int head_offset;  // bytes of shared memory before the head's sums
  int run_steps;    // steps of the main loop summed apart; 0: all of them are one chain
  int run_offset;   // bytes of shared memory before the sums of runs
};

// Where a launch of layout `l` keeps the sums of runs and of a head, and how long a run is: its links do not exceed
// gpu::kMmaChain unless those of one step do.
inline void divide_shared_memory(const gpu::MmaConvLayout& l, ConvParams& p) {
  const int per_step = l.shape.kernel_h * (l.row_bytes / 32), most = gpu::kMmaChain / per_step;
  p.run_steps = l.links() > gpu::kMmaChain ? (most > 0 ? most : 1) : 0;
  p.run_offset = static_cast<int>(gpu::mma_conv_tile_bytes(l));
  p.head_offset = p.run_offset + static_cast<int>(gpu::mma_conv_run_sums_bytes(l));
}

// The picture and first pixel of a block. Tile number `block` of all pictures, columns fastest.
struct PixelTile {
  int n, row, column;
};
template <class B>
SIMT_DEVICE PixelTile pixel_tile(const ConvParams& p, int64_t block) {
  return {static_cast<int>(block / p.tiles_x / p.tiles_y),
          static_cast<int>(block / p.tiles_x % p.tiles_y) * gpu::kMmaRows,
          static_cast<int>(block % p.tiles_x) * B::kColumns};
}

// A warp's results on their way between registers and memory: 64 pixels of y, 16 of its maximum, kChannels of each.
template <class T, class B>
struct Staging {
  static constexpr int kChannels = B::kMi * 16, kPixels = 8 * gpu::kMmaRows, kPooled = kPixels / 4,
                       kPerVector = 16 / static_cast<int>(sizeof(T));
  static constexpr int kRow = kChannels + kPerVector;  // elements; the odd vector spreads rows over the banks
  static constexpr size_t kBytes = (kPixels + kPooled) * kRow * sizeof(T);
  static_assert(kBytes == gpu::mma_staging_bytes(sizeof(T)));
};

// Where computed pixels lie in an image of picture n: as they are.
struct Window {
  int n, h, w;
  // Number in the image of the pixel computed at (y, x), -1 where it has none.
  SIMT_DEVICE int64_t pixel(int y, int x) const {
    return y < h && x < w ? (static_cast<int64_t>(n) * h + y) * w + x : -1;
  }
};

// A warp's part of an image: `columns` pixels a row from (row, column), channels from `channel`.
template <class W>
struct Part {
  W window;
  int row, column, columns, channel;
  SIMT_DEVICE int64_t pixel(int i) const { return window.pixel(row + i / columns, column + i % columns); }
};

// Between the staged rows of `pixels` pixels and their place in an image, 16 bytes at a time; what lies outside reads
// as zero.
template <class T, class S, class P>
SIMT_DEVICE void load_rows(const ConvParams::Result& from, T* rows, int pixels, const P& at) {
  constexpr int kVectors = S::kChannels / S::kPerVector;
  for (int i = static_cast<int>(threadIdx.x) & 31; i < pixels * kVectors; i += 32) {
    const int c = i % kVectors * S::kPerVector;
    const int64_t pixel = at.pixel(i / kVectors);
    uint4 value = make_uint4(0, 0, 0, 0);
    if (pixel >= 0 && at.channel + c < from.pitch)
      value = *reinterpret_cast<const uint4*>(static_cast<const T*>(from.data) + pixel * from.pitch + at.channel + c);
    *reinterpret_cast<uint4*>(rows + i / kVectors * S::kRow + c) = value;
  }
}
template <class T, class S, class P>
SIMT_DEVICE void store_rows(const ConvParams::Result& to, const T* rows, int pixels, const P& at) {
  constexpr int kVectors = S::kChannels / S::kPerVector;
  for (int i = static_cast<int>(threadIdx.x) & 31; i < pixels * kVectors; i += 32) {
    const int c = i % kVectors * S::kPerVector;
    const int64_t pixel = at.pixel(i / kVectors);
    if (pixel >= 0 && at.channel + c < to.pitch)
      *reinterpret_cast<uint4*>(static_cast<T*>(to.data) + pixel * to.pitch + at.channel + c) =
          *reinterpret_cast<const uint4*>(rows + i / kVectors * S::kRow + c);
  }
}
// Zeros in the channels past the last tile, where a pitch is that wide.
template <class T, class P>
SIMT_DEVICE void zero_tail(const ConvParams::Result& to, int first, int pixels, const P& at) {
  const int tail = to.pitch - first;
  for (int i = static_cast<int>(threadIdx.x) & 31; i < pixels * tail; i += 32) {
    const int64_t pixel = at.pixel(i / tail);
    if (pixel >= 0) static_cast<T*>(to.data)[pixel * to.pitch + first + i % tail] = from_float<T>(0);
  }
}

// acc <- y = act(acc + bias + residual), zero in channels past oc; y, laid by `window`, and its 2x2 maximum are stored.
// Warps do not wait for each other: each has its own rows in `memory`.
template <class T, class B, class W>
SIMT_DEVICE void finish(const ConvParams& p, const PixelTile& tile, int oc_tile, unsigned char* memory,
                        float (&acc)[B::kMi][gpu::kMmaRows][4], const W& window) {
  using S = Staging<T, B>;
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5, g = lane >> 2,
            t = lane & 3;
  const int warp_m = warp % B::kWarpsM, first = oc_tile * B::kOc + warp_m * S::kChannels;
  const int column = tile.column + warp / B::kWarpsM * 8;
  T* const rows = reinterpret_cast<T*>(memory + warp * S::kBytes);
  T* const pooled_rows = rows + S::kPixels * S::kRow;
  const Part<W> part{window, tile.row, column, 8, first};
  if (p.residual.data != nullptr) {
    load_rows<T, S>(p.residual, rows, S::kPixels, part);
    __syncwarp();
  }
  SIMT_UNROLL
  for (int i = 0; i < B::kMi; ++i)
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int channel = i * 16 + half * 8 + g;
      const bool exists = first + channel < p.oc;
      const float bias = p.bias != nullptr && exists ? p.bias[first + channel] : 0;
      SIMT_UNROLL
      for (int j = 0; j < gpu::kMmaRows; ++j)
        SIMT_UNROLL
        for (int e = 0; e < 2; ++e) {
          float& value = acc[i][j][half * 2 + e];
          T* const staged = rows + (j * 8 + 2 * t + e) * S::kRow + channel;
          value += bias;
          if (p.residual.data != nullptr) value += to_float(*staged);
          if (p.relu) value = value < 0 ? 0 : value;
          if (!exists) value = 0;  // whatever the sources hold: 0 * inf is no zero
          *staged = from_float<T>(value);
        }
      if (p.pooled.data != nullptr)
        SIMT_UNROLL
        for (int j = 0; j < gpu::kMmaRows; j += 2)
          pooled_rows[(j * 2 + t) * S::kRow + channel] =
              from_float<T>(nan_max(nan_max(acc[i][j][half * 2], acc[i][j][half * 2 + 1]),
                                    nan_max(acc[i][j + 1][half * 2], acc[i][j + 1][half * 2 + 1])));
    }
  __syncwarp();
  const int end = p.oc_tiles * B::kOc;
  const bool last = oc_tile == p.oc_tiles - 1 && warp_m == 0;
  if (p.y.data != nullptr) {
    store_rows<T, S>(p.y, rows, S::kPixels, part);
    if (last && p.y.pitch > end) zero_tail<T>(p.y, end, S::kPixels, part);
  }
  if (p.pooled.data != nullptr) {
    const Part<Window> pooled{{tile.n, p.out_h / 2, p.out_w / 2}, tile.row / 2, column / 2, 4, first};
    store_rows<T, S>(p.pooled, pooled_rows, S::kPooled, pooled);
    if (last && p.pooled.pitch > end) zero_tail<T>(p.pooled, end, S::kPooled, pooled);
  }
}

// sums[warp_m][pixel][h] (+)= sum over this warp's channels of w[h][oc] * y: 4 products per thread, then the 8 lanes
// that share a pixel by exchange (4, 8, 16), then tile after tile.
template <class B>
SIMT_DEVICE void add_to_head(const ConvParams& p, int oc_tile, bool fresh, float* sums,
                             const float (&y)[B::kMi][gpu::kMmaRows][4]) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5, g = lane >> 2,
            t = lane & 3;
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
template <class B>
SIMT_DEVICE void store_head(const ConvParams& p, const PixelTile& tile, const float* sums) {
  constexpr int kPixels = gpu::kMmaRows * B::kColumns;
  const int channels = p.head.channels;
  for (int i = static_cast<int>(threadIdx.x); i < kPixels * channels; i += B::kThreads) {
    const int pixel = i / channels, h = i % channels, y = tile.row + pixel / B::kColumns,
              x = tile.column + pixel % B::kColumns;
    if (y >= p.out_h || x >= p.out_w) continue;
    float logit = p.head.b != nullptr ? p.head.b[h] : 0;
    SIMT_UNROLL
    for (int m = 0; m < B::kWarpsM; ++m) logit += sums[m * kPixels * channels + i];
    const int64_t at = ((static_cast<int64_t>(tile.n) * p.out_h + y) * p.out_w + x) * channels + h;
    const float probability = 1.f / (1.f + expf(-logit));  // expf overflows to infinity: the quotient is then 0
    if (p.head.logits != nullptr) p.head.logits[at] = logit;
    if (p.head.probability != nullptr) p.head.probability[at] = probability;
    if (p.head.mask != nullptr) p.head.mask[at] = probability > p.head.threshold ? 255 : 0;
  }
}

}  // namespace furrow::SIMT_NS::tc
