// Resizing and padding, their gradients, and the table of kernels/cuda/resample.h.
//
// Float32 images are resized by compensated sums (kernels/cuda/compensated.h): their sums are short and keep the bound
// of kernels/short_sums.h. Four terms are 44 operations of float32 beside 5 bytes of memory, where float64 would take a
// GPU that is slow at it longer than the memory.
//
// Every kernel: block (x: channels, at most 32; y: pixels) of 256 threads, grid x over the pixels of its result, no
// shared memory.
#include "kernels/cuda/compensated.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/resample.h"
#include "kernels/cuda/resample_index.h"
#include "kernels/cuda/resample_launch.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

// The resized picture: lines both ways, and its place in the frame.
struct Placement {
  Lines rows, columns;
  int top, left;
};
template <class Args>
Placement placement_of(const Args& a, const gpu::ConstImage& x) {
  return {lines_of(a.rule, x.h, a.h), lines_of(a.rule, x.w, a.w), a.top, a.left};
}

// y[oh+top][ow+left] = the mix of four pixels of x: (1-f)*low + f*high along rows and columns. Reads x (neighbours
// again from cache), writes y. Order: the four in row-major order.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 2) resize_kernel(View<const T> x, View<T> y, Placement placement) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  const Place at = place_of(pixel, y.h, y.w);
  const int64_t oh = static_cast<int64_t>(at.y) - placement.top, ow = static_cast<int64_t>(at.x) - placement.left;
  const bool inside = oh >= 0 && ow >= 0 && oh < placement.rows.out && ow < placement.columns.out;
  const Between h = inside ? between(placement.rows, oh) : Between{0, 0, {}},
                w = inside ? between(placement.columns, ow) : Between{0, 0, {}};
  const Pair top = one_minus(h.fraction), left = one_minus(w.fraction);
  const Pair weights[] = {product(top, left), product(top, w.fraction), product(h.fraction, left),
                          product(h.fraction, w.fraction)};
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float value[V] = {};
    if (inside) load_channels<V>(x, x.pixel(at.n, h.low, w.low), channel, value);
    if (inside && !placement.rows.nearest) {
      float right[V], below[V], across[V];
      load_channels<V>(x, x.pixel(at.n, h.low, w.high), channel, right);
      load_channels<V>(x, x.pixel(at.n, h.high, w.low), channel, below);
      load_channels<V>(x, x.pixel(at.n, h.high, w.high), channel, across);
      SIMT_UNROLL for (int j = 0; j < V; ++j) {
        Sum<T> sum{};
        add_product(sum, weights[0], value[j]);
        add_product(sum, weights[1], right[j]);
        add_product(sum, weights[2], below[j]);
        add_product(sum, weights[3], across[j]);
        value[j] = rounded(sum);
      }
    }
    store_channels<V>(y, pixel, channel, value);
  }
}

// The lines of `range` that lie in a frame of `size` lines when line 0 is its line `offset`.
SIMT_BOTH Range within(Range range, int offset, int size) {
  return {max(range.first, static_cast<int64_t>(-static_cast<int64_t>(offset))),
          min(range.last, static_cast<int64_t>(size) - 1 - offset)};
}

