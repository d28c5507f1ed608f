// Channel attention and its gradient (kernels/cuda/elementwise.h).
#include "kernels/cuda/elementwise_launch.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/resample.h"
#include "kernels/cuda/sigmoid.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kPixelsPerThread = 8;  // of the forward kernel: so often is a sigmoid used

// The sigmoids of V channels of an image; of no meaning from channel c on, where x is 0.
template <class T, int V>
SIMT_DEVICE void load_openings(const View<const T>& logits, int64_t image, int channel, float (&to)[V]) {
  load_channels<V>(logits, image, channel, to);
  SIMT_UNROLL for (int j = 0; j < V; ++j) to[j] = stable_sigmoid(to[j]);
}

// y[n,h,w,c] = x[n,h,w,c] * sigmoid(logits[n,0,0,c]) + residual[n,h,w,c], that where it has data. x, y, residual
// {N,H,W,C}, logits {N,1,1,C}. Reads x, the residual and the logits (from a cache) once, writes y. Block (x: channels;
// y: pixels) of 256 threads, grid x over images and chunks of kPixelsPerThread * blockDim.y pixels, y over channels of
// the pitch; no shared memory. No sums but the one addition, in float32; one rounding of the storage type.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    channel_gate_kernel(View<const T> x, View<const T> logits, View<const T> residual, View<T> y, int chunks) {
  const int channel = tile_channel<V>();
  if (channel >= y.pitch) return;
  const int64_t pixels = static_cast<int64_t>(y.h) * y.w, image = blockIdx.x / static_cast<unsigned>(chunks);
  const int64_t chunk = static_cast<int64_t>(kPixelsPerThread) * blockDim.y;
  const int64_t begin = blockIdx.x % static_cast<unsigned>(chunks) * chunk, end = min(begin + chunk, pixels);
  float open[V];
  load_openings<T, V>(logits, image, channel, open);
  for (int64_t pixel = image * pixels + begin + threadIdx.y; pixel < image * pixels + end; pixel += blockDim.y) {
    float value[V], added[V] = {};
    load_channels<V>(x, pixel, channel, value);
    if (residual.data != nullptr) load_channels<V>(residual, pixel, channel, added);
    SIMT_UNROLL for (int j = 0; j < V; ++j) value[j] = value[j] * open[j] + added[j];
    store_channels<V>(y, pixel, channel, value);
  }
}

// Stage 1 of the gradient: dx = or, with `accumulate`, += dy * sigmoid(logits), where dx has data; and with kSums the
// sums of dy * x over a chunk of one image's pixels, to workspace[image][chunk][c]. Reads dy and, for the sums, x once,
// writes dx and 4 bytes per chunk and channel. Block (x: channels; y: pixels), grid x over images and chunks, y over
// channels; with kSums 1024 * V bytes shared. Order: each thread its pixels ascending, by fmaf, then rows in a tree.
template <class T, int V, bool kSums>
__global__ void __launch_bounds__(kPixelThreads)
    channel_gate_grad_kernel(View<const T> x, View<const T> logits, View<const T> dy, View<T> dx, bool accumulate,
                             int64_t chunk, int chunks, float* workspace) {
  const int channel = tile_channel<V>();
  const int64_t pixels = static_cast<int64_t>(dy.h) * dy.w, image = blockIdx.x / static_cast<unsigned>(chunks);
  const int64_t begin = blockIdx.x % static_cast<unsigned>(chunks) * chunk, end = min(begin + chunk, pixels);
  float open[V], sum[V] = {};
  load_openings<T, V>(logits, image, channel, open);
  for (int64_t pixel = image * pixels + begin + threadIdx.y; pixel < image * pixels + end; pixel += blockDim.y) {
    float value[V], gradient[V];
    load_channels<V>(dy, pixel, channel, gradient);
    if constexpr (kSums) {
      load_channels<V>(x, pixel, channel, value);
      SIMT_UNROLL for (int j = 0; j < V; ++j) sum[j] = fmaf(gradient[j], value[j], sum[j]);
    }
    SIMT_UNROLL for (int j = 0; j < V; ++j) gradient[j] *= open[j];
    if (channel < dx.pitch) store_channels<V>(dx, pixel, channel, gradient, accumulate);
  }
  if constexpr (kSums) {
    SHARED_ARRAY(float, sums, [V][kPixelThreads]);
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
}

// Stage 2: dlogits[n,0,0,c] = or, with `accumulate`, += s * (1-s) * the sum of the chunks, s the sigmoid of the logit.
// Reads 4 bytes per chunk and channel, writes dlogits. Grid: one thread per value of dlogits, pads too, blocks of 256,
// no shared memory. Order: chunks ascending, in float64, rounded once before the addition.
template <class T>
__global__ void __launch_bounds__(kPixelThreads)
    channel_gate_finish_kernel(View<const T> logits, int chunks, const float* __restrict__ workspace, View<T> dlogits,
                               bool accumulate) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<int64_t>(dlogits.n) * dlogits.pitch) return;
  const int64_t image = i / dlogits.pitch;
  const int channel = static_cast<int>(i % dlogits.pitch);
  float value[1] = {0};
  if (channel < dlogits.c) {
    double sum = 0;
    for (int64_t k = 0; k < chunks; ++k)
      sum += static_cast<double>(workspace[(image * chunks + k) * dlogits.c + channel]);
    value[0] = static_cast<float>(static_cast<double>(sigmoid_slope(to_float(*logits.at(image, channel)))) * sum);
  }
  store_channels<1>(dlogits, image, channel, value, accumulate);
}

