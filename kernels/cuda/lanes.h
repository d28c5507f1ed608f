// How kernels that work pixel by pixel read and write images: channels in vectors of 16 bytes where pitch and address
// allow, one at a time where not; threads of a block laid over channels first, then pixels.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/cuda/image.h"
#include "kernels/cuda/simt.h"
#include "kernels/error.h"

namespace furrow::SIMT_NS {

constexpr int kPixelThreads = 256;  // threads of a block of a pixel kernel

// V neighbouring channels in memory.
template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Lanes {
  T value[V];
};

template <int V, class T>
SIMT_DEVICE void load_lanes(const T* from, float (&to)[V]) {
  const Lanes<T, V> lanes = *reinterpret_cast<const Lanes<T, V>*>(from);
  SIMT_UNROLL for (int j = 0; j < V; ++j) to[j] = to_float(lanes.value[j]);
}
template <int V, class T>
SIMT_DEVICE void store_lanes(T* to, const float (&from)[V]) {
  Lanes<T, V> lanes;
  SIMT_UNROLL for (int j = 0; j < V; ++j) lanes.value[j] = from_float<T>(from[j]);
  *reinterpret_cast<Lanes<T, V>*>(to) = lanes;
}

// An image as kernels take it (kernels/cuda/image.h), of const T where it is only read.
template <class T>
struct View {
  T* data;
  int n, h, w, c, pitch;
  SIMT_BOTH int64_t pixels() const { return static_cast<int64_t>(n) * h * w; }
  SIMT_BOTH T* at(int64_t pixel, int channel) const { return data + pixel * pitch + channel; }
  SIMT_BOTH int64_t pixel(int i, int y, int x) const { return (static_cast<int64_t>(i) * h + y) * w + x; }
};
template <class T>
View<const T> view(const gpu::ConstImage& x) {
  return {static_cast<const T*>(x.data), x.n, x.h, x.w, x.c, x.pitch};
}
template <class T>
View<T> view(const gpu::Image& x) {
  return {static_cast<T*>(x.data), x.n, x.h, x.w, x.c, x.pitch};
}

// Channels `channel`.. of a pixel as float32, zeros from channel c on: a source may have a shorter pitch than the
// result.
template <int V, class T>
SIMT_DEVICE void load_channels(const View<const T>& x, int64_t pixel, int channel, float (&to)[V]) {
  if (channel < x.c) return load_lanes<V>(x.at(pixel, channel), to);
  SIMT_UNROLL for (int j = 0; j < V; ++j) to[j] = 0;
}
// Stores the channels, zeros from channel c on; with `accumulate` adds them to what is there.
template <int V, class T>
SIMT_DEVICE void store_channels(const View<T>& y, int64_t pixel, int channel, float (&values)[V],
                                bool accumulate = false) {
  if (accumulate) {
    float before[V];
    load_lanes<V>(static_cast<const T*>(y.at(pixel, channel)), before);
    SIMT_UNROLL for (int j = 0; j < V; ++j) values[j] = before[j] + values[j];
  }
  SIMT_UNROLL for (int j = 0; j < V; ++j) values[j] = channel + j < y.c ? values[j] : 0;
  store_lanes<V>(y.at(pixel, channel), values);
}

// Which image, row and column a pixel number is. Divides in 32 bits wherever the number fits, as 64-bit division is
// slow.
struct Place {
  int n, y, x;
};
SIMT_BOTH Place place_of(int64_t pixel, int h, int w) {
  if (pixel <= 0xffffffffll) {
    const unsigned p = static_cast<unsigned>(pixel), row = p / static_cast<unsigned>(w),
                   image = row / static_cast<unsigned>(h);
    return {static_cast<int>(image), static_cast<int>(row - image * static_cast<unsigned>(h)),
            static_cast<int>(p - row * static_cast<unsigned>(w))};
  }
  const int64_t row = pixel / w, image = row / h;
  return {static_cast<int>(image), static_cast<int>(row - image * h), static_cast<int>(pixel - row * w)};
}

// The pixel and the first channel of this thread in a kernel launched over_pixels; channels go on by channel_step<V>().
SIMT_DEVICE int64_t own_pixel() { return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; }
template <int V>
SIMT_DEVICE int own_channel() {
  return static_cast<int>(threadIdx.x) * V;
}
template <int V>
SIMT_DEVICE int channel_step() {
  return static_cast<int>(blockDim.x) * V;
}

// Threads along the channels of a block: the power of two that holds all groups of V, at most a warp's 32.
inline unsigned channel_threads(int channels, int V) {
  unsigned threads = 1;
  while (threads < 32 && threads * static_cast<unsigned>(V) < static_cast<unsigned>(channels)) threads *= 2;
  return threads;
}
struct Launch {
  dim3 grid, block;
};
// Block (x: channels, y: pixels), grid x over all pixels.
inline Launch over_pixels(int64_t pixels, int channels, int V) {
  const unsigned x = channel_threads(channels, V), y = kPixelThreads / x;
  const int64_t blocks = (pixels + y - 1) / y;
  require(blocks > 0 && blocks <= 0x7fffffff, "an image without pixels, or with too many");
  return {dim3(static_cast<unsigned>(blocks)), dim3(x, y)};
}

// Kernels whose threads keep their channels: the first channel of this thread.
template <int V>
SIMT_DEVICE int tile_channel() {
  return static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * V;
}

// Block (x: channels, y: pixels), grid y over all channels, x of `blocks`.
inline Launch over_channels(int64_t blocks, int channels, int V) {
  const unsigned x = channel_threads(channels, V), per_block = x * static_cast<unsigned>(V);
  const unsigned tiles = (static_cast<unsigned>(channels) + per_block - 1) / per_block;
  require(blocks > 0 && blocks <= 0x7fffffff && tiles <= 65535, "an image without pixels, or too large");
  return {dim3(static_cast<unsigned>(blocks), tiles), dim3(x, kPixelThreads / x)};
}

// Nothing to write: launch functions return before they look at pointers, which may then be null.
inline bool is_empty(const gpu::ConstImage& image) { return image.pixels() == 0 || image.c == 0; }

inline bool same_extent(const gpu::ConstImage& a, const gpu::ConstImage& b) {
  return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

// Calls body(T{}, V) with the storage type and, as an integral_constant, the lanes that all images of the operation
// allow: 16 bytes of T where every pitch and address does, else 1. Images without data are left out; the others share
// one type.
template <class Body>
void with_lanes(std::initializer_list<gpu::ConstImage> images, const Body& body) {
  DType type = DType::f64;
  for (const gpu::ConstImage& image : images)
    if (image) type = image.type;
  const size_t element = type == DType::f32 ? 4 : 2, lanes = 16 / element;
  bool vectors = true;
  for (const gpu::ConstImage& image : images) {
    if (!image) continue;
    require(image.type == type, "images of one operation have different types");
    require(image.c > 0 && image.pitch >= image.c, "an image's pitch is less than its channels");
    vectors =
        vectors && static_cast<size_t>(image.pitch) % lanes == 0 && reinterpret_cast<uintptr_t>(image.data) % 16 == 0;
  }
  const auto choose = [&](auto zero, auto wide) {
    vectors ? body(zero, wide) : body(zero, std::integral_constant<int, 1>{});
  };
  if (type == DType::f32)
    choose(float{}, std::integral_constant<int, 4>{});
  else if (type == DType::f16)
    choose(f16{}, std::integral_constant<int, 8>{});
  else if (type == DType::bf16)
    choose(bf16{}, std::integral_constant<int, 8>{});
  else
    require(false, "an image of a type that kernels do not store");
}

}  // namespace furrow::SIMT_NS
