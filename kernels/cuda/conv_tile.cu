// The tiled convolution kernel: forward passes and input gradients in fp32.
//
// Real is what sums are added up in: float32 in two levels, or, for short sums (kernels/short_sums.h), double, rounded
// once at the end.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/conv_tile_results.h"

namespace furrow::SIMT_NS {

namespace {

constexpr int kRows = 8, kCols = 16;  // output pixels of a block, one phase of them
constexpr int kChannels = kTileChannels, kGroup = kTileGroup;
constexpr int kThreads = kTileThreads;  // 32 quads of 2x2 pixels times 4 groups of channels; a warp has one group
static_assert(kThreads == kRows * kCols && kThreads == kRows * kCols / 4 * (kChannels / kGroup));

constexpr int chunk_of(int kernel) { return kernel == 1 ? 16 : kernel == 3 ? 8 : 4; }

// Shared memory of one instance, in floats: x [chunk][kXRows][kXPitch], then weights [taps][chunk][kChannels].
template <int K, int S>
struct Layout {
  static constexpr int kChunk = chunk_of(K), kTaps = K * K;
  static constexpr int kXRows = (kRows - 1) * S + K, kXCols = (kCols - 1) * S + K;
  // 8 modulo 16: the 8-byte loads of 16 lanes, two rows of 8 quads, then touch all 32 banks once where S is 1.
  static constexpr int kXPitch = (kXCols + 7) / 16 * 16 + 8, kPlane = kXRows * kXPitch;
  static constexpr int kX = kChunk * kPlane, kW = kTaps * kChunk * kChannels;
};

SIMT_BOTH int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The taps of one phase along one axis, for staging without a halo: tap t is kernel position first + t*step and reads
// input `origin + t*origin_step` at output 0 of the phase.
struct Axis {
  int taps, first, step, origin, origin_step;
};
SIMT_BOTH Axis axis_of(bool transposed, int phase, int kernel, int stride, int pad) {
  if (!transposed) return {kernel, 0, 1, -pad, 1};
  const int first = ((phase + pad) % stride + stride) % stride;
  return {first < kernel ? (kernel - 1 - first) / stride + 1 : 0, first, stride, (phase + pad - first) / stride, -1};
}

// Without a halo: whether sums of the phase that these are the axes of are added up in double: where they are short,
// and where the channels of a tap, which are summed apart, are too few to be a level of their own.
SIMT_BOTH bool takes_double(const TileProblem& p, const Axis& rows, const Axis& cols) {
  const int channels = p.x[0].c + p.x[1].c;
  return channels < 4 || int64_t{rows.taps} * cols.taps * channels < kShortSum;
}

// x[i][r][c] = channel first + i of input pixel (row + r*gather, col + c*gather) of picture n, 0 outside.
template <int CHUNK, int ROWS, int COLS, int PITCH>
SIMT_DEVICE void stage_x(const TileProblem& p, const TileProblem::Source& source, int first, int n, int row, int col,
                         int gather, float* x) {
  const int count = min(CHUNK, source.c - first);
  const float* picture = source.data + static_cast<int64_t>(n) * p.in_h * p.in_w * source.pitch + first;
  if (source.quads) {
    constexpr int kQuads = CHUNK / 4;
    for (int item = static_cast<int>(threadIdx.x); item < ROWS * COLS * kQuads; item += kThreads) {
      const int quad = item % kQuads, pixel = item / kQuads, r = pixel / COLS, c = pixel % COLS;
      if (4 * quad >= count) continue;
      const int iy = row + r * gather, ix = col + c * gather;
      float4 v = make_float4(0, 0, 0, 0);
      if (iy >= 0 && iy < p.in_h && ix >= 0 && ix < p.in_w)
        v = *reinterpret_cast<const float4*>(picture + (static_cast<int64_t>(iy) * p.in_w + ix) * source.pitch +
                                             4 * quad);
      float* to = x + 4 * quad * ROWS * PITCH + r * PITCH + c;
      to[0] = v.x;
      to[ROWS * PITCH] = v.y;
      to[2 * ROWS * PITCH] = v.z;
      to[3 * ROWS * PITCH] = v.w;
    }
  } else {
    for (int item = static_cast<int>(threadIdx.x); item < ROWS * COLS * CHUNK; item += kThreads) {
      const int i = item % CHUNK, pixel = item / CHUNK, r = pixel / COLS, c = pixel % COLS;
      if (i >= count) continue;
      const int iy = row + r * gather, ix = col + c * gather;
      const bool inside = iy >= 0 && iy < p.in_h && ix >= 0 && ix < p.in_w;
      x[i * ROWS * PITCH + r * PITCH + c] =
          inside ? picture[(static_cast<int64_t>(iy) * p.in_w + ix) * source.pitch + i] : 0.0f;
    }
  }
}

SIMT_DEVICE void stage_weights(const float* __restrict__ from, int floats, float* to) {
  for (int i = 4 * static_cast<int>(threadIdx.x); i < floats; i += 4 * kThreads)
    *reinterpret_cast<float4*>(to + i) = *reinterpret_cast<const float4*>(from + i);
}

// Of a thread: pixels (0,0) (0,1) (1,0) (1,1) of its quad, times channels.
template <class Real>
struct Sums {
  Real at[4][kGroup];
};

// sum += sum over `count` staged channels and all taps. x, w: at the thread's quad and channel group.
template <int K, int S, class Real>
SIMT_DEVICE void add_products(const float* x, const float* w, int count, Sums<Real>& sum) {
  using L = Layout<K, S>;
  for (int i = 0; i < count; ++i) {
    for (int kh = 0; kh < K; ++kh) {
      SIMT_UNROLL
      for (int kw = 0; kw < K; ++kw) {
        const float* from = x + i * L::kPlane + kh * L::kXPitch + kw;
        const Real pixel[4] = {from[0], from[S], from[S * L::kXPitch], from[S * L::kXPitch + S]};
        const float* weight = w + ((kh * K + kw) * L::kChunk + i) * kChannels;
        const float4 a = *reinterpret_cast<const float4*>(weight), b = *reinterpret_cast<const float4*>(weight + 4);
        SIMT_UNROLL
        for (int q = 0; q < 4; ++q) {
          Real* to = sum.at[q];
          to[0] += pixel[q] * static_cast<Real>(a.x);
          to[1] += pixel[q] * static_cast<Real>(a.y);
          to[2] += pixel[q] * static_cast<Real>(a.z);
          to[3] += pixel[q] * static_cast<Real>(a.w);
          to[4] += pixel[q] * static_cast<Real>(b.x);
          to[5] += pixel[q] * static_cast<Real>(b.y);
          to[6] += pixel[q] * static_cast<Real>(b.z);
          to[7] += pixel[q] * static_cast<Real>(b.w);
        }
      }
    }
  }
}

// total += the same, summed apart first, so that rounding grows with the length of a part plus the number of parts.
// Parts: `apart` channels; without a halo, all.
template <int K, int S>
SIMT_DEVICE void multiply(const float* x, const float* w, int count, int apart, Sums<float>& total) {
  const int step = K > 1 ? apart : count;
  for (int i = 0; i < count; i += step) {
    Sums<float> sum{};
    add_products<K, S>(x + i * Layout<K, S>::kPlane, w + i * kChannels, min(step, count - i), sum);
    SIMT_UNROLL
    for (int q = 0; q < 4; ++q) {
      SIMT_UNROLL
      for (int j = 0; j < kGroup; ++j) total.at[q][j] += sum.at[q][j];
    }
  }
}
template <int K, int S>
SIMT_DEVICE void multiply(const float* x, const float* w, int count, int, Sums<double>& total) {
  add_products<K, S>(x, w, count, total);
}

// Sums of the thread's quad and channel group over all chunks of both sources, and, without a halo, over the phase's
// taps.
template <int K, int S, class Real>
SIMT_DEVICE void sum_tile(const TileProblem& p, int tile, bool active, int n, int row, int col, const Axis& rows,
                          const Axis& cols, float* x, float* w, Sums<Real>& total) {
  using L = Layout<K, S>;
  const int quad = static_cast<int>(threadIdx.x) % 32, group = static_cast<int>(threadIdx.x) / 32;
  const float* my_x = x + quad / 8 * 2 * S * L::kXPitch + quad % 8 * 2 * S;
  const float* my_w = w + group * kGroup;
  const int chunks0 = ceil_div(p.x[0].c, L::kChunk), chunks = chunks0 + ceil_div(p.x[1].c, L::kChunk);
  const int taps = K > 1 ? 1 : p.kernel_h * p.kernel_w;  // staged one by one
  const int gather = K > 1 || p.transposed ? 1 : p.stride;
  const int row_step = K > 1 ? S : gather;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const bool second = chunk >= chunks0;
    const TileProblem::Source source = p.x[second ? 1 : 0];
    const int first = (second ? chunk - chunks0 : chunk) * L::kChunk;
    const float* weights = p.weights + (static_cast<int64_t>(tile) * chunks + chunk) * taps * L::kW;
    for (int a = 0; a < (K > 1 ? 1 : rows.taps); ++a)
      for (int b = 0; b < (K > 1 ? 1 : cols.taps); ++b) {
        const int tap = K > 1 ? 0 : (rows.first + a * rows.step) * p.kernel_w + cols.first + b * cols.step;
        __syncthreads();  // the tile before has been read
        stage_x<L::kChunk, L::kXRows, L::kXCols, L::kXPitch>(
            p, source, first, n, row * row_step + rows.origin + a * rows.origin_step,
            col * row_step + cols.origin + b * cols.origin_step, gather, x);
        stage_weights(weights + static_cast<int64_t>(tap) * L::kW, L::kW, w);
        __syncthreads();
        if (active) multiply<K, S>(my_x, my_w, min(L::kChunk, source.c - first), p.apart, total);
      }
  }
}

// y = act(W * [x0, x1] + b + residual) and its pooled and head forms, as TileProblem says; input gradients likewise.
//   grid: x = picture * tiles of 8x16 outputs (of one phase), y = tiles of 32 channels (with a head: tiles of 64 head
//   channels, each computing all of y; the first stores it), z = phases. Block: 128. Shared: Layout, with a head also
//   y {128,33} and its sums {min(64,head),128}, or y {128,49} where the head is short.
//   Phases differ in taps: of a transposed problem, float computes those of long sums and double those of short ones.
//   Each thread: 2x2 pixels (so that a pooling window is its own) x 8 channels. Bytes: x once per 32 output channels
//   plus a border of the kernel's size, weights once per 128 pixels, outputs once. Order of a sum: chunks of x0, of x1;
//   within a chunk channels, then taps (without a halo: taps, then channels); then the bias, then the residual.
template <int K, int S, class Real>
__global__ void __launch_bounds__(kThreads, 2) conv_tile(TileProblem p) {
  using L = Layout<K, S>;
  DYNAMIC_SHARED(float, x);
  float* const w = x + L::kX;
  float* const y_tile = w + L::kW;
  float* const head_sums = y_tile + kThreads * kYPitch;

  const int step = p.transposed ? p.stride : 1;
  const int phase_row = static_cast<int>(blockIdx.z) / step, phase_col = static_cast<int>(blockIdx.z) % step;
  const int tile_cols = ceil_div(ceil_div(p.out_w, step), kCols), tile_rows = ceil_div(ceil_div(p.out_h, step), kRows);
  const int block = static_cast<int>(blockIdx.x);
  const int n = block / (tile_rows * tile_cols);
  const int row = block / tile_cols % tile_rows * kRows, col = block % tile_cols * kCols;  // in the phase
  const Axis rows = axis_of(p.transposed, phase_row, p.kernel_h, p.stride, p.pad_h);
  const Axis cols = axis_of(p.transposed, phase_col, p.kernel_w, p.stride, p.pad_w);
  if (p.transposed && takes_double(p, rows, cols) != std::is_same_v<Real, double>) return;

  const int thread = static_cast<int>(threadIdx.x), quad = thread % 32, group = thread / 32;
  const int oy = phase_row + (row + quad / 8 * 2) * step, ox = phase_col + (col + quad % 8 * 2) * step;
  const bool with_head = p.head.channels > 0, short_head = p.oc < kShortSum, stores = !with_head || blockIdx.y == 0;
  const int k0 = static_cast<int>(blockIdx.y) * kHeadTile;

  const int widest =
      max(p.oc, stores ? max(p.y.data != nullptr ? p.y.pitch : 0, p.pooled.data != nullptr ? p.pooled.pitch : 0) : 0);
  const int tiles = with_head ? ceil_div(widest, kChannels) : static_cast<int>(blockIdx.y) + 1;
  for (int tile = with_head ? 0 : static_cast<int>(blockIdx.y); tile < tiles; ++tile) {
    const int first = tile * kChannels + group * kGroup;
    const bool inside = oy < p.out_h && ox < p.out_w;
    Sums<Real> total{};
    Sums<float> y;
    if (tile * kChannels < p.oc) sum_tile<K, S>(p, tile, inside && first < p.oc, n, row, col, rows, cols, x, w, total);

    SIMT_UNROLL
    for (int q = 0; q < 4; ++q) {
      const int py = oy + q / 2 * step, px = ox + q % 2 * step;
      const bool here = py < p.out_h && px < p.out_w;
      const bool fed = !p.bias_inside || (py + p.pad_h >= 0 && py + p.pad_h < p.in_h * p.stride && px + p.pad_w >= 0 &&
                                          px + p.pad_w < p.in_w * p.stride);
      const int64_t pixel = (static_cast<int64_t>(n) * p.out_h + py) * p.out_w + px;
      SIMT_UNROLL
      for (int j = 0; j < kGroup; ++j) {
        Real v = total.at[q][j];
        if (here && fed && first + j < p.oc) {
          if (p.bias != nullptr) v += static_cast<Real>(p.bias[first + j]);
          if (p.residual != nullptr) v += static_cast<Real>(p.residual[pixel * p.residual_pitch + first + j]);
          if (p.relu) v = v < 0 ? 0 : v;
        } else {
          v = 0;  // pad channels, and what lies outside
        }
        y.at[q][j] = static_cast<float>(v);
      }
      if (stores && p.y.data != nullptr && here) store_group(p.y, pixel, first, y.at[q]);
    }
    if (stores && p.pooled.data != nullptr && oy + 1 < p.out_h && ox + 1 < p.out_w) {
      float v[kGroup];
      SIMT_UNROLL
      for (int j = 0; j < kGroup; ++j)
        v[j] = pool_max(pool_max(y.at[0][j], y.at[1][j]), pool_max(y.at[2][j], y.at[3][j]));
      store_group(p.pooled, (static_cast<int64_t>(n) * (p.out_h / 2) + oy / 2) * (p.out_w / 2) + ox / 2, first, v);
    }
    if (with_head) {
      if (tile > 0 && !short_head) __syncthreads();  // y_tile has been read
      SIMT_UNROLL
      for (int q = 0; q < 4; ++q) {
        const int y_pixel = (quad / 8 * 2 + q / 2) * kCols + quad % 8 * 2 + q % 2;
        float* to = y_tile + (short_head ? y_pixel * kShortYPitch + first : y_pixel * kYPitch + group * kGroup);
        SIMT_UNROLL
        for (int j = 0; j < kGroup; ++j)
          if (!short_head || first + j < p.oc) to[j] = y.at[q][j];
      }
      if (!short_head) {
        __syncthreads();
        if (tile * kChannels < p.oc) add_to_head(p, y_tile, tile * kChannels, k0, head_sums);
      }
    }
  }
  if (with_head) {
    if (short_head) __syncthreads();
    const int py = row + thread / kCols, px = col + thread % kCols;
    if (py < p.out_h && px < p.out_w)
      store_head(p, (static_cast<int64_t>(n) * p.out_h + py) * p.out_w + px, k0, y_tile, head_sums);
  }
}

template <int K, int S, class Real>
void launch(gpu::Stream stream, const TileProblem& p) {
  using L = Layout<K, S>;
  const int step = p.transposed ? p.stride : 1;
  const int64_t tiles =
      static_cast<int64_t>(p.n) * ceil_div(ceil_div(p.out_h, step), kRows) * ceil_div(ceil_div(p.out_w, step), kCols);
  const int widest =
      std::max({p.oc, p.y.data != nullptr ? p.y.pitch : 0, p.pooled.data != nullptr ? p.pooled.pitch : 0});
  const int groups = p.head.channels > 0 ? ceil_div(p.head.channels, kHeadTile) : ceil_div(widest, kChannels);
  require(tiles < (int64_t{1} << 31) && groups < 65536 && step <= 255, "conv: more tiles than a grid has");
  LAUNCH(stream, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(groups), static_cast<unsigned>(step * step)),
         dim3(kThreads), static_cast<size_t>(L::kX + L::kW + head_shared_floats(p)) * sizeof(float),
         (conv_tile<K, S, Real>), p);
}

