// The gradient of batch normalisation (kernels/cuda/batch_norm.h): sums per channel, then dx.
#include "kernels/cuda/batch_norm_parts.h"

namespace furrow::SIMT_NS {
namespace {

// dy of V channels of a pixel, zero where the ReLU had cut; x of the same channels is at hand.
template <int V, class T>
SIMT_DEVICE void load_masked(const View<const T>& dy, const View<const T>& y, gpu::ReluMask mask, const Own<V>& own,
                             const float (&x)[V], int64_t pixel, int channel, float (&to)[V]) {
  load_channels<V>(dy, pixel, channel, to);
  if (mask == gpu::ReluMask::none) return;
  float result[V];
  if (mask == gpu::ReluMask::from_y)
    load_channels<V>(y, pixel, channel, result);
  else
    SIMT_UNROLL for (int j = 0; j < V; ++j) result[j] = own.normalised(x[j], j);
  SIMT_UNROLL for (int j = 0; j < V; ++j) if (result[j] <= 0) to[j] = 0;
}

// Stage 1 of the gradient: sums of dy and of dy*(x-mean) over a chunk, to workspace[chunk][0 or 1][c]. Reads x, dy and
// perhaps y, writes 8 bytes per chunk and channel. Grid x over chunks; 8 * 256 * V bytes shared. Order: each thread its
// pixels ascending, then rows in a tree.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    grad_sums_kernel(View<const T> x, View<const T> dy, View<const T> y, Vectors vectors, gpu::ReluMask mask,
                     int64_t chunk, float* workspace) {
  SHARED_ARRAY(float, sums, [2][V][kPixelThreads]);
  const int channel = tile_channel<V>();
  const Own<V> own(vectors, channel, x.c);
  const int64_t begin = blockIdx.x * chunk, end = min(begin + chunk, x.pixels());
  float sum[V] = {}, product[V] = {};
  for (int64_t pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
    float value[V], gradient[V];
    load_channels<V>(x, pixel, channel, value);
    load_masked<V>(dy, y, mask, own, value, pixel, channel, gradient);
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      sum[j] += gradient[j];
      product[j] = fmaf(gradient[j], value[j] - own.mean[j], product[j]);
    }
  }
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  SIMT_UNROLL for (int j = 0; j < V; ++j) {
    sums[0][j][thread] = sum[j];
    sums[1][j][thread] = product[j];
  }
  for (unsigned rows = blockDim.y / 2; rows > 0; rows /= 2) {
    __syncthreads();
    if (threadIdx.y >= rows) continue;
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      sums[0][j][thread] += sums[0][j][thread + rows * blockDim.x];
      sums[1][j][thread] += sums[1][j][thread + rows * blockDim.x];
    }
  }
  if (threadIdx.y != 0) return;
  for (int j = 0; j < V && channel + j < x.c; ++j) {
    workspace[2 * blockIdx.x * static_cast<int64_t>(x.c) + channel + j] = sums[0][j][thread];
    workspace[(2 * blockIdx.x + 1) * static_cast<int64_t>(x.c) + channel + j] = sums[1][j][thread];
  }
}

struct GradResults {
  float *sums, *dgamma, *dbeta;
  bool accumulate;
};

// The sums of a channel, `product` still without rstd.
SIMT_DEVICE void write_sums(const GradResults& to, int64_t channel, int64_t c, double sum, double product, float rstd) {
  product *= static_cast<double>(rstd);
  to.sums[channel] = static_cast<float>(sum);
  to.sums[c + channel] = static_cast<float>(product);
  if (to.dbeta != nullptr)
    to.dbeta[channel] = static_cast<float>(to.accumulate ? static_cast<double>(to.dbeta[channel]) + sum : sum);
  if (to.dgamma != nullptr)
    to.dgamma[channel] =
        static_cast<float>(to.accumulate ? static_cast<double>(to.dgamma[channel]) + product : product);
}

// Both sums of a channel over fewer than 49 pixels, in float64; `product` still without rstd.
struct ShortSums {
  double sum, product;
};
template <class T>
SIMT_DEVICE ShortSums short_sums(const View<const T>& x, const View<const T>& dy, const View<const T>& y,
                                 const Own<1>& own, gpu::ReluMask mask, int channel) {
  ShortSums sums{0, 0};
  for (int64_t pixel = 0; pixel < x.pixels(); ++pixel) {
    float value[1], gradient[1];
    load_channels<1>(x, pixel, channel, value);
    load_masked<1>(dy, y, mask, own, value, pixel, channel, gradient);
    const double d = static_cast<double>(gradient[0]);
    sums.sum += d;
    sums.product += d * (static_cast<double>(value[0]) - static_cast<double>(own.mean[0]));
  }
  return sums;
}

