// TapConv: blocks of positions are gathered into a panel matrix, multiplied by the packed weights and stored.
#include <algorithm>

#include "kernels/cpu/eager_conv.h"

namespace furrow::cpu {
namespace {

// A task is `rows` positions of `panels` result panels. 48 rows are whole register tiles on every instruction set.
struct TapSchedule {
  explicit TapSchedule(const TapConv& op)
      : k(op.in.columns()),
        result_panels(static_cast<int64_t>(op.out.size())),
        row_tasks(ceil_div(op.in.rows(), kRows)) {
    const int64_t splits = std::clamp<int64_t>(kMinTasks / row_tasks, 1, ceil_div(result_panels, 4));
    panels = ceil_div(ceil_div(result_panels, splits), 2) * 2;  // AVX-512 takes two at a time
    panel_tasks = ceil_div(result_panels, panels);
  }
  int64_t packed_floats() const { return result_panels * k * kPanel; }
  int64_t gathered_floats() const { return ceil_div(k, kPanel) * kRows * kPanel; }
  int64_t worker_floats() const { return gathered_floats() + panels * kRows * kPanel; }

  static constexpr int64_t kRows = 48, kMinTasks = 16;
  int64_t k, result_panels, row_tasks, panels = 0, panel_tasks = 0;
};

// Results of rows [begin, end), from 16 values a row that the bias is part of or not.
void store_rows(const TapConv& op, int64_t panel, int64_t begin, int64_t end, const float* from, const float* bias,
                Grad mode) {
  const ResultPanel& to = op.out[static_cast<size_t>(panel)];
  const Shape& s = to.y->shape();
  float* y = to.y->values<float>().data();
  for (int64_t r = begin; r < end; ++r, from += kPanel) {
    const int64_t n = r / (op.in.grid_h * op.in.grid_w), i = r / op.in.grid_w % op.in.grid_h, j = r % op.in.grid_w;
    float* at = y + ((n * s.h + i * op.step + to.row) * s.w + j * op.step + to.column) * s.c + to.channel;
    for (int64_t lane = 0; lane < to.lanes; ++lane) {
      float value = from[lane] + (bias != nullptr ? bias[lane] : 0.0f);
      if (op.act == Activation::relu) value = value <= 0 ? 0 : value;
      store(at[lane], value, mode);
    }
  }
}

// What the results are added to, as 16 values a row.
void load_rows(const TapConv& op, int64_t panel, int64_t begin, int64_t end, float* to) {
  const ResultPanel& from = op.out[static_cast<size_t>(panel)];
  const Shape& s = from.y->shape();
  const float* y = from.y->values<float>().data();
  for (int64_t r = begin; r < end; ++r, to += kPanel) {
    const int64_t n = r / (op.in.grid_h * op.in.grid_w), i = r / op.in.grid_w % op.in.grid_h, j = r % op.in.grid_w;
    const float* at = y + ((n * s.h + i * op.step + from.row) * s.w + j * op.step + from.column) * s.c + from.channel;
    for (int64_t lane = 0; lane < kPanel; ++lane) to[lane] = lane < from.lanes ? at[lane] : 0;
  }
}

// Short sums, in double and rounded once: bias and what is added to are terms of them.
void run_short(const Machine& m, const TapConv& op, const TapSchedule& s, int64_t panel, int64_t begin, int64_t end,
               const float* gathered, const float* packed, float* results) {
  static constexpr float kNoBias[kPanel] = {};
  ConvRow r;
  r.source[0] = {gathered, 0, s.kRows * kPanel, kPanel, s.k};
  r.w = packed;
  r.bias = op.bias != nullptr ? op.bias + panel * kPanel : kNoBias;
  r.kernel_h = r.kernel_w = r.kh_end = r.kw_end = 1;
  r.width = end - begin, r.y = results;
  r.add_y = op.mode == Grad::accumulate;
  if (r.add_y) load_rows(op, panel, begin, end, results);
  m.rows->conv_short(r);
  store_rows(op, panel, begin, end, results, nullptr, Grad::overwrite);
}

}  // namespace

void run(const Machine& m, Scratch& scratch, const TapConv& op) {
  if (op.in.rows() == 0 || op.out.empty()) return;  // a batch of no images
  const TapSchedule s(op);
  const int64_t floats = s.packed_floats() + thread_count(m) * s.worker_floats();
  if (scratch.counts(floats)) return;
  Scratch::Use use(scratch, floats);
  float* packed = use.take(s.packed_floats());
  float* workers = use.take(thread_count(m) * s.worker_floats());
  for_tasks(m.pool, s.result_panels, [&](int64_t panel, int) { op.pack(panel, packed + panel * s.k * kPanel); });
  for_tasks(m.pool, s.row_tasks * s.panel_tasks, [&](int64_t task, int worker) {
    const int64_t begin = task / s.panel_tasks * s.kRows, end = std::min(begin + s.kRows, op.in.rows());
    const int64_t first = task % s.panel_tasks * s.panels, last = std::min(first + s.panels, s.result_panels);
    float* gathered = workers + worker * s.worker_floats();
    float* results = gathered + s.gathered_floats();
    op.in.fill(begin, end, gathered, s.kRows * kPanel);
    if (is_short_sum(s.k)) {
      for (int64_t panel = first; panel < last; ++panel)
        run_short(m, op, s, panel, begin, end, gathered, packed + panel * s.k * kPanel, results);
      return;
    }
    m.tiles->multiply({.a = gathered,
                       .a_panel = s.kRows * kPanel,
                       .b = packed + first * s.k * kPanel,
                       .b_panel = s.k * kPanel,
                       .c = results,
                       .c_panel = s.kRows * kPanel,
                       .rows = end - begin,
                       .panels = last - first,
                       .depth = s.k,
                       .part = part_of(s.k)});
    for (int64_t panel = first; panel < last; ++panel)
      store_rows(op, panel, begin, end, results + (panel - first) * s.kRows * kPanel,
                 op.bias != nullptr ? op.bias + panel * kPanel : nullptr, op.mode);
  });
}

}  // namespace furrow::cpu
