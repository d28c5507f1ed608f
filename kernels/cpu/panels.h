// How dense NHWC tensors become the panel matrices of tile_kernels.h and come back.
//
// A row of the matrix is a position of the picture, or a Winograd tile of four; a column is one input of the sum.
#pragma once

#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/steps.h"

namespace furrow::cpu {

constexpr int64_t kPanel = 16;

// Up to 16 neighbouring channels of one of two tensors that follow each other on channels.
struct ChannelPanel {
  int part = 0;         // 0 or 1: which tensor
  int64_t channel = 0;  // its first channel there
  int64_t first = 0;    // the same, counted over both
  int64_t lanes = 0;    // 1 to 16
};
// All channels of both in order, no panel across the border. `wanted` leaves a part out.
std::vector<ChannelPanel> channel_panels(int64_t c0, int64_t c1, bool wanted0 = true, bool wanted1 = true);

struct Tap {
  int64_t dh = 0, dw = 0;
};

// The matrix of a convolution's inputs ("im2col"), by rows: row (n, i, j) of a grid holds, for every tap, the channels
// of pixel (i*step + dh, j*step + dw) of x0 and then of x1; zeros outside the picture.
struct Gather {
  Gather() = default;
  Gather(const Tensor* source, int64_t high, int64_t wide, int64_t stride, std::vector<Tap> which)
      : x0(source), grid_h(high), grid_w(wide), step(stride), taps(std::move(which)) {}
  const Tensor *x0 = nullptr, *x1 = nullptr;  // x1 may be null
  int64_t grid_h = 0, grid_w = 0, step = 1;
  std::vector<Tap> taps;

  int64_t rows() const { return x0->shape().n * grid_h * grid_w; }
  int64_t channels() const { return x0->shape().c + (x1 != nullptr ? x1->shape().c : 0); }
  int64_t columns() const { return static_cast<int64_t>(taps.size()) * channels(); }
  int64_t panels() const { return ceil_div(columns(), kPanel); }
  // Rows [begin, end) into `to`, panels `panel` floats apart; the last panel is filled up with zeros.
  void fill(int64_t begin, int64_t end, float* to, int64_t panel) const;
};

// Sums over n,h,w of every channel of `x` in double: blocks of fixed size in float32, then in order; short sums
// (kernels/short_sums.h) in double throughout.
void channel_sums(ThreadPool* pool, const Tensor& x, double* sums);

inline void store(float& to, float value, Grad mode) { to = mode == Grad::overwrite ? value : to + value; }

}  // namespace furrow::cpu
