// Gradient of a convolution's weights on tensor cores, and of its bias.
//
// dw[oc, tap, ic] = sum over pixels of dy[pixel, oc] * x[pixel moved by tap, ic]: a GEMM with M = oc, N = ic and K =
// pixels, one per tap. A block computes 64 oc x 64 ic for up to three taps of one kernel row from one part of the
// pixels; a warp 32 x 32. The pixels come in tiles of 4 (f32: 2) rows x 16 columns: dy's tile serves all taps, and so
// does x's, whose columns overlap. Tiles are triple-buffered with one barrier each, as in mma_conv_mainloop.h.
//
// Order of the sums: a chain of one link per 16 (f32: 8) pixels for each run of 64 tiles, 256 links; a part's runs in
// order, in float32, in its place in memory; then the parts, 16 at a time summed apart. Tensor cores may cut each of a
// link's 17 (9) terms at 2^-23 of the largest (mma_conv_mainloop.h), so that a run errs by at most 256 * 17 * 2^-23 =
// 5.2e-4 of its largest running sum (f32: 2.7e-4), however many pixels there are; one chain over a part of 256 tiles
// could err by 2.1e-3 (f32: 1.1e-3). Adding the rest rounds 4 + 16 + parts/16 times by 2^-24. The result does not depend
// on how blocks are scheduled.
#include "kernels/cuda/mma_conv_grad.h"
#include "kernels/cuda/mma_grad_fragments.h"
#include "kernels/error.h"
#include "kernels/short_sums.h"

static_assert(furrow::kShortSum <= furrow::gpu::kMmaGradBiasParts);

