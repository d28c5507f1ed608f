// How gradients with respect to weights are summed (weight_grad.cc, winograd_weight_grad.cc): products of two panel
// matrices summed over their rows, which are positions of the picture or Winograd tiles.
//
// Rows go by segments that fit the cache: a segment of both matrices is filled, rows shared out; then all products of
// pairs of panels are added to the result, pairs shared out. So each value has one owner, who adds segment after
// segment: no partial sums to reduce, and one order for any number of threads. Within a segment at most kLongest terms
// are summed in registers before they are added to what is there.
#pragma once

#include <algorithm>

#include "kernels/cpu/winograd.h"

namespace furrow::cpu {

// `matrices` independent products of a left matrix of `left` columns and a right one of `right` panels.
struct WeightGradSchedule {
  WeightGradSchedule(int64_t matrices_, int64_t rows_, int64_t left_, int64_t right_)
      : matrices(matrices_), rows(rows_), left(left_), left_panels(ceil_div(left_, kPanel)), right_panels(right_) {
    const int64_t row_floats = matrices * (left_panels + right_panels) * kPanel;
    segment =
        std::min(std::clamp<int64_t>(kCacheFloats / row_floats, kShortest, kLongest), ceil_div(rows, kFill) * kFill);
    left_matrix = matrix_floats(left_panels, segment);
    right_matrix = matrix_floats(right_panels, segment);
    result_panel = left * kPanel;
    result_matrix = matrix_floats(right_panels, left);
  }
  int64_t result_floats() const { return matrices * result_matrix; }
  int64_t segment_floats() const { return matrices * (left_matrix + right_matrix); }
  bool one_segment() const { return rows <= segment; }
  int64_t block_floats() const { return matrices * kBlockMatrix; }

  // 4 MiB, of a third-level cache that cores share. A task fills kFill rows.
  static constexpr int64_t kCacheFloats = int64_t{1} << 20, kShortest = 192, kLongest = 512, kFill = 16;
  // A block of the result: 16 rows of two panels, of each matrix.
  static constexpr int64_t kBlockPanels = 2, kBlockPanel = kPanel * kPanel,
                           kBlockMatrix = kBlockPanels * kBlockPanel + kPanel;
  int64_t matrices, rows, left, left_panels, right_panels, segment = 0;
  int64_t left_matrix = 0, right_matrix = 0, result_panel = 0, result_matrix = 0;
};

// A segment's product of left panel `l` and right panels `r` and perhaps r + 1, of one matrix.
inline Product block_product(const WeightGradSchedule& s, const float* left, const float* right, int64_t matrix,
                             int64_t l, int64_t r, int64_t rows) {
  return {.a = left + matrix * s.left_matrix + l * s.segment * kPanel,
          .a_panel = s.segment * kPanel,
          .b = right + matrix * s.right_matrix + r * s.segment * kPanel,
          .b_panel = s.segment * kPanel,
          .rows = std::min(kPanel, s.left - l * kPanel),
          .panels = std::min(s.kBlockPanels, s.right_panels - r),
          .depth = rows,
          .part = part_of(rows)};
}

// fill(begin, end, left at row begin, right at row begin)
template <class Fill>
void fill_segment(const Machine& m, const WeightGradSchedule& s, int64_t start, int64_t rows, float* left, float* right,
                  const Fill& fill) {
  for_tasks(m.pool, ceil_div(rows, s.kFill), [&](int64_t task, int) {
    const int64_t begin = task * s.kFill, end = std::min(begin + s.kFill, rows);
    fill(start + begin, start + end, left + begin * kPanel, right + begin * kPanel);
  });
}

// The result: [matrix][right panel][left][16].
template <class Fill>
void sum_products(const Machine& m, const WeightGradSchedule& s, float* memory, float* result, const Fill& fill) {
  if (s.rows == 0) std::fill_n(result, s.result_floats(), 0.0f);  // a batch of no images
  float *left = memory, *right = memory + s.matrices * s.left_matrix;
  for (int64_t start = 0; start < s.rows; start += s.segment) {
    const int64_t rows = std::min(s.segment, s.rows - start);
    fill_segment(m, s, start, rows, left, right, fill);
    const int64_t pairs = ceil_div(s.right_panels, s.kBlockPanels);
    for_tasks(m.pool, s.matrices * pairs * s.left_panels, [&](int64_t task, int) {
      const int64_t matrix = task / (pairs * s.left_panels), l = task % s.left_panels,
                    r = task / s.left_panels % pairs * s.kBlockPanels;
      Product p = block_product(s, left, right, matrix, l, r, rows);
      p.c = result + matrix * s.result_matrix + r * s.result_panel + l * kPanel * kPanel;
      p.c_panel = s.result_panel, p.accumulate = start > 0;
      m.tiles->multiply_transposed(p);
    });
  }
}

// The same of one_segment(), whose result goes block by block and never lies in memory as a whole: of `workers`, each
// has block_floats(). finish(l, r, block): all matrices of a block, kBlockMatrix apart, panels kBlockPanel.
template <class Fill, class Finish>
void sum_blocks(const Machine& m, const WeightGradSchedule& s, float* memory, float* workers, const Fill& fill,
                const Finish& finish) {
  float *left = memory, *right = memory + s.matrices * s.left_matrix;
  fill_segment(m, s, 0, s.rows, left, right, fill);
  for_tasks(m.pool, ceil_div(s.right_panels, s.kBlockPanels) * s.left_panels, [&](int64_t task, int worker) {
    const int64_t l = task % s.left_panels, r = task / s.left_panels * s.kBlockPanels;
    float* block = workers + worker * s.block_floats();
    for (int64_t matrix = 0; matrix < s.matrices; ++matrix) {
      Product p = block_product(s, left, right, matrix, l, r, s.rows);
      p.c = block + matrix * s.kBlockMatrix, p.c_panel = s.kBlockPanel;
      m.tiles->multiply_transposed(p);
    }
    finish(l, r, block);
  });
}

}  // namespace furrow::cpu