bool gates_channels(const gpu::ConstImage& logits, const gpu::ConstImage& x) {
  return logits.n == x.n && logits.h == 1 && logits.w == 1 && logits.c == x.c && logits.type == x.type;
}

}  // namespace

void channel_gate(gpu::Stream stream, const gpu::ChannelGateArgs& a) {
  require(same_extent(a.x, a.y) && gates_channels(a.logits, a.x) && (!a.residual || same_extent(a.residual, a.x)),
          "channel_gate: shapes");
  if (is_empty(a.y)) return;
  require(a.x && a.logits && a.y, "channel_gate: an image is missing");
  with_lanes({a.x, a.logits, a.residual, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const int64_t pixels = static_cast<int64_t>(a.y.h) * a.y.w;
    const int64_t chunk = static_cast<int64_t>(kPixelsPerThread) * (kPixelThreads / channel_threads(a.y.pitch, V));
    const int64_t chunks = (pixels + chunk - 1) / chunk;
    const Launch launch = over_channels(a.y.n * chunks, a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (channel_gate_kernel<T, V>), view<T>(a.x), view<T>(a.logits),
           view<T>(a.residual), view<T>(a.y), static_cast<int>(chunks));
  });
}

void channel_gate_grad(gpu::Stream stream, const gpu::ChannelGateGradArgs& a) {
  require(same_extent(a.x, a.dy) && gates_channels(a.logits, a.x) && (!a.dx || same_extent(a.dx, a.x)) &&
              (!a.dlogits || gates_channels(a.dlogits, a.x)),
          "channel_gate_grad: shapes");
  if (is_empty(a.dx ? gpu::ConstImage(a.dx) : gpu::ConstImage(a.dlogits))) return;
  require(a.x && a.logits && a.dy, "channel_gate_grad: an image is missing");
  require(!is_empty(a.x), "channel_gate_grad: the sum over no pixels");
  require(!a.dlogits || a.workspace != nullptr, "channel_gate_grad: no workspace");
  const int64_t pixels = static_cast<int64_t>(a.x.h) * a.x.w, chunk = gpu::global_mean_chunk(pixels),
                chunks = gpu::global_mean_chunks(pixels);
  with_lanes({a.x, a.logits, a.dy, a.dx, a.dlogits}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_channels(a.x.n * chunks, a.dx ? a.dx.pitch : a.x.c, V);
    if (!a.dlogits) {
      LAUNCH(stream, launch.grid, launch.block, 0, (channel_gate_grad_kernel<T, V, false>), view<T>(a.x),
             view<T>(a.logits), view<T>(a.dy), view<T>(a.dx), a.accumulate_x, chunk, static_cast<int>(chunks), nullptr);
      return;
    }
    LAUNCH(stream, launch.grid, launch.block, 0, (channel_gate_grad_kernel<T, V, true>), view<T>(a.x),
           view<T>(a.logits), view<T>(a.dy), view<T>(a.dx), a.accumulate_x, chunk, static_cast<int>(chunks),
           a.workspace);
    const int64_t values = static_cast<int64_t>(a.dlogits.n) * a.dlogits.pitch;
    LAUNCH(stream, dim3(static_cast<unsigned>((values + kPixelThreads - 1) / kPixelThreads)), dim3(kPixelThreads), 0,
           channel_gate_finish_kernel<T>, view<T>(a.logits), static_cast<int>(chunks), a.workspace, view<T>(a.dlogits),
           a.accumulate_logits);
  });
}

}  // namespace furrow::SIMT_NS