namespace furrow::SIMT_NS::tc {
namespace {

constexpr int kThreads = 128, kTile = 64, kColumns = 16;  // of the gradient, and of pixels
template <class T>
constexpr int kRows = sizeof(T) == 2 ? 4 : 2;

struct GradParams {
  struct Source {
    const void* data;
    int c, pitch, tiles;
  } x[2];  // tiles of 64 channels
  const void* dy;
  int oc, dy_pitch, n, h, w, out_h, out_w;
  int kernel_h, kernel_w, stride, pad_h, pad_w;
  int tiles_x, tiles_y, parts, groups_w;  // groups of taps in a kernel row
  int64_t tiles, tiles_per_part;
  float* partial;  // [part][oc][tap][ic]
};

// Starts the copy of 64 channels from `channel` of the pixel at (y, x): zeros outside the picture and past its pitch.
template <class T>
SIMT_DEVICE void load_vector(unsigned char* rows, int row, int v, const void* image, int pitch, int channel, int64_t n,
                             int h, int w, int y, int x) {
  using R = PixelRows<T>;
  const bool inside = y >= 0 && y < h && x >= 0 && x < w && channel + v * R::kPerVector < pitch;
  const int64_t at = inside ? ((n * h + y) * w + x) * pitch + channel + v * R::kPerVector : 0;
  cp_async_16(rows + R::place(row, v), static_cast<const T*>(image) + at, inside);
}

// partial[part][oc][tap][ic] = the sum above over the part's pixels. Bytes: dy once per 64 input channels and group of
// taps, x once per 64 output channels and group, the parts' sums once and per further run of 64 tiles twice (up to 3
// taps x 32 KB beside 1.5 MB of pixels). Grid: one block per oc tile, ic tile, group of taps and part, parts fastest.
// Block: 128 threads; dynamic shared memory for three tiles of dy and x. Order: as above, runs and chains.
template <class T, int kTaps>
__global__ void __launch_bounds__(kThreads, 2) mma_grad_weight_kernel(const GradParams p) {
  using R = PixelRows<T>;
  DYNAMIC_SHARED(unsigned char, memory);
  int64_t block = blockIdx.x;
  const auto next = [&block](int extent) {
    const int index = static_cast<int>(block % extent);
    block /= extent;
    return index;
  };
  const int part = next(p.parts), kx0 = next(p.groups_w) * kTaps, ky = next(p.kernel_h),
            ic_tile = next(p.x[0].tiles + p.x[1].tiles);
  const int oc0 = static_cast<int>(block) * kTile;
  const bool second = ic_tile >= p.x[0].tiles;
  const void* const x = second ? p.x[1].data : p.x[0].data;
  const int x_pitch = second ? p.x[1].pitch : p.x[0].pitch, x_c = second ? p.x[1].c : p.x[0].c;
  const int ic0 = (second ? ic_tile - p.x[0].tiles : ic_tile) * kTile;
  // Columns of x that a row of the tile meets, stored by residue modulo the stride.
  const int columns = (kColumns - 1) * p.stride + kTaps, residue = (columns + p.stride - 1) / p.stride,
            x_row = residue * p.stride;
  const auto place = [&](int column) { return column % p.stride * residue + column / p.stride; };
  const int dy_bytes = kRows<T> * kColumns * R::kBytes, stage_bytes = dy_bytes + kRows<T> * x_row * R::kBytes;

  const int64_t first = part * p.tiles_per_part,
                end = first + p.tiles_per_part < p.tiles ? first + p.tiles_per_part : p.tiles;
  const int count = end > first ? static_cast<int>(end - first) : 0;
  const auto load = [&](int step) {
    if (step < count) {
      const int64_t tile = first + step, n = tile / p.tiles_x / p.tiles_y;
      const int row0 = static_cast<int>(tile / p.tiles_x % p.tiles_y) * kRows<T>,
                column0 = static_cast<int>(tile % p.tiles_x) * kColumns;
      unsigned char* const dy_rows = memory + step % 3 * stage_bytes;
      unsigned char* const x_rows = dy_rows + dy_bytes;
      for (int i = static_cast<int>(threadIdx.x); i < kRows<T> * kColumns * R::kVectors; i += kThreads) {
        const int pixel = i / R::kVectors;
        load_vector<T>(dy_rows, pixel, i % R::kVectors, p.dy, p.dy_pitch, oc0, n, p.out_h, p.out_w,
                       row0 + pixel / kColumns, column0 + pixel % kColumns);
      }
      for (int i = static_cast<int>(threadIdx.x); i < kRows<T> * columns * R::kVectors; i += kThreads) {
        const int pixel = i / R::kVectors, row = pixel / columns, column = pixel % columns;
        load_vector<T>(x_rows, row * x_row + place(column), i % R::kVectors, x, x_pitch, ic0, n, p.h, p.w,
                       (row0 + row) * p.stride + ky - p.pad_h, column0 * p.stride + column + kx0 - p.pad_w);
      }
    }
    cp_async_commit();
  };

  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5,
            warp_m = warp % 2 * 32, warp_n = warp / 2 * 32;
  const int taps = p.kernel_h * p.kernel_w, ic_all = p.x[0].c + p.x[1].c;
  load(0);
  load(1);
  int step = 0;
  do {  // a run
    const int run_begin = step, run_end = min(step + gpu::kMmaGradRun, count);
    float acc[kTaps][2][4][4];
    SIMT_UNROLL
    for (int tap = 0; tap < kTaps; ++tap)
      SIMT_UNROLL
      for (int i = 0; i < 2; ++i)
        SIMT_UNROLL
        for (int j = 0; j < 4; ++j)
          SIMT_UNROLL
          for (int e = 0; e < 4; ++e) acc[tap][i][j][e] = 0;
    for (; step < run_end; ++step) {
      cp_async_wait<1>();
      __syncthreads();
      load(step + 2);
      const unsigned char* const dy_rows = memory + step % 3 * stage_bytes;
      const unsigned char* const x_rows = dy_rows + dy_bytes;
      for (int row = 0; row < kRows<T>; ++row)
        SIMT_UNROLL
        for (int k = 0; k < kColumns; k += R::kDepth) {
          uint32_t a[2][4];
          load_a<T>(a[0], dy_rows, row * kColumns + k, warp_m);
          load_a<T>(a[1], dy_rows, row * kColumns + k, warp_m + 16);
          SIMT_UNROLL
          for (int tap = 0; tap < kTaps; ++tap) {
            uint32_t b[2][2][2];
            load_b<T>(b[0], x_rows, row * x_row + place(tap) + k, warp_n);
            load_b<T>(b[1], x_rows, row * x_row + place(tap) + k, warp_n + 16);
            SIMT_UNROLL
            for (int i = 0; i < 2; ++i)
              SIMT_UNROLL
              for (int j = 0; j < 4; ++j) mma<T>(acc[tap][i][j], a[i], b[j / 2][j % 2]);
          }
        }
    }
    SIMT_UNROLL
    for (int tap = 0; tap < kTaps; ++tap)
      SIMT_UNROLL
      for (int i = 0; i < 2; ++i)
        SIMT_UNROLL
        for (int j = 0; j < 4; ++j)
          SIMT_UNROLL
          for (int e = 0; e < 4; ++e) {
            const int oc = oc0 + warp_m + i * 16 + (e / 2) * 8 + (lane >> 2),
                      ic = ic0 + warp_n + j * 8 + (lane & 3) * 2 + e % 2;
            if (kx0 + tap >= p.kernel_w || oc >= p.oc || ic >= x_c) continue;
            float& to = p.partial[((static_cast<int64_t>(part) * p.oc + oc) * taps + ky * p.kernel_w + kx0 + tap) *
                                      ic_all +
                                  (second ? p.x[0].c : 0) + ic];
            to = run_begin == 0 ? acc[tap][i][j][e] : to + acc[tap][i][j][e];
          }
  } while (step < count);
}

constexpr int kSumThreads = 256;

// to[place of e] (+)= sum over parts, 16 at a time summed apart, of partial[part][e]; e = (row, middle, column), stored
// as it is or, `exchanged`, as (column, middle, row). Block: 256, one thread per element, grid-stride, no shared
// memory; moves 4 * parts bytes in and 4 out. Order: parts ascending. Real is what it adds up in: for short sums
// (kernels/short_sums.h) double.
template <class Real>
__global__ void __launch_bounds__(kSumThreads)
    mma_grad_sum_kernel(const float* __restrict__ partial, float* __restrict__ to, int parts, int64_t elements,
                        int middle, int columns, bool exchanged, bool accumulate) {
  const int64_t rows = elements / middle / columns;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * kSumThreads + threadIdx.x; e < elements;
       e += static_cast<int64_t>(gridDim.x) * kSumThreads) {
    Real sum = 0;
    for (int first = 0; first < parts; first += 16) {
      Real apart = 0;
      for (int part = first; part < min(first + 16, parts); ++part)
        apart += static_cast<Real>(partial[part * elements + e]);
      sum += apart;
    }
    const int64_t row = e / columns / middle,
                  at = exchanged ? (e % columns * middle + e / columns % middle) * rows + row : e;
    to[at] = static_cast<float>(accumulate ? static_cast<Real>(to[at]) + sum : sum);
  }
}

template <class Real>
void launch_sum(gpu::Stream stream, const float* partial, float* to, int parts, int64_t elements, int middle,
                int columns, bool exchanged, bool accumulate) {
  const int64_t blocks = (elements + kSumThreads - 1) / kSumThreads;
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks < 65535 ? blocks : 65535)), dim3(kSumThreads), 0,
         mma_grad_sum_kernel<Real>, partial, to, parts, elements, middle, columns, exchanged, accumulate);
}

