// WinogradConv: F(2x2, 3x3) by blocks of tiles that stay in the cache from transform to transform.
//
// In float32 its results lose about two bits against the direct sum: an input is added to three others before it is
// multiplied, and nine products are added after. An infinity makes NaN of the whole tile.
#include "kernels/cpu/winograd.h"

#include <algorithm>

namespace furrow::cpu {
namespace {

// A task transforms `rows` tiles of all source panels, then computes groups of kGroup result panels of them.
struct WinogradSchedule {
  WinogradSchedule(const WinogradConv& op, const TileGrid& grid, int64_t source_panels)
      : k(source_panels * kPanel), result_panels(static_cast<int64_t>(op.out.size())) {
    // 48 and 96 are whole register tiles on every instruction set. More channels, more rows to reuse the weights for.
    const int64_t most = source_panels <= 8 ? 48 : 96, tiles = grid.tiles();
    row_tasks = ceil_div(tiles, most);
    rows = ceil_div(ceil_div(tiles, row_tasks), 12) * 12;
    row_tasks = ceil_div(tiles, rows);
    const int64_t splits = std::clamp<int64_t>(ceil_div(kMinTasks, row_tasks), 1, ceil_div(result_panels, kGroup));
    panels = ceil_div(ceil_div(result_panels, splits), kGroup) * kGroup;
    panel_tasks = ceil_div(result_panels, panels);
    packed_matrix = matrix_floats(result_panels, k);
    source_matrix = matrix_floats(source_panels, rows);
    result_matrix = matrix_floats(std::min(kGroup, result_panels), rows);
  }
  int64_t packed_floats() const { return kWinogradMatrices * packed_matrix; }
  int64_t worker_floats() const { return kWinogradMatrices * (source_matrix + result_matrix); }

  static constexpr int64_t kGroup = 4, kMinTasks = 16;
  int64_t k, result_panels, rows = 0, row_tasks = 0, panels = 0, panel_tasks = 0;
  int64_t packed_matrix = 0, source_matrix = 0, result_matrix = 0;
};

class WinogradRun {
 public:
  WinogradRun(const Machine& m, const WinogradConv& op)
      : m_(m),
        op_(op),
        grid_(op.x[0]->shape().n, op.out_h, op.out_w),
        sources_(channel_panels(op.x[0]->shape().c, op.x[1] != nullptr ? op.x[1]->shape().c : 0)),
        s_(op, grid_, static_cast<int64_t>(sources_.size())) {}

  void run(Scratch& scratch) const {
    const int64_t floats = s_.packed_floats() + thread_count(m_) * s_.worker_floats();
    if (scratch.counts(floats)) return;
    Scratch::Use use(scratch, floats);
    float* packed = use.take(s_.packed_floats());
    float* workers = use.take(thread_count(m_) * s_.worker_floats());
    for_tasks(m_.pool, s_.result_panels,
              [&](int64_t panel, int) {
                op_.pack(panel, 0, s_.k / kPanel, packed + panel * s_.k * kPanel, s_.packed_matrix);
              });
    for_tasks(m_.pool, s_.row_tasks * s_.panel_tasks, [&](int64_t task, int worker) {
      float* own = workers + worker * s_.worker_floats();
      run_task(task / s_.panel_tasks * s_.rows, task % s_.panel_tasks * s_.panels, packed, own);
    });
  }

 private:
  void run_task(int64_t begin, int64_t first, const float* packed, float* own) const {
    const int64_t end = std::min(begin + s_.rows, grid_.tiles()), last = std::min(first + s_.panels, s_.result_panels);
    float* results = own + kWinogradMatrices * s_.source_matrix;
    transform_sources(begin, end, own);
    for (int64_t group = first; group < last; group += WinogradSchedule::kGroup) {
      const int64_t panels = std::min(WinogradSchedule::kGroup, last - group);
      for (int64_t matrix = 0; matrix < kWinogradMatrices; ++matrix)
        m_.tiles->multiply({.a = own + matrix * s_.source_matrix,
                            .a_panel = s_.rows * kPanel,
                            .b = packed + matrix * s_.packed_matrix + group * s_.k * kPanel,
                            .b_panel = s_.k * kPanel,
                            .c = results + matrix * s_.result_matrix,
                            .c_panel = s_.rows * kPanel,
                            .rows = end - begin,
                            .panels = panels,
                            .depth = s_.k});
      for (int64_t tile = begin; tile < end; ++tile)
        for (int64_t panel = group; panel < group + panels; ++panel)
          store(tile, panel, results + ((panel - group) * s_.rows + tile - begin) * kPanel);
    }
  }

  void transform_sources(int64_t begin, int64_t end, float* to) const {
    for (int64_t t = begin; t < end; ++t) {
      const TileGrid::Tile tile = grid_.at(t);
      for (size_t k = 0; k < sources_.size(); ++k) {
        float* v = to + (static_cast<int64_t>(k) * s_.rows + t - begin) * kPanel;
        with_window(*op_.x[sources_[k].part], sources_[k], tile.n, tile.h - op_.pad, tile.w - op_.pad, 4,
                    [&](const float* x, int64_t pixel, int64_t row) {
                      m_.tiles->winograd_source(x, pixel, row, v, s_.source_matrix);
                    });
      }
    }
  }

