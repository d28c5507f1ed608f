// WinogradWeightGrad: dw = G^T [sum over tiles of (A dy A^T) . (B^T x B)] G, of F(2x2, 3x3) and F(4x4, 3x3).
#include <algorithm>

#include "kernels/cpu/weight_sums.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTaps = 9;

// What both have in common: two tensors in, sums over tiles, and for 16 input channels of an output channel nine taps
// of `matrices` sums.
class WeightGradRun {
 public:
  WeightGradRun(const Machine& m, const WinogradWeightGrad& op, int64_t matrices, int64_t tiles)
      : m_(m),
        op_(op),
        lefts_(channel_panels(op.dw->shape().n, 0)),
        rights_(channel_panels(op.x[0]->shape().c, op.x[1] != nullptr ? op.x[1]->shape().c : 0)),
        s_(matrices, tiles, op.dw->shape().n, static_cast<int64_t>(rights_.size())) {}
  virtual ~WeightGradRun() = default;
  WeightGradRun(const WeightGradRun&) = delete;
  WeightGradRun& operator=(const WeightGradRun&) = delete;

  void run(Scratch& scratch) const {
    const auto filled = [&](int64_t begin, int64_t end, float* left, float* right) { fill(begin, end, left, right); };
    const int64_t sums = s_.one_segment() ? thread_count(m_) * s_.block_floats() : s_.result_floats();
    if (scratch.counts(sums + s_.segment_floats())) return;
    Scratch::Use use(scratch, sums + s_.segment_floats());
    float* result = use.take(sums);
    float* memory = use.take(s_.segment_floats());
    if (s_.one_segment())
      return sum_blocks(m_, s_, memory, result, filled, [&](int64_t l, int64_t r, const float* block) {
        for (int64_t p = r; p < std::min(r + s_.kBlockPanels, s_.right_panels); ++p)
          for (int64_t row = 0; row < lefts_[static_cast<size_t>(l)].lanes; ++row)
            finish(l * kPanel + row, p, block + (p - r) * s_.kBlockPanel + row * kPanel, s_.kBlockMatrix);
      });
    sum_products(m_, s_, memory, result, filled);
    for_tasks(m_.pool, s_.left, [&](int64_t oc, int) {
      for (int64_t p = 0; p < s_.right_panels; ++p)
        finish(oc, p, result + p * s_.result_panel + oc * kPanel, s_.result_matrix);
    });
  }

 protected:
  virtual void fill(int64_t begin, int64_t end, float* left, float* right) const = 0;
  // g[tap][16] of the sums at u, `matrix` apart.
  virtual void taps(const float* u, int64_t matrix, float* g) const = 0;

  const Machine& m_;
  const WinogradWeightGrad& op_;
  std::vector<ChannelPanel> lefts_, rights_;
  WeightGradSchedule s_;

 private:
  void finish(int64_t oc, int64_t panel, const float* u, int64_t matrix) const {
    alignas(64) float g[kTaps * kPanel];
    taps(u, matrix, g);
    const ChannelPanel& p = rights_[static_cast<size_t>(panel)];
    const int64_t ic = op_.dw->shape().c;
    float* dw = op_.dw->values<float>().data() + oc * kTaps * ic + p.first;
    for (int64_t tap = 0; tap < kTaps; ++tap)
      for (int64_t l = 0; l < p.lanes; ++l) store(dw[tap * ic + l], g[tap * kPanel + l], op_.mode);
  }
};

class WeightGrad2 : public WeightGradRun {
 public:
  WeightGrad2(const Machine& m, const WinogradWeightGrad& op, const TileGrid& grid)
      : WeightGradRun(m, op, kWinogradMatrices, grid.tiles()), grid_(grid) {}