// Both stages for fewer than 49 pixels (kernels/short_sums.h): of a channel sums[0] = sum of dy, sums[1] = rstd * sum
// of dy*(x-mean); dbeta and dgamma, where wanted, = or += these. Reads x, dy and perhaps y once, the channel's vectors,
// and writes 8 bytes per channel, 16 with the gradients. Grid: one thread per channel, blocks of 256, no shared memory.
// Order: pixels ascending, in float64, each sum rounded once.
template <class T>
__global__ void __launch_bounds__(kPixelThreads)
    short_grad_sums_kernel(View<const T> x, View<const T> dy, View<const T> y, Vectors vectors, gpu::ReluMask mask,
                           GradResults to) {
  const int channel = static_cast<int>(blockIdx.x * kPixelThreads + threadIdx.x);
  if (channel >= x.c) return;
  const Own<1> own(vectors, channel, x.c);
  const ShortSums sums = short_sums(x, dy, y, own, mask, channel);
  write_sums(to, channel, x.c, sums.sum, sums.product, own.rstd[0]);
}

// Stage 2: adds the chunks of a channel in float64, and leaves what short_grad_sums_kernel does. Reads 8 bytes per
// chunk and channel, writes 8 per channel, 16 with the gradients. Grid: channels / 32, block 32 channels x 8 rows, 4 KB
// shared. Order: row r adds chunks r, r+8, ..., then row 0 all rows in order.
__global__ void __launch_bounds__(kFinishChannels* kFinishRows)
    grad_finish_kernel(int64_t c, int chunks, const float* __restrict__ workspace, Vectors vectors, GradResults to) {
  SHARED_ARRAY(double, sums, [2][kFinishRows][kFinishChannels]);
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kFinishChannels + threadIdx.x;
  double sum = 0, product = 0;
  if (channel < c)
    for (int64_t k = threadIdx.y; k < chunks; k += kFinishRows) {
      sum += static_cast<double>(workspace[2 * k * c + channel]);
      product += static_cast<double>(workspace[(2 * k + 1) * c + channel]);
    }
  sums[0][threadIdx.y][threadIdx.x] = sum;
  sums[1][threadIdx.y][threadIdx.x] = product;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= c) return;
  for (int row = 1; row < kFinishRows; ++row) {
    sum += sums[0][row][threadIdx.x];
    product += sums[1][row][threadIdx.x];
  }
  const Own<1> own(vectors, static_cast<int>(channel), static_cast<int>(c));
  write_sums(to, channel, c, sum, product, own.rstd[0]);
}

// dx of fewer than 49 pixels, pads included, by grad_apply_kernel's formula: in float64, from sums computed anew, as
// those at hand are rounded; unless they are `shared`. Reads x, dy and perhaps y twice (the second time from a cache),
// writes dx. Grid: one thread per channel of the pitch, blocks of 256, no shared memory. Order: short_sums, rounded
// once.
template <class T>
__global__ void __launch_bounds__(kPixelThreads)
    short_grad_apply_kernel(View<const T> x, View<const T> dy, View<const T> y, View<T> dx, Vectors vectors,
                            gpu::ReluMask mask, const float* __restrict__ sums, bool shared, bool accumulate) {
  const int channel = static_cast<int>(blockIdx.x * kPixelThreads + threadIdx.x);
  if (channel >= dx.pitch) return;
  const Own<1> own(vectors, channel, dx.c);
  const bool inside = channel < dx.c;
  const double M = static_cast<double>(dx.pixels()), rstd = static_cast<double>(own.rstd[0]);
  const double scale = inside ? static_cast<double>(vectors.gamma[channel]) * rstd : 0;
  double level = 0, slope = 0;
  if (sums != nullptr && inside) {
    ShortSums all{static_cast<double>(sums[channel]), static_cast<double>(sums[dx.c + channel])};
    if (!shared) {
      all = short_sums(x, dy, y, own, mask, channel);
      all.product *= rstd;
    }
    level = all.sum / M;
    slope = rstd * all.product / M;
  }
  for (int64_t pixel = 0; pixel < dx.pixels(); ++pixel) {
    float value[1], gradient[1];
    load_channels<1>(x, pixel, channel, value);
    load_masked<1>(dy, y, mask, own, value, pixel, channel, gradient);
    const double distance = static_cast<double>(value[0]) - static_cast<double>(own.mean[0]);
    double result = inside ? scale * (static_cast<double>(gradient[0]) - level - distance * slope) : 0;
    if (accumulate && inside) result += static_cast<double>(to_float(*dx.at(pixel, channel)));
    *dx.at(pixel, channel) = from_float<T>(static_cast<float>(result));
  }
}

