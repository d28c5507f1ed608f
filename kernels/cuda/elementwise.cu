// Operations on each value alone, attention gates, dropout, conversions (kernels/cuda/elementwise.h).
//
// Every kernel: block (x: channels, at most 32; y: pixels) of 256 threads, grid x over pixels, no shared memory; bytes
// moved are those of its images, once each; but for gate_grad_kernel no sums. Pointers are not __restrict__: a result
// may be the image of an input.
#include <cmath>

#include "kernels/cuda/elementwise_launch.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/philox.h"
#include "kernels/cuda/sigmoid.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

SIMT_BOTH float relu_of(float x) { return x <= 0 ? 0 : x; }
SIMT_BOTH float relu_gradient(float y, float dy) { return y <= 0 ? 0 : dy; }

struct Relu {
  SIMT_DEVICE float operator()(float x, float, int64_t) const { return relu_of(x); }
};
struct Sigmoid {
  SIMT_DEVICE float operator()(float x, float, int64_t) const { return stable_sigmoid(x); }
};
struct SigmoidGrad {
  SIMT_DEVICE float operator()(float y, float dy, int64_t) const { return dy * y * (1.0f - y); }
};
struct Add {
  SIMT_DEVICE float operator()(float a, float b, int64_t) const { return a + b; }
};
struct AddRelu {
  SIMT_DEVICE float operator()(float a, float b, int64_t) const { return relu_of(a + b); }
};
struct Combine {
  float alpha, beta;
  SIMT_DEVICE float operator()(float a, float b, int64_t) const { return alpha * a + beta * b; }
};
struct Constant {
  float value;
  SIMT_DEVICE float operator()(float, float, int64_t) const { return value; }
};
// u >= p in whole numbers: u is a multiple of 2^-24.
struct Dropout {
  PhiloxSequence numbers;
  uint64_t first;
  uint32_t threshold;
  float scale;
  SIMT_DEVICE float operator()(float x, float, int64_t element) {
    return numbers.bits24(first + static_cast<uint64_t>(element)) >= threshold ? x * scale : 0;
  }
};

// y = f(a, b, number of the element in dense order); a, b 0 where they have no data. One rounding of the storage type.
template <class T, int V, class F>
__global__ void __launch_bounds__(kPixelThreads)
    map_kernel(View<const T> a, View<const T> b, View<T> y, bool accumulate, F f) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float left[V] = {}, right[V] = {}, result[V];
    if (a.data != nullptr) load_channels<V>(a, pixel, channel, left);
    if (b.data != nullptr) load_channels<V>(b, pixel, channel, right);
    SIMT_UNROLL for (int j = 0; j < V; ++j) result[j] = f(left[j], right[j], pixel * y.c + channel + j);
    store_channels<V>(y, pixel, channel, result, accumulate);
  }
}

template <class F>
void map(gpu::Stream stream, const gpu::ConstImage& a, const gpu::ConstImage& b, const gpu::Image& y, bool accumulate,
         F f) {
  require((!a || same_extent(a, y)) && (!b || same_extent(b, y)), "elementwise: shapes");
  if (is_empty(y)) return;
  require(static_cast<bool>(y), "elementwise: no result");
  with_lanes({a, b, y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(y.pixels(), y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (map_kernel<T, V, F>), view<T>(a), view<T>(b), view<T>(y), accumulate,
           f);
  });
}

// da = db = y <= 0 ? 0 : dy. db may have no data.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    relu_grad_kernel(View<const T> y, View<const T> dy, View<T> da, bool accumulate_a, View<T> db, bool accumulate_b) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  const int end = max(da.pitch, db.pitch);
  for (int channel = own_channel<V>(); channel < end; channel += channel_step<V>()) {
    float value[V], gradient[V], copy[V];
    load_channels<V>(y, pixel, channel, value);
    load_channels<V>(dy, pixel, channel, gradient);
    SIMT_UNROLL for (int j = 0; j < V; ++j) copy[j] = gradient[j] = relu_gradient(value[j], gradient[j]);
    if (channel < da.pitch) store_channels<V>(da, pixel, channel, gradient, accumulate_a);
    if (channel < db.pitch) store_channels<V>(db, pixel, channel, copy, accumulate_b);
  }
}

