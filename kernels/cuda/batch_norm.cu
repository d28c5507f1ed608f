// Batch normalisation per channel (kernels/cuda/batch_norm.h): statistics and apply, and the family's table.
#include "kernels/cuda/batch_norm_parts.h"
#include "kernels/cuda/compensated.h"

namespace furrow::SIMT_NS {
namespace {

// Count, mean and sum of squared distances from the mean of some values; merge is Chan, Golub and LeVeque's (1983).
template <class Real>
struct Moments {
  Real count, mean, m2;
  SIMT_BOTH void merge(const Moments& other) {
    if (other.count == 0) return;
    const Real total = count + other.count, distance = other.mean - mean, share = other.count / total;
    mean += distance * share;
    m2 += other.m2 + distance * distance * count * share;
    count = total;
  }
};

// Whether the mean is that of a compensated sum: for results of 16 bits the mean of the differences is enough.
template <class T>
constexpr bool kSums = std::is_same_v<T, float>;

// Stage 1 of the statistics: for each chunk of pixels and channel, mean and m2 of x - x(first pixel) and, of float32,
// the sum of x as a pair (kernels/cuda/compensated.h), to workspace[chunk][0 to 3][c]. The shift makes the differences
// small where the mean is large against the deviation, and Welford's recurrence (1962) needs no square of a sum: nothing
// cancels. But differences are rounded to a part of x, not of a mean near 0, so the mean itself comes from the sum.
// Reads x once, writes 8 bytes per chunk and channel, of float32 16. Grid x over chunks; 8 * 256 * V + 1024 bytes
// shared, of float32 8 * 256 * V more. Order: each thread its pixels ascending, then rows in a tree.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads) stats_kernel(View<const T> x, int64_t chunk, float* workspace) {
  SHARED_ARRAY(float, counts, [kPixelThreads]);
  SHARED_ARRAY(float, means, [V][kPixelThreads]);
  SHARED_ARRAY(float, m2s, [V][kPixelThreads]);
  constexpr int kSummed = kSums<T> ? V : 0, kRows = kSums<T> ? V : 1;
  SHARED_ARRAY(float, highs, [kRows][kPixelThreads]);
  SHARED_ARRAY(float, lows, [kRows][kPixelThreads]);
  const int channel = tile_channel<V>();
  const int64_t begin = blockIdx.x * chunk, end = min(begin + chunk, x.pixels());
  float shift[V], mean[V] = {}, m2[V] = {}, count = 0;
  Pair sum[V];
  load_channels<V>(x, 0, channel, shift);
  for (int64_t pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
    float value[V];
    load_channels<V>(x, pixel, channel, value);
    count += 1;
    const float share = 1.0f / count;
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      const float shifted = value[j] - shift[j], distance = shifted - mean[j];
      mean[j] = fmaf(distance, share, mean[j]);
      m2[j] = fmaf(distance, shifted - mean[j], m2[j]);
      if (j < kSummed) add(sum[j], value[j]);
    }
  }
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  counts[thread] = count;
  SIMT_UNROLL for (int j = 0; j < V; ++j) {
    means[j][thread] = mean[j];
    m2s[j][thread] = m2[j];
    if (j >= kSummed) continue;
    highs[j][thread] = sum[j].high;
    lows[j][thread] = sum[j].low;
  }
  for (unsigned rows = blockDim.y / 2; rows > 0; rows /= 2) {
    __syncthreads();
    if (threadIdx.y >= rows) continue;
    const unsigned other = thread + rows * blockDim.x;
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      Moments<float> own{counts[thread], means[j][thread], m2s[j][thread]};
      own.merge({counts[other], means[j][other], m2s[j][other]});
      means[j][thread] = own.mean;
      m2s[j][thread] = own.m2;
      if (j >= kSummed) continue;
      add(sum[j], Pair{highs[j][other], lows[j][other]});
      highs[j][thread] = sum[j].high;
      lows[j][thread] = sum[j].low;
    }
    counts[thread] += counts[other];
  }
  if (threadIdx.y != 0) return;
  for (int j = 0; j < V && channel + j < x.c; ++j) {
    float* to = workspace + 4 * blockIdx.x * static_cast<int64_t>(x.c) + channel + j;
    to[0] = means[j][thread];
    to[x.c] = m2s[j][thread];
    if (j >= kSummed) continue;
    to[2 * static_cast<int64_t>(x.c)] = highs[j][thread];
    to[3 * static_cast<int64_t>(x.c)] = lows[j][thread];
  }
}

