// Buffers of bytes: from pixels, from floats, and back.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/byte_conv.h"

namespace furrow::cpu {

void close_byte_row(const BlockedLayout& layout, int64_t h, const Quantised& how, uint8_t* row) {
  const auto lanes = static_cast<size_t>(layout.lanes);
  std::memset(row - lanes, how.zero_point, lanes);
  if (h + 1 == layout.shape.h) std::memset(row + layout.shape.w * layout.lanes, how.zero_point, lanes);
}

namespace {

// Rows of at most 16 channels whose bytes chunk(first, count, bytes) gives, `first` an element of the dense tensor.
template <class Chunk>
void place_few(const Machine& m, const Placed& to, const Chunk& chunk) {
  constexpr int64_t kPixels = 256, kLanes = BlockedLayout::kWide;
  const BlockedLayout layout = BlockedLayout::of_bytes(to.shape);
  const Shape& s = to.shape;
  typedef uint8_t Pixel __attribute__((vector_size(kLanes)));
  Pixel own, others;  // lanes that are channels; what the others hold
  for (int64_t c = 0; c < kLanes; ++c) {
    own[c] = c < s.c ? 255 : 0;
    others[c] = c < s.c ? 0 : static_cast<uint8_t>(to.quantised.zero_point);
  }
  for_tasks(m.pool, s.n * s.h, [&](int64_t task, int) {
    uint8_t* row = reinterpret_cast<uint8_t*>(to.data) + layout.row(task / s.h, 0, task % s.h);
    uint8_t bytes[kPixels * kLanes + kLanes];  // pixels are read as 16
    for (int64_t w0 = 0; w0 < s.w; w0 += kPixels) {
      const int64_t here = std::min(kPixels, s.w - w0);
      chunk((task * s.w + w0) * s.c, here * s.c, bytes);
      for (int64_t w = 0; w < here; ++w) {
        Pixel pixel;
        std::memcpy(&pixel, bytes + w * s.c, sizeof pixel);
        pixel = (pixel & own) | others;
        std::memcpy(row + (w0 + w) * kLanes, &pixel, sizeof pixel);
      }
    }
    close_byte_row(layout, task % s.h, to.quantised, row);
  });
}

}  // namespace

// A table of bytes first: what a value becomes depends on it alone.
void place_pixel_bytes(const Machine& m, const uint8_t* pixels, const float* values, const Placed& to) {
  const int64_t channels = to.shape.c;
  require(channels <= BlockedLayout::kWide, "place_pixel_bytes: one block of channels");
  uint8_t table[BlockedLayout::kWide][256];
  m.bytes->quantise(values, channels * 256, 1 / to.quantised.scale, static_cast<float>(to.quantised.zero_point),
                    table[0]);
  place_few(m, to, [&](int64_t first, int64_t count, uint8_t* bytes) {
    for (int64_t i = 0; i < count; i += channels)
      for (int64_t c = 0; c < channels; ++c) bytes[i + c] = table[c][pixels[first + i + c]];
  });
}

void place_bytes(const Machine& m, const float* dense, const Placed& to) {
  if (to.shape.c <= BlockedLayout::kWide)
    return place_few(m, to, [&](int64_t first, int64_t count, uint8_t* bytes) {
      m.bytes->quantise(dense + first, count, 1 / to.quantised.scale, static_cast<float>(to.quantised.zero_point),
                        bytes);
    });
  const BlockedLayout layout = BlockedLayout::of_bytes(to.shape);
  Tensor real({1, 1, 1, layout.floats()});
  place_rows(m.pool, dense, layout, real.values<float>().data());
  quantise(m, real.values<float>().data(), to);
}

// What lies in the gaps between the channel blocks is converted along.
void quantise(const Machine& m, const float* from, const Placed& to) {
  constexpr int64_t kChunk = 1 << 14;
  const int64_t count = BlockedLayout::of_bytes(to.shape).floats();
  auto* bytes = reinterpret_cast<uint8_t*>(to.data);
  for_tasks(m.pool, ceil_div(count, kChunk), [&](int64_t task, int) {
    const int64_t begin = task * kChunk, end = std::min(begin + kChunk, count);
    m.bytes->quantise(from + begin, end - begin, 1 / to.quantised.scale, static_cast<float>(to.quantised.zero_point),
                      bytes + begin);
  });
}

void dequantise(ThreadPool* pool, const Placed& from, float* to) {
  constexpr int64_t kChunk = 1 << 14;
  const int64_t count = BlockedLayout::of_bytes(from.shape).floats();
  const auto* bytes = reinterpret_cast<const uint8_t*>(from.data);
  for_tasks(pool, ceil_div(count, kChunk), [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min((task + 1) * kChunk, count); ++i)
      to[i] = static_cast<float>(bytes[i] - from.quantised.zero_point) * from.quantised.scale;
  });
}

}  // namespace furrow::cpu
