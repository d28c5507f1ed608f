// Winograd tiles of a picture: tile (n, i, j) computes outputs (2i, 2j) to (2i+1, 2j+1) of a 3x3 convolution of stride
// 1 from inputs (2i-pad, 2j-pad) to (2i+3-pad, 2j+3-pad). Rows of the 16 panel matrices are tiles in this order.
#pragma once

#include <vector>

#include "kernels/cpu/eager_conv.h"
#include "kernels/cpu/winograd4_run.h"

namespace furrow::cpu {

constexpr int64_t kWinogradMatrices = 16;

struct TileGrid {
  TileGrid(int64_t images, int64_t out_h, int64_t out_w)
      : n(images), high(ceil_div(out_h, 2)), wide(ceil_div(out_w, 2)) {}
  int64_t tiles() const { return n * high * wide; }
  struct Tile {
    int64_t n, h, w;  // of its first output
  };
  Tile at(int64_t tile) const { return {tile / (high * wide), tile / wide % high * 2, tile % wide * 2}; }
  int64_t n, high, wide;
};

// Calls transform(address of the first pixel, floats from pixel to pixel, from row to row) for a size x size window of
// 16 lanes at (h, w). Where it leaves the picture or the panel has fewer channels, a copy filled up with zeros is
// shown.
template <class Transform>
void with_window(const Tensor& x, const ChannelPanel& panel, int64_t n, int64_t h, int64_t w, int64_t size,
                 const Transform& transform) {
  const Shape& s = x.shape();
  const float* from = x.values<float>().data() + panel.channel;
  if (panel.lanes == kPanel && h >= 0 && w >= 0 && h + size <= s.h && w + size <= s.w)
    return transform(from + ((n * s.h + h) * s.w + w) * s.c, s.c, s.w * s.c);
  alignas(64) float copy[4 * 4 * kPanel] = {};
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j)
      if (h + i >= 0 && h + i < s.h && w + j >= 0 && w + j < s.w)
        for (int64_t lane = 0; lane < panel.lanes; ++lane)
          copy[(i * size + j) * kPanel + lane] = from[((n * s.h + h + i) * s.w + w + j) * s.c + lane];
  transform(copy, kPanel, size * kPanel);
}

// Floats from one of the 16 matrices to the next: a cache line more than they need, or all 16 would often fall into one
// set of the cache.
inline int64_t matrix_floats(int64_t panels, int64_t rows) { return panels * rows * kPanel + kPanel; }

// B^T x B of F(4x4, 3x3), pad 1, of a run of tiles and one panel of a dense tensor; zeros outside the picture and past
// the panel's lanes. Tile t of the run goes to v + t * 16, its 36 values `matrix` apart.
void transform_dense(const Machine& m, const Tensor& x, const ChannelPanel& panel, const TileRun& run, float* v,
                     int64_t matrix);
// A dy A^T of the same tiles' 4x4 pixels, likewise.
void transform_gradient(const Machine& m, const Tensor& dy, const ChannelPanel& panel, const TileRun& run, float* v,
                        int64_t matrix);

}  // namespace furrow::cpu
