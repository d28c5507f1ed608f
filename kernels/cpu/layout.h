// The layout of this back-end's Placed buffers: channels in blocks of 16 (nChw16c), one zero pixel between rows.
#pragma once

#include <cstdint>

#include "kernels/tensor.h"

namespace furrow::cpu {

// float32 in the order [n][channel block][row][pixel][lane]. A pixel is kWide = 16 lanes, one AVX-512 register and one
// cache line, or kNarrow = 4 where the tensor has at most 4 channels, so that a colour photo does not pay for 16.
//
// Before the first pixel of every row, and after the last pixel of the last row, lies one pixel of zeros. It is the
// left padding of its row and the right padding of the row above, so a convolution with padding 1 reads columns -1 and
// W without a test. Rows above and below the image do not exist; kernels leave those taps out. Whoever writes a row
// writes the zero pixel before it, and with the last row the one after it (close_row). Lanes past the last channel hold
// values without meaning, NaN included: readers stop at channel `c`.
struct BlockedLayout {
  static constexpr int64_t kWide = 16, kNarrow = 4;

  BlockedLayout() = default;
  explicit BlockedLayout(const Shape& s)
      : shape(s),
        lanes(s.c <= kNarrow ? kNarrow : kWide),
        blocks((s.c + lanes - 1) / lanes),
        row_stride((s.w + 1) * lanes),
        block_stride((s.h * row_stride + lanes + kWide - 1) / kWide * kWide) {}

  // Of bytes in place of floats: whatever the channels, a pixel is 16 of them.
  static BlockedLayout of_bytes(const Shape& s) {
    BlockedLayout layout(Shape{s.n, s.h, s.w, s.c > 0 && s.c <= kNarrow ? kNarrow + 1 : s.c});
    layout.shape = s;
    return layout;
  }

  // Floats of the whole buffer.
  int64_t floats() const { return shape.n * blocks * block_stride; }
  // Offset of pixel 0 of a row.
  int64_t row(int64_t n, int64_t block, int64_t h) const {
    return (n * blocks + block) * block_stride + h * row_stride + lanes;
  }
  // Zeros the padding that belongs to row h; `start` is the address of its pixel 0.
  void close_row(float* start, int64_t h) const {
    for (int64_t i = 0; i < lanes; ++i) start[i - lanes] = 0;
    if (h + 1 == shape.h)
      for (int64_t i = 0; i < lanes; ++i) start[shape.w * lanes + i] = 0;
  }

  Shape shape{0, 0, 0, 0};
  int64_t lanes = kWide, blocks = 0, row_stride = 0, block_stride = 0;
};

}  // namespace furrow::cpu