// Without a halo. The phases of a transposed problem may have sums of both kinds: then each kind is a launch.
void launch_taps(gpu::Stream stream, const TileProblem& p) {
  bool any[2] = {false, false};  // in float, in double
  const int step = p.transposed ? p.stride : 1;
  for (int row = 0; row < step; ++row)
    for (int col = 0; col < step; ++col)
      any[takes_double(p, axis_of(p.transposed, row, p.kernel_h, p.stride, p.pad_h),
                       axis_of(p.transposed, col, p.kernel_w, p.stride, p.pad_w))] = true;
  if (any[0]) launch<1, 1, float>(stream, p);
  if (any[1]) launch<1, 1, double>(stream, p);
}

// With one: forward problems. A chunk is one chain, and where most terms are in one (6 to 12 channels of 3x3, up
// to 6 of 7x7) there is no second level: such a chain was measured to err by up to 1.3 times the bound of short_sums.h.
// So there each channel is summed apart. A single channel of 7x7 has nothing to part and counts as short.
template <int K, int S>
void launch_halo(gpu::Stream stream, TileProblem p) {
  constexpr int kChunk = chunk_of(K);
  const int channels = p.x[0].c + p.x[1].c, longest = std::max(std::min(p.x[0].c, kChunk), std::min(p.x[1].c, kChunk));
  p.apart = 3 * longest >= 2 * channels ? 1 : kChunk;
  if (channels <= 1 || is_short_sum(int64_t{K} * K * channels)) return launch<K, S, double>(stream, p);
  launch<K, S, float>(stream, p);
}

