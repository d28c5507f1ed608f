#include <algorithm>
#include <cstring>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

namespace {

// value(at, c): the element of channel c that lies at `at` of the dense tensor.
template <class Value>
void place_values(ThreadPool* pool, const BlockedLayout& layout, float* blocked, Value value) {
  const Shape& s = layout.shape;
  for_tasks(pool, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    for (int64_t block = 0; block < layout.blocks; ++block) {
      float* row = blocked + layout.row(n, block, h);
      const int64_t first = block * layout.lanes, channels = std::min(layout.lanes, s.c - first);
      for (int64_t w = 0; w < s.w; ++w) {
        const int64_t pixel = (task * s.w + w) * s.c + first;
        float* to = row + w * layout.lanes;
        for (int64_t i = 0; i < channels; ++i) to[i] = value(pixel + i, first + i);
        for (int64_t i = channels; i < layout.lanes; ++i) to[i] = 0;
      }
      layout.close_row(row, h);
    }
  });
}

}  // namespace

void place_rows(ThreadPool* pool, const float* dense, const BlockedLayout& layout, float* blocked) {
  place_values(pool, layout, blocked, [=](int64_t at, int64_t) { return dense[at]; });
}

void place_pixel_rows(ThreadPool* pool, const uint8_t* pixels, const float* values, const BlockedLayout& layout,
                      float* blocked) {
  place_values(pool, layout, blocked, [=](int64_t at, int64_t c) { return values[c * 256 + pixels[at]]; });
}

void unplace_rows(ThreadPool* pool, const float* blocked, const BlockedLayout& layout, float* dense) {
  const Shape& s = layout.shape;
  for_tasks(pool, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    for (int64_t block = 0; block < layout.blocks; ++block) {
      const float* row = blocked + layout.row(n, block, h);
      const int64_t channels = std::min(layout.lanes, s.c - block * layout.lanes);
      for (int64_t w = 0; w < s.w; ++w) {
        float* to = dense + (task * s.w + w) * s.c + block * layout.lanes;
        for (int64_t i = 0; i < channels; ++i) to[i] = row[w * layout.lanes + i];
      }
    }
  });
}

void narrow_row(const float* wide, int64_t width, float* narrow) {
  for (int64_t w = 0; w < width; ++w)
    for (int64_t i = 0; i < BlockedLayout::kNarrow; ++i)
      narrow[w * BlockedLayout::kNarrow + i] = wide[w * BlockedLayout::kWide + i];
}

void store_row(const Machine& m, const float* wide, int64_t begin, int64_t end, const BlockedLayout& layout, int64_t at,
               int64_t h, const Placed& to) {
  const int64_t width = layout.shape.w, lanes = layout.lanes;
  if (to.quantised) {
    auto* row = reinterpret_cast<uint8_t*>(to.data) + at;
    const auto zero = [&](int64_t first, int64_t last) {
      if (first < last)
        std::memset(row + first * lanes, to.quantised.zero_point, static_cast<size_t>((last - first) * lanes));
    };
    zero(-1, begin);
    m.bytes->quantise(wide, (end - begin) * lanes, 1 / to.quantised.scale, static_cast<float>(to.quantised.zero_point),
                      row + begin * lanes);
    zero(end, h + 1 == layout.shape.h ? width + 1 : width);
    return;
  }
  float* row = floats(to.data) + at;
  if (lanes != BlockedLayout::kWide)
    narrow_row(wide, end - begin, row + begin * lanes);
  else if (wide != row + begin * lanes)
    std::copy_n(wide, (end - begin) * lanes, row + begin * lanes);
  std::fill_n(row, begin * lanes, 0.0f);
  std::fill_n(row + end * lanes, (width - end) * lanes, 0.0f);
  layout.close_row(row, h);
}

void expect(const Placed& p, const Shape& shape, const char* what) {
  require(p.data != nullptr && p.shape == shape, what);
}

}  // namespace furrow::cpu