struct StatsResults {
  float *mean, *rstd, *running_mean, *running_var;
  double eps, momentum;
};

// Writes the statistics of a channel and moves its running ones.
SIMT_DEVICE void write_stats(const StatsResults& to, int64_t channel, double count, double mean, double m2) {
  to.mean[channel] = static_cast<float>(mean);
  to.rstd[channel] = static_cast<float>(1 / sqrt(m2 / count + to.eps));
  if (to.running_mean == nullptr) return;
  to.running_mean[channel] =
      static_cast<float>((1 - to.momentum) * static_cast<double>(to.running_mean[channel]) + to.momentum * mean);
  to.running_var[channel] = static_cast<float>((1 - to.momentum) * static_cast<double>(to.running_var[channel]) +
                                               to.momentum * (m2 / (count - 1)));
}

// Statistics of fewer than 49 pixels (kernels/short_sums.h), both stages: the mean, then m2 = sum of (x - mean)^2, in
// float64, each rounded once. Reads x twice (the second time from a cache), writes 8 bytes per channel, with running
// statistics 16. Grid: one thread per channel, blocks of 256, no shared memory. Order: pixels ascending.
template <class T>
__global__ void __launch_bounds__(kPixelThreads) short_stats_kernel(View<const T> x, StatsResults to) {
  const int channel = static_cast<int>(blockIdx.x * kPixelThreads + threadIdx.x);
  if (channel >= x.c) return;
  const auto at = [&](int64_t pixel) { return static_cast<double>(to_float(*x.at(pixel, channel))); };
  const double count = static_cast<double>(x.pixels());
  double mean = 0, m2 = 0;
  for (int64_t pixel = 0; pixel < x.pixels(); ++pixel) mean += at(pixel);
  mean /= count;
  for (int64_t pixel = 0; pixel < x.pixels(); ++pixel) {
    const double distance = at(pixel) - mean;
    m2 += distance * distance;
  }
  write_stats(to, channel, count, mean, m2);
}

// Stage 2: merges the chunks of a channel in float64, writes mean and rstd and moves the running statistics. Block 32
// channels x 8 rows, grid: channels / 32, 8 KB shared. Order: row r merges chunks r, r+8, ..., then row 0 all rows in
// order. Reads 8 bytes per chunk and channel, of float32 16, and writes 8 per channel, with running statistics 16. A
// sum beyond float32's range is no number: the mean is that of the differences then.
template <class T>
__global__ void __launch_bounds__(kFinishChannels* kFinishRows, 2)
    stats_finish_kernel(View<const T> x, int64_t chunk, int chunks, const float* __restrict__ workspace,
                        StatsResults to) {
  SHARED_ARRAY(double, counts, [kFinishRows][kFinishChannels]);
  SHARED_ARRAY(double, means, [kFinishRows][kFinishChannels]);
  SHARED_ARRAY(double, m2s, [kFinishRows][kFinishChannels]);
  SHARED_ARRAY(double, sums, [kFinishRows][kFinishChannels]);
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kFinishChannels + threadIdx.x, c = x.c;
  Moments<double> all{0, 0, 0};
  double sum = 0;
  if (channel < c)
    for (int64_t k = threadIdx.y; k < chunks; k += kFinishRows) {
      const int64_t pixels = min(chunk, x.pixels() - k * chunk);
      const float* from = workspace + 4 * k * c + channel;
      all.merge({static_cast<double>(pixels), from[0], from[c]});
      if (kSums<T>) sum += static_cast<double>(from[2 * c]) + static_cast<double>(from[3 * c]);
    }
  counts[threadIdx.y][threadIdx.x] = all.count;
  means[threadIdx.y][threadIdx.x] = all.mean;
  m2s[threadIdx.y][threadIdx.x] = all.m2;
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= c) return;
  for (int row = 1; row < kFinishRows; ++row) {
    all.merge({counts[row][threadIdx.x], means[row][threadIdx.x], m2s[row][threadIdx.x]});
    sum += sums[row][threadIdx.x];
  }
  const double shifted = all.mean + static_cast<double>(to_float(*x.at(0, static_cast<int>(channel))));
  write_stats(to, channel, all.count, kSums<T> && isfinite(sum) ? sum / all.count : shifted, all.m2);
}

