// Gradients with respect to weights: products of two panel matrices summed over their rows, which are positions of the
// picture or Winograd tiles.
//
// Rows go by segments that fit the cache: a segment of both matrices is filled, rows shared out; then all products of
// pairs of panels are added to the result, pairs shared out. So each value has one owner, who adds segment after
// segment: no partial sums to reduce, and one order for any number of threads. Within a segment at most kLongest terms
// are summed in registers before they are added to what is there. Fewer than 49 rows in all are one sum in double.
#include <algorithm>

#include "kernels/cpu/winograd.h"

namespace furrow::cpu {
namespace {

// `matrices` independent products of a left matrix of `left` columns and a right one of `right`.
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

  // 4 MiB, of a third-level cache that cores share. A task fills kFill rows.
  static constexpr int64_t kCacheFloats = int64_t{1} << 20, kShortest = 192, kLongest = 512, kFill = 16;
  int64_t matrices, rows, left, left_panels, right_panels, segment = 0;
  int64_t left_matrix = 0, right_matrix = 0, result_panel = 0, result_matrix = 0;
};

// fill(begin, end, left at row begin, right at row begin, rows of a panel). The result: [matrix][right
// panel][left][16].
template <class Fill>
void sum_products(const Machine& m, const WeightGradSchedule& s, float* memory, float* result, const Fill& fill) {
  if (s.rows == 0) std::fill_n(result, s.result_floats(), 0.0f);  // a batch of no images
  float *left = memory, *right = memory + s.matrices * s.left_matrix;
  for (int64_t start = 0; start < s.rows; start += s.segment) {
    const int64_t rows = std::min(s.segment, s.rows - start);
    for_tasks(m.pool, ceil_div(rows, s.kFill), [&](int64_t task, int) {
      const int64_t begin = task * s.kFill, end = std::min(begin + s.kFill, rows);
      fill(start + begin, start + end, left + begin * kPanel, right + begin * kPanel);
    });
    const int64_t pairs = ceil_div(s.right_panels, 2);
    for_tasks(m.pool, s.matrices * pairs * s.left_panels, [&](int64_t task, int) {
      const int64_t matrix = task / (pairs * s.left_panels), l = task % s.left_panels,
                    r = task / s.left_panels % pairs * 2;
      m.tiles->multiply_transposed({.a = left + matrix * s.left_matrix + l * s.segment * kPanel,
                                    .a_panel = s.segment * kPanel,
                                    .b = right + matrix * s.right_matrix + r * s.segment * kPanel,
                                    .b_panel = s.segment * kPanel,
                                    .c = result + matrix * s.result_matrix + r * s.result_panel + l * kPanel * kPanel,
                                    .c_panel = s.result_panel,
                                    .rows = std::min(kPanel, s.left - l * kPanel),
                                    .panels = std::min<int64_t>(2, s.right_panels - r),
                                    .depth = rows,
                                    .part = part_of(rows),
                                    .accumulate = start > 0});
    });
  }
}

// G^T u G of 16 neighbouring input channels: u[matrix][lane] -> g[tap][lane].
void transform_back(const float (&u)[kWinogradMatrices][kPanel], float (&g)[9][kPanel]) {
  float half[3][4][kPanel];  // G^T u
  for (int j = 0; j < 4; ++j)
    for (int l = 0; l < kPanel; ++l) {
      const float u0 = u[j][l], u1 = u[4 + j][l], u2 = u[8 + j][l], u3 = u[12 + j][l];
      half[0][j][l] = u0 + 0.5f * (u1 + u2);
      half[1][j][l] = 0.5f * (u1 - u2);
      half[2][j][l] = 0.5f * (u1 + u2) + u3;
    }
  for (int i = 0; i < 3; ++i)
    for (int l = 0; l < kPanel; ++l) {
      const float h0 = half[i][0][l], h1 = half[i][1][l], h2 = half[i][2][l], h3 = half[i][3][l];
      g[3 * i][l] = h0 + 0.5f * (h1 + h2);
      g[3 * i + 1][l] = 0.5f * (h1 - h2);
      g[3 * i + 2][l] = 0.5f * (h1 + h2) + h3;
    }
}

// The sums of one segment in double, rounded once: c(m, n) = [c(m, n) +] sum over rows of left(row, m) * right(row, n),
// as 1x1 convolutions whose pixels are the columns of `left` and whose channels, a block of lanes apart, its rows.
void short_products(const Machine& m, const WeightGradSchedule& s, const float* memory, float* result, bool add) {
  static constexpr float kNoBias[kPanel] = {};
  const float *left = memory, *right = memory + s.left_matrix;
  for_tasks(m.pool, s.left_panels * s.right_panels, [&](int64_t task, int) {
    const int64_t l = task / s.right_panels, p = task % s.right_panels;
    ConvRow r;
    r.source[0] = {left + l * s.segment * kPanel, 0, kPanel, 1, s.rows};
    r.w = right + p * s.segment * kPanel, r.bias = kNoBias;
    r.kernel_h = r.kernel_w = r.kh_end = r.kw_end = 1;
    r.width = std::min(kPanel, s.left - l * kPanel), r.add_y = add;
    r.y = result + p * s.result_panel + l * kPanel * kPanel;
    m.rows->conv_short(r);
  });
}

}  // namespace