// dx = gamma*rstd*(dy - sums[0]/M - xh*sums[1]/M); without sums gamma*rstd*dy; xh = (x-mean)*rstd. Reads x, dy and
// perhaps y, writes dx. Grid as apply_kernel's, no shared memory; no sums.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    grad_apply_kernel(View<const T> x, View<const T> dy, View<const T> y, View<T> dx, Vectors vectors,
                      gpu::ReluMask mask, const float* __restrict__ sums, bool accumulate) {
  const int channel = tile_channel<V>();
  if (channel >= dx.pitch) return;
  const Own<V> own(vectors, channel, dx.c);
  float dy_mean[V] = {}, slope[V] = {};  // sums[0]/M, rstd*sums[1]/M
  const float share = 1.0f / static_cast<float>(dx.pixels());
  SIMT_UNROLL for (int j = 0; j < V; ++j) if (sums != nullptr && channel + j < dx.c) {
    dy_mean[j] = sums[channel + j] * share;
    slope[j] = own.rstd[j] * sums[dx.c + channel + j] * share;
  }
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y * kApplyPixels + threadIdx.y;
  for (int k = 0; k < kApplyPixels; ++k) {
    const int64_t pixel = first + k * static_cast<int64_t>(blockDim.y);
    if (pixel >= dx.pixels()) return;
    float value[V], gradient[V];
    load_channels<V>(x, pixel, channel, value);
    load_masked<V>(dy, y, mask, own, value, pixel, channel, gradient);
    SIMT_UNROLL for (int j = 0; j < V; ++j) gradient[j] =
        sums == nullptr ? own.scale[j] * gradient[j]
                        : own.scale[j] * (gradient[j] - dy_mean[j] - (value[j] - own.mean[j]) * slope[j]);
    store_channels<V>(dx, pixel, channel, gradient, accumulate);
  }
}

void check_grad(const gpu::BatchNormGradArgs& a) {
  check(a.with);
  require(same_extent(a.x, a.dy), "batch_norm_grad: shapes");
  require(a.mask != gpu::ReluMask::from_y || (a.y && same_extent(a.x, a.y)), "batch_norm_grad: a mask from y needs y");
  require(a.mask != gpu::ReluMask::from_x || a.with.beta != nullptr, "batch_norm_grad: a mask from x needs beta");
}
gpu::ConstImage mask_source(const gpu::BatchNormGradArgs& a) {
  return a.mask == gpu::ReluMask::from_y ? a.y : gpu::ConstImage{};
}

}  // namespace

void batch_norm_grad_reduce(gpu::Stream stream, const gpu::BatchNormGradArgs& a) {
  check_grad(a);
  require(a.sums != nullptr && a.workspace != nullptr, "batch_norm_grad: vectors");
  require(!is_empty(a.x), "batch_norm_grad: an image without values has no statistics");
  const int64_t M = a.x.pixels(), chunk = gpu::batch_norm_chunk(M, a.x.c), chunks = gpu::batch_norm_chunks(M, a.x.c);
  const GradResults to{a.sums, a.dgamma, a.dbeta, a.accumulate_vectors};
  with_lanes({a.x, a.dy, mask_source(a)}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    if (is_short_sum(M)) {
      LAUNCH(stream, dim3(channel_blocks(a.x.c)), dim3(kPixelThreads), 0, short_grad_sums_kernel<T>, view<T>(a.x),
             view<T>(a.dy), view<T>(mask_source(a)), vectors_of(a.with), a.mask, to);
      return;
    }
    const Launch launch = over_channels(chunks, a.x.c, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (grad_sums_kernel<T, V>), view<T>(a.x), view<T>(a.dy),
           view<T>(mask_source(a)), vectors_of(a.with), a.mask, chunk, a.workspace);
    LAUNCH(stream, dim3(finish_blocks(a.x.c)), dim3(kFinishChannels, kFinishRows), 0, grad_finish_kernel, a.x.c,
           static_cast<int>(chunks), a.workspace, vectors_of(a.with), to);
  });
}

void batch_norm_grad_apply(gpu::Stream stream, const gpu::BatchNormGradArgs& a) {
  check_grad(a);
  require(same_extent(a.x, a.dx), "batch_norm_grad: shapes");
  if (is_empty(a.dx)) return;
  require(a.dx && (a.fixed_stats || a.sums != nullptr), "batch_norm_grad: dx or the sums are missing");
  with_lanes({a.x, a.dy, mask_source(a), a.dx}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const float* const sums = a.fixed_stats ? nullptr : a.sums;
    if (is_short_sum(a.dx.pixels())) {
      LAUNCH(stream, dim3(channel_blocks(a.dx.pitch)), dim3(kPixelThreads), 0, short_grad_apply_kernel<T>, view<T>(a.x),
             view<T>(a.dy), view<T>(mask_source(a)), view<T>(a.dx), vectors_of(a.with), a.mask, sums, a.shared_sums,
             a.accumulate_dx);
      return;
    }
    Launch launch = over_channels(1, a.dx.pitch, V);
    const int64_t per_block = static_cast<int64_t>(launch.block.y) * kApplyPixels;
    launch = over_channels((a.dx.pixels() + per_block - 1) / per_block, a.dx.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (grad_apply_kernel<T, V>), view<T>(a.x), view<T>(a.dy),
           view<T>(mask_source(a)), view<T>(a.dx), vectors_of(a.with), a.mask, sums, a.accumulate_dx);
  });
}

}  // namespace furrow::SIMT_NS