// y = relu?(gamma * (x - mean) * rstd + beta). Reads x, writes y. Grid x over groups of kApplyPixels * blockDim.y
// pixels, no shared memory; no sums. The launch's second bound, blocks of a processor: without it ptxas spills on
// sm_120 to make room for one more.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 4)
    apply_kernel(View<const T> x, View<T> y, Vectors vectors, bool relu) {
  const int channel = tile_channel<V>();
  if (channel >= y.pitch) return;
  const Own<V> own(vectors, channel, y.c);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y * kApplyPixels + threadIdx.y;
  for (int k = 0; k < kApplyPixels; ++k) {
    const int64_t pixel = first + k * static_cast<int64_t>(blockDim.y);
    if (pixel >= y.pixels()) return;
    float value[V];
    load_channels<V>(x, pixel, channel, value);
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      value[j] = own.normalised(value[j], j);
      if (relu && value[j] <= 0) value[j] = 0;
    }
    store_channels<V>(y, pixel, channel, value);
  }
}

void stats(gpu::Stream stream, const gpu::BatchNormStatsArgs& a) {
  const int64_t M = a.x.pixels(), chunk = gpu::batch_norm_chunk(M, a.x.c), chunks = gpu::batch_norm_chunks(M, a.x.c);
  require(M > 1, "batch_norm: one value per channel has no variance");
  require(a.mean != nullptr && a.rstd != nullptr && a.workspace != nullptr, "batch_norm: vectors");
  require((a.running_mean == nullptr) == (a.running_var == nullptr), "batch_norm: one running statistic alone");
  with_lanes({a.x}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const StatsResults to{a.mean, a.rstd, a.running_mean, a.running_var, a.eps, a.momentum};
    if (is_short_sum(M)) {
      LAUNCH(stream, dim3(channel_blocks(a.x.c)), dim3(kPixelThreads), 0, short_stats_kernel<T>, view<T>(a.x), to);
      return;
    }
    const Launch launch = over_channels(chunks, a.x.c, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (stats_kernel<T, V>), view<T>(a.x), chunk, a.workspace);
    LAUNCH(stream, dim3(finish_blocks(a.x.c)), dim3(kFinishChannels, kFinishRows), 0, stats_finish_kernel<T>,
           view<T>(a.x), chunk, static_cast<int>(chunks), a.workspace, to);
  });
}

void apply(gpu::Stream stream, const gpu::BatchNormApplyArgs& a) {
  check(a.with);
  require(a.with.beta != nullptr && same_extent(a.x, a.y), "batch_norm: shapes");
  if (is_empty(a.y)) return;
  require(static_cast<bool>(a.y), "batch_norm: no result");
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    Launch launch = over_channels(1, a.y.pitch, V);
    const int64_t per_block = static_cast<int64_t>(launch.block.y) * kApplyPixels;
    launch = over_channels((a.y.pixels() + per_block - 1) / per_block, a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (apply_kernel<T, V>), view<T>(a.x), view<T>(a.y), vectors_of(a.with),
           a.relu);
  });
}

}  // namespace

const gpu::BatchNormKernels batch_norm_kernels{
    .stats = stats, .apply = apply, .grad_reduce = batch_norm_grad_reduce, .grad_apply = batch_norm_grad_apply};

}  // namespace furrow::SIMT_NS