// y = x * sigmoid(logit of the pixel); logits have one channel.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads) gate_kernel(View<const T> x, View<const T> logits, View<T> y) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  const float alpha = stable_sigmoid(to_float(*logits.at(pixel, 0)));
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float value[V];
    load_channels<V>(x, pixel, channel, value);
    SIMT_UNROLL for (int j = 0; j < V; ++j) value[j] *= alpha;
    store_channels<V>(y, pixel, channel, value);
  }
}

// dx = dy * alpha, dlogits = alpha * (1 - alpha) * sum over channels of dy * x; one warp per pixel. Order of the sum:
// each lane over its channels ascending, then pairs of lanes 16, 8, 4, 2, 1 apart. dlogits' channels c.. of its pitch
// are zeros.
template <class T, int V>
__global__ void __launch_bounds__(kPixelThreads)
    gate_grad_kernel(View<const T> x, View<const T> logits, View<const T> dy, View<T> dx, bool accumulate_x,
                     View<T> dlogits, bool accumulate_logits) {
  const int64_t pixel = own_pixel();
  if (pixel >= dy.pixels()) return;  // a whole warp leaves
  const float alpha = stable_sigmoid(to_float(*logits.at(pixel, 0)));
  float sum = 0;
  for (int channel = own_channel<V>(); channel < max(dy.pitch, dx.pitch); channel += channel_step<V>()) {
    float value[V], gradient[V];
    load_channels<V>(x, pixel, channel, value);
    load_channels<V>(dy, pixel, channel, gradient);
    SIMT_UNROLL for (int j = 0; j < V; ++j) {
      sum = fmaf(gradient[j], value[j], sum);
      gradient[j] *= alpha;
    }
    if (channel < dx.pitch) store_channels<V>(dx, pixel, channel, gradient, accumulate_x);
  }
  SIMT_UNROLL for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (dlogits.data == nullptr) return;
  for (int channel = static_cast<int>(threadIdx.x); channel < dlogits.pitch; channel += 32) {
    float value[1] = {alpha * (1.0f - alpha) * sum};
    store_channels<1>(dlogits, pixel, channel, value, accumulate_logits);
  }
}

// y = x, of other type and pitch.
template <class From, class To, int V>
__global__ void __launch_bounds__(kPixelThreads) convert_kernel(View<const From> x, View<To> y) {
  const int64_t pixel = own_pixel();
  if (pixel >= y.pixels()) return;
  for (int channel = own_channel<V>(); channel < y.pitch; channel += channel_step<V>()) {
    float value[V];
    load_channels<V>(x, pixel, channel, value);
    store_channels<V>(y, pixel, channel, value);
  }
}

// y[k] = x[k] rounded, y[4 + k] = (x[k] - y[k]) rounded, for k < c <= 4; zeros beyond. One thread per pixel, grid x over
// pixels: reads 4c bytes, writes 16. No sums.
template <class To>
__global__ void __launch_bounds__(kPixelThreads) split_kernel(View<const float> x, View<To> y) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
  if (pixel >= y.pixels()) return;
  float value[2 * gpu::kSplitChannels] = {};
  SIMT_UNROLL for (int k = 0; k < gpu::kSplitChannels; ++k) {
    if (k >= x.c) break;
    value[k] = *x.at(pixel, k);
    const float stored = to_float(from_float<To>(value[k]));
    value[gpu::kSplitChannels + k] = isfinite(stored) ? value[k] - stored : 0.0f;
  }
  store_lanes<2 * gpu::kSplitChannels>(y.at(pixel, 0), value);
}

