// Maxima of windows and their gradients (kernels/cuda/resample.h), which are rounded once (kernels/cuda/compensated.h).
#include "kernels/cuda/compensated.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/resample_index.h"
#include "kernels/cuda/resample_launch.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

// The largest value of a window and where it is, kSize*row + column: the first in row-major order, or the last NaN. The
// padding is not there: it never wins.
template <int kSize, int kPad, int V, class T>
SIMT_DEVICE void window_maximum(const View<const T>& x, int n, int oh, int ow, int channel, float (&largest)[V],
                                int (&place)[V]) {
  bool first = true;
  SIMT_UNROLL for (int i = 0; i < kSize; ++i) SIMT_UNROLL for (int j = 0; j < kSize; ++j) {
    const int h = PoolWindow<kSize, kPad>::begin(oh) + i, w = PoolWindow<kSize, kPad>::begin(ow) + j;
    if (h < 0 || w < 0 || h >= x.h || w >= x.w) continue;
    float value[V];
    load_channels<V>(x, x.pixel(n, h, w), channel, value);
    SIMT_UNROLL for (int k = 0; k < V; ++k) if (first || value[k] > largest[k] || isnan(value[k])) {
      largest[k] = value[k];
      place[k] = kSize * i + j;
    }
    first = false;
  }
}

// y = the maximum of each window. Reads x (3x3: from cache 9/4 times), writes y. Grid: over_pixels of y, no
// shared memory; no sums.
template <int kSize, int kPad, class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 2) pool_kernel(View<const T> x, View<T> y) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  const Place at = place_of(pixel, y.h, y.w);
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float largest[V] = {};
    int place[V] = {};
    window_maximum<kSize, kPad, V>(x, at.n, at.y, at.x, channel, largest, place);
    store_channels<V>(y, pixel, channel, largest);
  }
}

// dx = the sum of what is there with `accumulate` and of dy over the windows whose maximum the pixel is, by rows, then
// columns. Reads x (each window anew for each of its pixels, from cache), dy, writes dx. Grid: over_pixels of dx,
// no shared memory.
template <int kSize, int kPad, class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 2)
    pool_grad_kernel(View<const T> x, View<const T> dy, View<T> dx, bool accumulate) {
  using Over = PoolWindow<kSize, kPad>;
  const int64_t pixel = own_pixel();
  if (pixel >= dx.pixels()) return;
  const Place at = place_of(pixel, dx.h, dx.w);
  const int last_row = min(Over::last_over(at.y), dy.h - 1), last_column = min(Over::last_over(at.x), dy.w - 1);
  for (int channel = own_channel<V>(); channel < dx.pitch; channel += channel_step<V>()) {
    Sum<T> sum[V] = {};
    float result[V] = {};
    if (accumulate) {
      load_channels<V>(View<const T>{dx.data, dx.n, dx.h, dx.w, dx.c, dx.pitch}, pixel, channel, result);
      SIMT_UNROLL for (int j = 0; j < V; ++j) add(sum[j], result[j]);
    }
    for (int oh = Over::first_over(at.y); oh <= last_row; ++oh)
      for (int ow = Over::first_over(at.x); ow <= last_column; ++ow) {
        float largest[V] = {}, gradient[V];
        int place[V] = {};
        window_maximum<kSize, kPad, V>(x, at.n, oh, ow, channel, largest, place);
        load_channels<V>(dy, dy.pixel(at.n, oh, ow), channel, gradient);
        const int own = kSize * (at.y - Over::begin(oh)) + at.x - Over::begin(ow);
        SIMT_UNROLL for (int j = 0; j < V; ++j) if (place[j] == own) add(sum[j], gradient[j]);
      }
    SIMT_UNROLL for (int j = 0; j < V; ++j) result[j] = rounded(sum[j]);
    store_channels<V>(dx, pixel, channel, result);
  }
}

template <int kSize, int kPad>
void check_pool(const gpu::ConstImage& x, const gpu::ConstImage& y) {
  using Over = PoolWindow<kSize, kPad>;
  require(y.n == x.n && y.h == Over::count(x.h) && y.w == Over::count(x.w) && y.c == x.c, "max_pool: shapes");
}

template <int kSize, int kPad>
void pool(gpu::Stream stream, const gpu::PoolArgs& a) {
  check_pool<kSize, kPad>(a.x, a.y);
  if (is_empty(a.y)) return;
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.y.pixels(), a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (pool_kernel<kSize, kPad, T, V>), view<T>(a.x), view<T>(a.y));
  });
}

template <int kSize, int kPad>
void pool_grad(gpu::Stream stream, const gpu::PoolGradArgs& a) {
  check_pool<kSize, kPad>(a.x, a.dy);
  require(same_extent(a.x, a.dx), "max_pool_grad: dx is not like x");
  if (is_empty(a.dx)) return;
  require(static_cast<bool>(a.dx), "max_pool_grad: no result");
  with_lanes({a.x, a.dy, a.dx}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.dx.pixels(), a.dx.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (pool_grad_kernel<kSize, kPad, T, V>), view<T>(a.x), view<T>(a.dy),
           view<T>(a.dx), a.accumulate);
  });
}

}  // namespace

void pool2x2(gpu::Stream stream, const gpu::PoolArgs& a) { pool<2, 0>(stream, a); }
void pool2x2_grad(gpu::Stream stream, const gpu::PoolGradArgs& a) { pool_grad<2, 0>(stream, a); }
void pool3x3(gpu::Stream stream, const gpu::PoolArgs& a) { pool<3, 1>(stream, a); }
void pool3x3_grad(gpu::Stream stream, const gpu::PoolGradArgs& a) { pool_grad<3, 1>(stream, a); }

}  // namespace furrow::SIMT_NS