// partial[part][c] = sum over the part's pixels, of short sums one at most, of dy[pixel][c]: 8 rows of threads take
// every eighth pixel, in chains of at most pixels/2048 float32 additions, then their sums in order. Bytes: dy and
// partial once. Block: 32 channels x 8, 1 KB shared; grid: parts x tiles of 32 channels.
constexpr int kBiasRows = 8;
template <class T>
__global__ void __launch_bounds__(32 * kBiasRows)
    mma_grad_bias_kernel(const T* __restrict__ dy, float* __restrict__ partial, int64_t pixels, int channels,
                         int pitch) {
  SHARED_ARRAY(float, sums, [kBiasRows][32]);
  const int tiles = (channels + 31) / 32, part = static_cast<int>(blockIdx.x) / tiles,
            lane = static_cast<int>(threadIdx.x) & 31, row = static_cast<int>(threadIdx.x) >> 5;
  const int c = static_cast<int>(blockIdx.x) % tiles * 32 + lane;
  const int64_t per_part = (pixels + gpu::kMmaGradBiasParts - 1) / gpu::kMmaGradBiasParts,
                end = min((part + 1) * per_part, pixels);
  float outer = 0;  // of runs of 64, so that no chain is long
  for (int64_t pixel = part * per_part + row; pixel < end;) {
    float inner = 0;
    for (int i = 0; i < 64 && pixel < end; ++i, pixel += kBiasRows)
      inner += c < channels ? to_float(dy[pixel * pitch + c]) : 0;
    outer += inner;
  }
  sums[row][lane] = outer;
  __syncthreads();
  if (row > 0 || c >= channels) return;
  float sum = 0;
  for (int i = 0; i < kBiasRows; ++i) sum += sums[i][lane];
  partial[static_cast<int64_t>(part) * channels + c] = sum;
}