void relu(gpu::Stream stream, const gpu::UnaryArgs& a) { map(stream, a.x, {}, a.y, false, Relu{}); }
void sigmoid(gpu::Stream stream, const gpu::UnaryArgs& a) { map(stream, a.x, {}, a.y, false, Sigmoid{}); }
void sigmoid_grad(gpu::Stream stream, const gpu::UnaryGradArgs& a) {
  map(stream, a.y, a.dy, a.dx, a.accumulate, SigmoidGrad{});
}
void add(gpu::Stream stream, const gpu::BinaryArgs& a) { map(stream, a.a, a.b, a.y, false, Add{}); }
void add_relu(gpu::Stream stream, const gpu::BinaryArgs& a) { map(stream, a.a, a.b, a.y, false, AddRelu{}); }
void combine(gpu::Stream stream, const gpu::CombineArgs& a) {
  require(static_cast<bool>(a.a), "combine: nothing to combine");
  map(stream, a.a, a.b, a.y, false, Combine{a.alpha, a.b ? a.beta : 0});
}
void fill(gpu::Stream stream, const gpu::FillArgs& a) { map(stream, {}, {}, a.y, false, Constant{a.value}); }

void dropout(gpu::Stream stream, const gpu::DropoutArgs& a) {
  require(a.p >= 0 && a.p < 1, "dropout: p is not in [0, 1)");
  const auto threshold = static_cast<uint32_t>(std::ceil(a.p * 0x1p24));
  map(stream, a.x, {}, a.y, a.accumulate,
      Dropout{PhiloxSequence(a.seed, a.stream), a.first, threshold, static_cast<float>(1 / (1 - a.p))});
}

void relu_grad(gpu::Stream stream, const gpu::ReluGradArgs& a) {
  require(same_extent(a.y, a.da) && same_extent(a.dy, a.da) && (!a.db || same_extent(a.db, a.da)), "relu_grad: shapes");
  if (is_empty(a.da)) return;
  require(static_cast<bool>(a.da), "relu_grad: no result");
  with_lanes({a.y, a.dy, a.da, a.db}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.y.pixels(), a.y.c, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (relu_grad_kernel<T, V>), view<T>(a.y), view<T>(a.dy), view<T>(a.da),
           a.accumulate_a, view<T>(a.db), a.accumulate_b);
  });
}

bool gates(const gpu::ConstImage& logits, const gpu::ConstImage& x) {
  return logits.n == x.n && logits.h == x.h && logits.w == x.w && logits.c == 1 && logits.type == x.type;
}

void gate(gpu::Stream stream, const gpu::GateArgs& a) {
  require(same_extent(a.x, a.y) && gates(a.logits, a.x), "gate: shapes");
  if (is_empty(a.y)) return;
  require(static_cast<bool>(a.y), "gate: no result");
  with_lanes({a.x, a.y}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const Launch launch = over_pixels(a.y.pixels(), a.y.pitch, V);
    LAUNCH(stream, launch.grid, launch.block, 0, (gate_kernel<T, V>), view<T>(a.x), view<T>(a.logits), view<T>(a.y));
  });
}

void gate_grad(gpu::Stream stream, const gpu::GateGradArgs& a) {
  require(same_extent(a.x, a.dy) && gates(a.logits, a.x) && (!a.dx || same_extent(a.dx, a.x)) &&
              (!a.dlogits || gates(a.dlogits, a.x)),
          "gate_grad: shapes");
  if (a.x.pixels() == 0) return;
  with_lanes({a.x, a.dy, a.dx}, [&](auto zero, auto lanes) {
    using T = decltype(zero);
    constexpr int V = decltype(lanes)::value;
    const unsigned pixels = kPixelThreads / 32;
    const auto blocks = static_cast<unsigned>((a.x.pixels() + pixels - 1) / pixels);
    LAUNCH(stream, dim3(blocks), dim3(32, pixels), 0, (gate_grad_kernel<T, V>), view<T>(a.x), view<T>(a.logits),
           view<T>(a.dy), view<T>(a.dx), a.accumulate_x, view<T>(a.dlogits), a.accumulate_logits);
  });
}