bool aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

}  // namespace

TileProblem::Source tile_source(const gpu::ConstImage& image, const char* what) {
  if (!image) return {nullptr, 0, 0, false};
  require(image.type == DType::f32 && image.pitch >= image.c, what);
  return {static_cast<const float*>(image.data), image.c, image.pitch, image.pitch % 4 == 0 && aligned(image.data)};
}

TileProblem::Target tile_target(const gpu::Image& image, const char* what) {
  if (!image) return {nullptr, 0, false};
  require(image.type == DType::f32 && image.pitch >= image.c, what);
  return {static_cast<float*>(image.data), image.pitch, image.pitch % 4 == 0 && aligned(image.data)};
}

void launch_conv_tile(gpu::Stream stream, const TileProblem& p, const gpu::ConvTiling& tiling) {
  if (!tiling.halo) return launch_taps(stream, p);
  require(!p.transposed, "conv: halo tiles are for forward problems");
  if (p.kernel_h == 3 && p.stride == 1) return launch_halo<3, 1>(stream, p);
  if (p.kernel_h == 3) return launch_halo<3, 2>(stream, p);
  if (p.stride == 1) return launch_halo<7, 1>(stream, p);
  launch_halo<7, 2>(stream, p);
}

}  // namespace furrow::SIMT_NS