 private:
  void fill(int64_t begin, int64_t end, float* left, float* right) const override {
    for (int64_t t = begin; t < end; ++t) {
      const TileGrid::Tile tile = grid_.at(t);
      for (size_t p = 0; p < lefts_.size(); ++p) {
        float* v = left + (static_cast<int64_t>(p) * s_.segment + t - begin) * kPanel;
        with_window(*op_.dy, lefts_[p], tile.n, tile.h, tile.w, 2, [&](const float* dy, int64_t pixel, int64_t row) {
          m_.tiles->winograd_gradient(dy, pixel, row, v, s_.left_matrix);
        });
      }
      for (size_t p = 0; p < rights_.size(); ++p) {
        float* v = right + (static_cast<int64_t>(p) * s_.segment + t - begin) * kPanel;
        with_window(*op_.x[rights_[p].part], rights_[p], tile.n, tile.h - op_.pad, tile.w - op_.pad, 4,
                    [&](const float* x, int64_t pixel, int64_t row) {
                      m_.tiles->winograd_source(x, pixel, row, v, s_.right_matrix);
                    });
      }
    }
  }

  // G^T u G
  void taps(const float* u, int64_t matrix, float* g) const override {
    float half[3][4][kPanel];  // G^T u
    for (int j = 0; j < 4; ++j)
      for (int l = 0; l < kPanel; ++l) {
        const float u0 = u[j * matrix + l], u1 = u[(4 + j) * matrix + l], u2 = u[(8 + j) * matrix + l],
                    u3 = u[(12 + j) * matrix + l];
        half[0][j][l] = u0 + 0.5f * (u1 + u2);
        half[1][j][l] = 0.5f * (u1 - u2);
        half[2][j][l] = 0.5f * (u1 + u2) + u3;
      }
    for (int i = 0; i < 3; ++i)
      for (int l = 0; l < kPanel; ++l) {
        const float h0 = half[i][0][l], h1 = half[i][1][l], h2 = half[i][2][l], h3 = half[i][3][l];
        g[(3 * i) * kPanel + l] = h0 + 0.5f * (h1 + h2);
        g[(3 * i + 1) * kPanel + l] = 0.5f * (h1 - h2);
        g[(3 * i + 2) * kPanel + l] = 0.5f * (h1 + h2) + h3;
      }
  }

  TileGrid grid_;
};

class WeightGrad4 : public WeightGradRun {
 public:
  WeightGrad4(const Machine& m, const WinogradWeightGrad& op, const Shape& dy)
      : WeightGradRun(m, op, Winograd4Run::kMatrices, dy.n * ceil_div(dy.h, 4) * ceil_div(dy.w, 4)),
        high_(ceil_div(dy.h, 4)),
        wide_(ceil_div(dy.w, 4)) {}

 private:
  void fill(int64_t begin, int64_t end, float* left, float* right) const override {
    for_runs(high_, wide_, begin, end, [&](const TileRun& run) {
      const int64_t at = (run.first - begin) * kPanel, panel = s_.segment * kPanel;
      for (size_t p = 0; p < lefts_.size(); ++p)
        transform_gradient(m_, *op_.dy, lefts_[p], run, left + static_cast<int64_t>(p) * panel + at, s_.left_matrix);
      for (size_t p = 0; p < rights_.size(); ++p)
        transform_dense(m_, *op_.x[rights_[p].part], rights_[p], run, right + static_cast<int64_t>(p) * panel + at,
                        s_.right_matrix);
    });
  }

  void taps(const float* u, int64_t matrix, float* g) const override { m_.tiles->winograd4_taps(u, matrix, g); }

  int64_t high_, wide_;
};

}  // namespace

void run(const Machine& m, Scratch& scratch, const WinogradWeightGrad& op) {
  const Shape& dy = op.dy->shape();
  WeightGrad2(m, op, TileGrid(dy.n, dy.h, dy.w)).run(scratch);
}

void run_winograd4(const Machine& m, Scratch& scratch, const WinogradWeightGrad& op) {
  WeightGrad4(m, op, op.dy->shape()).run(scratch);
}

}  // namespace furrow::cpu