template <class From, class To>
void convert_between(gpu::Stream stream, const gpu::UnaryArgs& a, bool vectors) {
  const Launch launch = over_pixels(a.y.pixels(), a.y.pitch, vectors ? 8 : 1);
  if (vectors)
    LAUNCH(stream, launch.grid, launch.block, 0, (convert_kernel<From, To, 8>), view<From>(a.x), view<To>(a.y));
  else
    LAUNCH(stream, launch.grid, launch.block, 0, (convert_kernel<From, To, 1>), view<From>(a.x), view<To>(a.y));
}
template <class From>
void convert_from(gpu::Stream stream, const gpu::UnaryArgs& a, bool vectors) {
  if (a.y.type == DType::f32)
    convert_between<From, float>(stream, a, vectors);
  else if (a.y.type == DType::f16)
    convert_between<From, f16>(stream, a, vectors);
  else if (a.y.type == DType::bf16)
    convert_between<From, bf16>(stream, a, vectors);
  else
    require(false, "convert: an image of a type that kernels do not store");
}
void split(gpu::Stream stream, const gpu::UnaryArgs& a) {
  require(same_extent(a.x, a.y) && a.x.type == DType::f32 && a.y.c <= gpu::kSplitChannels &&
              a.y.pitch == 2 * gpu::kSplitChannels && reinterpret_cast<uintptr_t>(a.y.data) % 16 == 0,
          "split: shapes");
  if (is_empty(a.y)) return;
  require(static_cast<bool>(a.y), "split: no result");
  const dim3 grid(static_cast<unsigned>((a.y.pixels() + kPixelThreads - 1) / kPixelThreads));
  if (a.y.type == DType::f16)
    LAUNCH(stream, grid, dim3(kPixelThreads), 0, split_kernel<f16>, view<float>(a.x), view<f16>(a.y));
  else if (a.y.type == DType::bf16)
    LAUNCH(stream, grid, dim3(kPixelThreads), 0, split_kernel<bf16>, view<float>(a.x), view<bf16>(a.y));
  else
    require(false, "split: a result that is not of 16 bits");
}
void convert(gpu::Stream stream, const gpu::UnaryArgs& a) {
  require(same_extent(a.x, a.y) && a.x.pitch >= a.x.c && a.y.pitch >= a.y.c, "convert: shapes");
  if (is_empty(a.y)) return;
  require(static_cast<bool>(a.y), "convert: no result");
  const bool vectors = a.x.pitch % 8 == 0 && a.y.pitch % 8 == 0 &&
                       (reinterpret_cast<uintptr_t>(a.x.data) | reinterpret_cast<uintptr_t>(a.y.data)) % 16 == 0;
  if (a.x.type == DType::f32)
    convert_from<float>(stream, a, vectors);
  else if (a.x.type == DType::f16)
    convert_from<f16>(stream, a, vectors);
  else if (a.x.type == DType::bf16)
    convert_from<bf16>(stream, a, vectors);
  else
    require(false, "convert: an image of a type that kernels do not store");
}

}  // namespace

const gpu::ElementwiseKernels elementwise_kernels{.relu = relu,
                                                  .relu_grad = relu_grad,
                                                  .sigmoid = sigmoid,
                                                  .sigmoid_grad = sigmoid_grad,
                                                  .add = add,
                                                  .add_relu = add_relu,
                                                  .fill = fill,
                                                  .convert = convert,
                                                  .split = split,
                                                  .gate = gate,
                                                  .gate_grad = gate_grad,
                                                  .combine = combine,
                                                  .dropout = dropout,
                                                  .channel_gate = channel_gate,
                                                  .channel_gate_grad = channel_gate_grad};

}  // namespace furrow::SIMT_NS
