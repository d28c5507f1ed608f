// The mean of each image and channel, and its gradient (kernels/cuda/resample.h).
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/resample_launch.h"
#include "kernels/cuda/simt.h"
#include "kernels/short_sums.h"

namespace furrow::SIMT_NS {
namespace {

// Stage 1: sums of a chunk of one image's pixels, to workspace[image][chunk][c]. Reads x once, writes the sums. Block
// (x: channels; y: pixels), grid x over images and chunks, y over channels; 1024 * V bytes shared. Order: each thread
// its pixels ascending, then rows in a tree.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    chunk_sums_kernel(View<const T> x, int64_t chunk, int chunks, float* workspace) {
  SHARED_ARRAY(float, sums, [V][kPixelThreads]);
  const int channel = tile_channel<V>();
  const int64_t pixels = static_cast<int64_t>(x.h) * x.w, image = blockIdx.x / static_cast<unsigned>(chunks);
  const int64_t begin = blockIdx.x % static_cast<unsigned>(chunks) * chunk, end = min(begin + chunk, pixels);
  float sum[V] = {};
  for (int64_t pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
    float value[V];
    load_channels<V>(x, image * pixels + pixel, channel, value);
    SIMT_UNROLL for (int j = 0; j < V; ++j) sum[j] += value[j];
  }
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  SIMT_UNROLL for (int j = 0; j < V; ++j) sums[j][thread] = sum[j];
  for (unsigned rows = blockDim.y / 2; rows > 0; rows /= 2) {
    __syncthreads();
    if (threadIdx.y >= rows) continue;
    SIMT_UNROLL for (int j = 0; j < V; ++j) sums[j][thread] += sums[j][thread + rows * blockDim.x];
  }
  if (threadIdx.y != 0) return;
  for (int j = 0; j < V && channel + j < x.c; ++j)
    workspace[static_cast<int64_t>(blockIdx.x) * x.c + channel + j] = sums[j][thread];
}

// Stage 2: y[n,0,0,c] = the sum of the chunks, added in order in float64, divided by the pixels. Reads 4 bytes per
// chunk and channel, writes y. Grid: one thread per value of y, pads too, blocks of 256, no shared memory.
template <class T>
__global__ void __launch_bounds__(kPixelThreads)
    mean_finish_kernel(int chunks, const float* __restrict__ workspace, double pixels, View<T> y) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<int64_t>(y.n) * y.pitch) return;
  const int64_t image = i / y.pitch, channel = i % y.pitch;
  double sum = 0;
  if (channel < y.c)
    for (int64_t k = 0; k < chunks; ++k) sum += static_cast<double>(workspace[(image * chunks + k) * y.c + channel]);
  y.data[i] = from_float<T>(static_cast<float>(sum / pixels));
}

// The means of fewer than 49 pixels (kernels/short_sums.h): in float64, pixels ascending, rounded once. Reads x, writes
// y. Grid as mean_finish_kernel's.
template <class T>
__global__ void __launch_bounds__(kPixelThreads) short_mean_kernel(View<const T> x, View<T> y) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<int64_t>(y.n) * y.pitch) return;
  const int64_t pixels = static_cast<int64_t>(x.h) * x.w, first = i / y.pitch * pixels;
  const int channel = static_cast<int>(i % y.pitch);
  double sum = 0;
  if (channel < y.c)
    for (int64_t k = 0; k < pixels; ++k) sum += static_cast<double>(to_float(*x.at(first + k, channel)));
  y.data[i] = from_float<T>(static_cast<float>(sum / static_cast<double>(pixels)));
}

// dx[n,h,w,c] = or, with `accumulate`, += dy[n,0,0,c] / pixels. Reads dy (from a cache), writes dx. Grid: over_pixels
// of dx, no shared memory; no sums.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads) mean_grad_kernel(View<const T> dy, View<T> dx, bool accumulate) {
  const int64_t pixel = own_pixel();
  if (pixel >= dx.pixels()) return;
  const Place at = place_of(pixel, dx.h, dx.w);
  const float pixels = static_cast<float>(dx.h) * static_cast<float>(dx.w);
  for (int channel = own_channel<V>(); channel < dx.pitch; channel += channel_step<V>()) {
    float value[V];
    load_channels<V>(dy, at.n, channel, value);
    SIMT_UNROLL for (int j = 0; j < V; ++j) value[j] /= pixels;
    store_channels<V>(dx, pixel, channel, value, accumulate);
  }
}

void check(const gpu::ConstImage& x, const gpu::ConstImage& mean) {
  require(mean.n == x.n && mean.h == 1 && mean.w == 1 && mean.c == x.c, "global_mean: shapes");
}

}  // namespace

void global_mean(gpu::Stream stream, const gpu::MeanArgs& a) {
  check(a.x, a.y);
  if (is_empty(a.y)) return;
  require(!is_empty(a.x), "global_mean: the mean of no pixels");
  require(a.x && a.y, "global_mean: an image is missing");
  require(a.workspace != nullptr, "global_mean: no workspace");
  const int64_t pixels = static_cast<int64_t>(a.x.h) * a.x.w, chunk = gpu::global_mean_chunk(pixels),
                chunks = gpu::global_mean_chunks(pixels);
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const int64_t values = static_cast<int64_t>(a.y.n) * a.y.pitch;
    const dim3 grid(static_cast<unsigned>((values + kPixelThreads - 1) / kPixelThreads));
    if (is_short_sum(pixels)) {
      LAUNCH(stream, grid, dim3(kPixelThreads), 0, short_mean_kernel<T>, view<T>(a.x), view<T>(a.y));
      return;
    }
    const Launch launch = over_channels(a.x.n * chunks, a.x.c, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (chunk_sums_kernel<T, V>), view<T>(a.x), chunk,
           static_cast<int>(chunks), a.workspace);
    LAUNCH(stream, grid, dim3(kPixelThreads), 0, mean_finish_kernel<T>, static_cast<int>(chunks), a.workspace,
           static_cast<double>(pixels), view<T>(a.y));
  });
}

void global_mean_grad(gpu::Stream stream, const gpu::MeanGradArgs& a) {
  check(a.dx, a.dy);
  if (is_empty(a.dx)) return;
  require(a.dx && a.dy, "global_mean_grad: an image is missing");
  with_lanes({a.dy, a.dx}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.dx.pixels(), a.dx.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (mean_grad_kernel<T, V>), view<T>(a.dy), view<T>(a.dx), a.accumulate);
  });
}

}  // namespace furrow::SIMT_NS