void run(const Machine& m, Scratch& scratch, const WeightGrad& op) {
  const WeightGradSchedule s(1, op.left.rows(), op.left.columns(), op.right.panels());
  if (scratch.counts(s.result_floats() + s.segment_floats())) return;
  Scratch::Use use(scratch, s.result_floats() + s.segment_floats());
  float* result = use.take(s.result_floats());
  float* memory = use.take(s.segment_floats());
  const int64_t panel = s.segment * kPanel, columns = op.right.columns();
  const auto fill = [&](int64_t begin, int64_t end, float* left, float* right) {
    op.left.fill(begin, end, left, panel);
    op.right.fill(begin, end, right, panel);
  };
  const auto place = [&](int64_t row, int64_t k) -> float& {
    return result[k / kPanel * s.result_panel + row * kPanel + k % kPanel];
  };
  Grad mode = op.mode;
  if (is_short_sum(s.rows)) {
    fill(0, s.rows, memory, memory + s.left_matrix);
    const bool add = mode == Grad::accumulate;
    if (add)
      for_tasks(m.pool, s.left, [&](int64_t row, int) {
        const float* before = op.row(row);
        for (int64_t k = 0; k < s.right_panels * kPanel; ++k) place(row, k) = k < columns ? before[k] : 0;
      });
    short_products(m, s, memory, result, add);
    mode = Grad::overwrite;
  } else {
    sum_products(m, s, memory, result, fill);
  }
  for_tasks(m.pool, s.left, [&](int64_t row, int) {
    float* to = op.row(row);
    for (int64_t k = 0; k < columns; ++k) store(to[k], place(row, k), mode);
  });
}

void run(const Machine& m, Scratch& scratch, const WinogradWeightGrad& op) {
  const Shape out = op.dy->shape(), w = op.dw->shape();
  const TileGrid grid(out.n, out.h, out.w);
  const std::vector<ChannelPanel> lefts = channel_panels(w.n, 0);
  const std::vector<ChannelPanel> rights =
      channel_panels(op.x[0]->shape().c, op.x[1] != nullptr ? op.x[1]->shape().c : 0);
  const WeightGradSchedule s(kWinogradMatrices, grid.tiles(), w.n, static_cast<int64_t>(rights.size()));
  if (scratch.counts(s.result_floats() + s.segment_floats())) return;
  Scratch::Use use(scratch, s.result_floats() + s.segment_floats());
  float* result = use.take(s.result_floats());
  float* memory = use.take(s.segment_floats());
  sum_products(m, s, memory, result, [&](int64_t begin, int64_t end, float* left, float* right) {
    for (int64_t t = begin; t < end; ++t) {
      const TileGrid::Tile tile = grid.at(t);
      for (size_t p = 0; p < lefts.size(); ++p) {
        float* v = left + (static_cast<int64_t>(p) * s.segment + t - begin) * kPanel;
        with_window(*op.dy, lefts[p], tile.n, tile.h, tile.w, 2, [&](const float* dy, int64_t pixel, int64_t row) {
          m.tiles->winograd_gradient(dy, pixel, row, v, s.left_matrix);
        });
      }
      for (size_t p = 0; p < rights.size(); ++p) {
        float* v = right + (static_cast<int64_t>(p) * s.segment + t - begin) * kPanel;
        with_window(*op.x[rights[p].part], rights[p], tile.n, tile.h - op.pad, tile.w - op.pad, 4,
                    [&](const float* x, int64_t pixel, int64_t row) {
                      m.tiles->winograd_source(x, pixel, row, v, s.right_matrix);
                    });
      }
    }
  });
  float* dw = op.dw->values<float>().data();
  for_tasks(m.pool, w.n, [&](int64_t oc, int) {
    float u[kWinogradMatrices][kPanel], g[9][kPanel];
    for (size_t p = 0; p < rights.size(); ++p) {
      const float* from = result + static_cast<int64_t>(p) * s.result_panel + oc * kPanel;
      for (int matrix = 0; matrix < kWinogradMatrices; ++matrix)
        std::copy_n(from + matrix * s.result_matrix, kPanel, u[matrix]);
      transform_back(u, g);
      for (int64_t tap = 0; tap < 9; ++tap)
        for (int64_t l = 0; l < rights[p].lanes; ++l)
          store(dw[(oc * 9 + tap) * w.c + rights[p].first + l], g[tap][l], op.mode);
    }
  });
}

}  // namespace furrow::cpu