// dx[h][w] = sum over the outputs that mixed it in of their weight * dy, with `accumulate` and what is there; by rows,
// then columns. Reads dy (four times from cache for a bilinear rule), writes dx.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 2)
    resize_grad_kernel(View<const T> dy, View<T> dx, Placement placement, bool accumulate) {
  const int64_t pixel = own_pixel();
  if (pixel >= dx.pixels()) return;
  const Place at = place_of(pixel, dx.h, dx.w);
  const Range rows = within(outputs_of(placement.rows, at.y), placement.top, dy.h),
              columns = within(outputs_of(placement.columns, at.x), placement.left, dy.w);
  for (int channel = own_channel<V>(); channel < dx.pitch; channel += channel_step<V>()) {
    Sum<T> sum[V] = {};
    float result[V] = {};
    if (accumulate) {
      load_channels<V>(View<const T>{dx.data, dx.n, dx.h, dx.w, dx.c, dx.pitch}, pixel, channel, result);
      SIMT_UNROLL for (int j = 0; j < V; ++j) add(sum[j], result[j]);
    }
    for (int64_t oh = rows.first; oh <= rows.last; ++oh) {
      const Pair row_weight = weight_of(placement.rows, at.y, oh);
      const int64_t row = dy.pixel(at.n, static_cast<int>(oh) + placement.top, placement.left);
      for (int64_t ow = columns.first; ow <= columns.last; ++ow) {
        const Pair weight = product(row_weight, weight_of(placement.columns, at.x, ow));
        float gradient[V];
        load_channels<V>(dy, row + ow, channel, gradient);
        SIMT_UNROLL for (int j = 0; j < V; ++j) add_product(sum[j], weight, gradient[j]);
      }
    }
    SIMT_UNROLL for (int j = 0; j < V; ++j) result[j] = rounded(sum[j]);
    store_channels<V>(dx, pixel, channel, result);
  }
}

// y[h][w] = x[h-top][w-left], or 0; no sums but with `accumulate`. Reads the part of x that y shows, writes y.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads, 2)
    pad_kernel(View<const T> x, View<T> y, int top, int left, bool accumulate) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  const Place at = place_of(pixel, y.h, y.w);
  const int64_t h = static_cast<int64_t>(at.y) - top, w = static_cast<int64_t>(at.x) - left;
  const bool inside = h >= 0 && w >= 0 && h < x.h && w < x.w;
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float value[V] = {};
    if (inside) load_channels<V>(x, x.pixel(at.n, static_cast<int>(h), static_cast<int>(w)), channel, value);
    store_channels<V>(y, pixel, channel, value, accumulate);
  }
}

void check_resize(const gpu::ConstImage& x, const gpu::ConstImage& y, int h, int w) {
  require(x.n == y.n && x.c == y.c && x.h > 0 && x.w > 0 && h > 0 && w > 0, "resize: shapes");
}

void resize(gpu::Stream stream, const gpu::ResizeArgs& a) {
  check_resize(a.x, a.y, a.h, a.w);
  if (is_empty(a.y)) return;
  require(a.x && a.y, "resize: an image is missing");
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.y.pixels(), a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (resize_kernel<T, V>), view<T>(a.x), view<T>(a.y),
           placement_of(a, a.x));
  });
}

void resize_grad(gpu::Stream stream, const gpu::ResizeGradArgs& a) {
  check_resize(a.dx, a.dy, a.h, a.w);
  if (is_empty(a.dx)) return;
  require(static_cast<bool>(a.dx), "resize: no result");
  with_lanes({a.dy, a.dx}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.dx.pixels(), a.dx.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (resize_grad_kernel<T, V>), view<T>(a.dy), view<T>(a.dx),
           placement_of(a, a.dx), a.accumulate);
  });
}

void pad(gpu::Stream stream, const gpu::PadArgs& a) {
  require(a.x.n == a.y.n && a.x.c == a.y.c, "pad: batch and channels do not change");
  if (is_empty(a.y)) return;
  require(static_cast<bool>(a.y), "pad: no result");
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.y.pixels(), a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (pad_kernel<T, V>), view<T>(a.x), view<T>(a.y), a.top, a.left,
           a.accumulate);
  });
}

}  // namespace

const gpu::ResampleKernels resample_kernels{.pool2x2 = pool2x2,
                                            .pool2x2_grad = pool2x2_grad,
                                            .pool3x3 = pool3x3,
                                            .pool3x3_grad = pool3x3_grad,
                                            .resize = resize,
                                            .resize_grad = resize_grad,
                                            .pad = pad,
                                            .global_mean = global_mean,
                                            .global_mean_grad = global_mean_grad};

}  // namespace furrow::SIMT_NS