  void store(int64_t t, int64_t panel, const float* from) const {
    const ResultPanel& to = op_.out[static_cast<size_t>(panel)];
    const TileGrid::Tile tile = grid_.at(t);
    const Shape& s = to.y->shape();
    float* y = to.y->values<float>().data() + ((tile.n * s.h + tile.h) * s.w + tile.w) * s.c + to.channel;
    WinogradResult result{.y = y,
                          .pixel = s.c,
                          .row = s.w * s.c,
                          .height = std::min<int64_t>(2, s.h - tile.h),
                          .width = std::min<int64_t>(2, s.w - tile.w),
                          .bias = op_.bias != nullptr ? op_.bias + panel * kPanel : nullptr,
                          .relu = op_.act == Activation::relu,
                          .accumulate = op_.mode == Grad::accumulate};
    if (to.lanes == kPanel) return m_.tiles->winograd_result(from, s_.result_matrix, result);
    alignas(64) float aside[4 * kPanel];
    result.y = aside, result.pixel = kPanel, result.row = 2 * kPanel, result.accumulate = false;
    m_.tiles->winograd_result(from, s_.result_matrix, result);
    for (int64_t i = 0; i < result.height; ++i)
      for (int64_t j = 0; j < result.width; ++j)
        for (int64_t lane = 0; lane < to.lanes; ++lane)
          cpu::store(y[(i * s.w + j) * s.c + lane], aside[(2 * i + j) * kPanel + lane], op_.mode);
  }

  const Machine& m_;
  const WinogradConv& op_;
  TileGrid grid_;
  std::vector<ChannelPanel> sources_;
  WinogradSchedule s_;
};

// G g G^T of 16 neighbouring input channels at once: g[tap][lane] -> u[matrix][lane].
void transform_weights(const float (&g)[9][kPanel], float (&u)[kWinogradMatrices][kPanel]) {
  float half[4][3][kPanel];  // G g
  for (int j = 0; j < 3; ++j)
    for (int l = 0; l < kPanel; ++l) {
      const float g0 = g[j][l], g1 = g[3 + j][l], g2 = g[6 + j][l];
      half[0][j][l] = g0;
      half[1][j][l] = 0.5f * (g0 + g1 + g2);
      half[2][j][l] = 0.5f * (g0 - g1 + g2);
      half[3][j][l] = g2;
    }
  for (int i = 0; i < 4; ++i)
    for (int l = 0; l < kPanel; ++l) {
      const float h0 = half[i][0][l], h1 = half[i][1][l], h2 = half[i][2][l];
      u[4 * i][l] = h0;
      u[4 * i + 1][l] = 0.5f * (h0 + h1 + h2);
      u[4 * i + 2][l] = 0.5f * (h0 - h1 + h2);
      u[4 * i + 3][l] = h2;
    }
}

// The nine weights of 16 input channels of one output channel; zeros past `lanes`. Turned: the last tap first.
void read_weights(const Tensor& w, int64_t oc, const ChannelPanel& in, bool turned, float (&g)[9][kPanel]) {
  const int64_t ic = w.shape().c;
  const float* from = w.values<float>().data() + oc * 9 * ic + in.first;
  for (int tap = 0; tap < 9; ++tap) {
    const float* row = from + (turned ? 8 - tap : tap) * ic;
    for (int64_t l = 0; l < kPanel; ++l) g[tap][l] = l < in.lanes ? row[l] : 0;
  }
}

}  // namespace

bool winograd_fits(const ConvGeometry& g, int64_t ic, int64_t oc) {
  return g.kernel_h == 3 && g.kernel_w == 3 && g.stride == 1 && ic >= kPanel && oc >= kPanel;
}

bool winograd_grad_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& dy) {
  return winograd_fits(g, ic, oc) && !is_short_sum(TileGrid(dy.n, dy.h, dy.w).tiles());
}

void winograd_pack(const Tensor& w, std::span<const ChannelPanel> in, int64_t oc0, int64_t lanes, float* to,
                   int64_t stride) {
  float g[9][kPanel], u[kWinogradMatrices][kPanel];
  for (size_t panel = 0; panel < in.size(); ++panel) {
    float block[kWinogradMatrices][kPanel][kPanel] = {};  // [matrix][ic][oc]
    for (int64_t oc = 0; oc < lanes; ++oc) {
      read_weights(w, oc0 + oc, in[panel], false, g);
      transform_weights(g, u);
      for (int matrix = 0; matrix < kWinogradMatrices; ++matrix)
        for (int l = 0; l < kPanel; ++l) block[matrix][l][oc] = u[matrix][l];
    }
    for (int matrix = 0; matrix < kWinogradMatrices; ++matrix)
      std::copy_n(&block[matrix][0][0], kPanel * kPanel,
                  to + matrix * stride + static_cast<int64_t>(panel) * kPanel * kPanel);
  }
}

void winograd_pack_turned(const Tensor& w, const ChannelPanel& out, int64_t first, int64_t last, float* to,
                          int64_t stride) {
  const int64_t oc = w.shape().n;
  float g[9][kPanel], u[kWinogradMatrices][kPanel] = {};
  for (int64_t k = first * kPanel; k < last * kPanel; ++k, to += kPanel) {
    if (k < oc) {
      read_weights(w, k, out, true, g);
      transform_weights(g, u);
    }
    for (int matrix = 0; matrix < kWinogradMatrices; ++matrix)
      for (int l = 0; l < kPanel; ++l) to[matrix * stride + l] = k < oc ? u[matrix][l] : 0;
  }
}

void run(const Machine& m, Scratch& scratch, const WinogradConv& op) {
  if (op.x[0]->shape().n == 0 || op.out_h == 0 || op.out_w == 0 || op.out.empty()) return;  // a batch of no images
  WinogradRun(m, op).run(scratch);
}

}  // namespace furrow::cpu