template <class T>
void launch_weight(gpu::Stream stream, const gpu::MmaConvGradWeight& g, const gpu::MmaGradSplit& split) {
  GradParams p{};
  for (int i = 0; i < 2; ++i)
    if (g.x[i]) p.x[i] = {g.x[i].data, g.x[i].c, g.x[i].pitch, (g.x[i].c + kTile - 1) / kTile};
  p.dy = g.dy.data, p.oc = g.dy.c, p.dy_pitch = g.dy.pitch, p.n = g.dy.n, p.h = g.x[0].h, p.w = g.x[0].w,
  p.out_h = g.dy.h, p.out_w = g.dy.w;
  p.kernel_h = g.kernel_h, p.kernel_w = g.kernel_w, p.stride = g.stride, p.pad_h = g.pad_h, p.pad_w = g.pad_w;
  p.tiles_x = (g.dy.w + kColumns - 1) / kColumns, p.tiles_y = (g.dy.h + kRows<T> - 1) / kRows<T>;
  p.parts = split.parts, p.tiles = split.tiles, p.tiles_per_part = split.tiles_per_part,
  p.partial = static_cast<float*>(g.workspace);
  const int taps = g.kernel_w == 1 ? 1 : 3;
  p.groups_w = (g.kernel_w + taps - 1) / taps;
  const int64_t blocks = static_cast<int64_t>((p.oc + kTile - 1) / kTile) * (p.x[0].tiles + p.x[1].tiles) * p.groups_w *
                         p.kernel_h * p.parts;
  require(blocks <= 0x7fffffff, "mma_conv_grad_weight: the gradient is too large for one launch");
  const size_t shared = gpu::mma_grad_weight_shared_bytes(g.dy.type, g.kernel_w, g.stride);
  if (blocks == 0) {
    // no pixels: the sum of no parts
  } else if (taps == 1)
    LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), shared, (mma_grad_weight_kernel<T, 1>), p);
  else
    LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), shared, (mma_grad_weight_kernel<T, 3>), p);
  const int ic = g.x[0].c + g.x[1].c, all_taps = g.kernel_h * g.kernel_w;
  launch_sum<float>(stream, p.partial, g.dw, p.parts, static_cast<int64_t>(p.oc) * all_taps * ic, all_taps, ic,
                    g.exchanged, g.accumulate);
}

void grad_weight(gpu::Stream stream, const gpu::MmaConvGradWeight& g) {
  require(g.x[0] && g.dy && g.dw != nullptr && g.workspace != nullptr, "mma_conv_grad_weight: an argument is missing");
  for (const gpu::ConstImage* i : {&g.x[0], &g.x[1], &g.dy})
    require(!*i || (i->type == g.dy.type && i->n == g.dy.n && i->pitch >= i->c &&
                    static_cast<size_t>(i->pitch) * size_of(i->type) % 16 == 0 && on_16_bytes(i->data)),
            "mma_conv_grad_weight: an image's type, count, pitch or first byte");
  require(!g.x[1] || (g.x[1].h == g.x[0].h && g.x[1].w == g.x[0].w),
          "mma_conv_grad_weight: the two sources differ in size");
  if (g.dy.c == 0 || g.x[0].c + g.x[1].c == 0) return;
  const gpu::MmaGradSplit split = gpu::mma_grad_weight_split(g);
  switch (g.dy.type) {
    case DType::f16: return launch_weight<f16>(stream, g, split);
    case DType::bf16: return launch_weight<bf16>(stream, g, split);
    default:
      require(g.dy.type == DType::f32, "mma_conv_grad_weight: type");
      return launch_weight<float>(stream, g, split);
  }
}

template <class T>
void launch_bias(gpu::Stream stream, const gpu::MmaGradBias& g) {
  const int tiles = (g.dy.c + 31) / 32;
  float* const partial = static_cast<float*>(g.workspace);
  LAUNCH(stream, dim3(static_cast<unsigned>(gpu::kMmaGradBiasParts * tiles)), dim3(32 * kBiasRows), 0,
         mma_grad_bias_kernel<T>, static_cast<const T*>(g.dy.data), partial, g.dy.pixels(), g.dy.c, g.dy.pitch);
  const auto sum = is_short_sum(g.dy.pixels()) ? launch_sum<double> : launch_sum<float>;
  sum(stream, partial, g.db, gpu::kMmaGradBiasParts, g.dy.c, 1, g.dy.c, false, g.accumulate);
}

void grad_bias(gpu::Stream stream, const gpu::MmaGradBias& g) {
  require(g.dy && g.db != nullptr && g.workspace != nullptr, "mma_grad_bias: an argument is missing");
  if (g.dy.c == 0) return;
  switch (g.dy.type) {
    case DType::f16: return launch_bias<f16>(stream, g);
    case DType::bf16: return launch_bias<bf16>(stream, g);
    default: require(g.dy.type == DType::f32, "mma_grad_bias: type"); return launch_bias<float>(stream, g);
  }
}

}  // namespace
}  // namespace furrow::SIMT_NS::tc

namespace furrow::SIMT_NS {

const gpu::MmaConvGradKernels mma_conv_grad_kernels{.weight = tc::grad_weight, .bias = tc::grad_bias};

}  // namespace furrow::SIMT_NS
