// Gradients with respect to weights as products of gathered matrices, summed over positions (weight_sums.h). Fewer than
// 49 positions in all are one sum in double.
#include <algorithm>

#include "kernels/cpu/weight_sums.h"

namespace furrow::cpu {
namespace {

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

}  // namespace furrow::cpu
