// WinogradConv by F(4x4, 3x3) on dense tensors: 9 multiplications in place of 16 by F(2x2, 3x3), and as many values of
// a pixel that are transformed. How it splits its work: winograd4.h.
#include <algorithm>

#include "kernels/cpu/winograd.h"
#include "kernels/cpu/winograd4_run.h"

namespace furrow::cpu {
namespace {

// The step whose schedule a convolution takes: every panel of results counts as 16 channels.
ConvStep step_of(const WinogradConv& op) {
  ConvStep step;
  step.x[0] = op.x[0]->shape();
  step.x[1] = op.x[1] != nullptr ? op.x[1]->shape() : Shape{0, 0, 0, 0};
  step.oc = static_cast<int64_t>(op.out.size()) * kPanel;
  step.geometry = {3, 3, 1, 1};
  return step;
}

class DenseRun : public Winograd4Run {
 public:
  DenseRun(const Machine& m, const WinogradConv& op, const ConvStep& step)
      : Winograd4Run(m, step), op_(op), sources_(channel_panels(step.x[0].c, step.x[1].c)) {}

  void run(Scratch& scratch) const { by_parts() ? run_parts(scratch) : run_whole(scratch); }

 private:
  // There must be tasks enough, and more so where two chunks would transform weights twice.
  bool by_parts() const { return !s_.fused && s_.oc_blocks >= (s_.tiles <= s_.chunk ? 16 : 32); }

  void run_whole(Scratch& scratch) const {
    const int64_t packed = s_.group_floats(s_.oc_blocks);
    const int64_t work = s_.shared_floats() + thread_count(m_) * s_.worker_floats();
    if (scratch.counts(packed + work)) return;
    Scratch::Use use(scratch, packed + work);
    float* u = use.take(packed);
    for_tasks(m_.pool, s_.oc_blocks, [&](int64_t panel, int) {
      const int64_t first = panel / kGroup * kGroup, together = std::min(kGroup, s_.oc_blocks - first);
      op_.pack(panel, 0, s_.k / kPanel, u + s_.group_floats(first) + (panel - first) * s_.k * kPanel,
               together * s_.k * kPanel);
    });
    Winograd4Run::run(u, use.take(work));
  }

  void run_parts(Scratch& scratch) const {
    if (scratch.counts(parts_floats())) return;
    Scratch::Use use(scratch, parts_floats());
    Winograd4Run::run_parts(use.take(parts_floats()));
  }

  void transform_weights(int64_t block, int64_t first, int64_t last, float* u, int64_t matrix) const override {
    op_.pack(block, first, last, u, matrix);
  }

  void transform(int64_t panel, int64_t begin, int64_t end, int64_t base, float* v) const override {
    const ChannelPanel& source = sources_[static_cast<size_t>(panel)];
    const Tensor& x = *op_.x[source.part];
    v += (panel * s_.chunk - base) * kPanel;
    for_runs(s_.high, s_.wide, begin, end, [&](const TileRun& run) {
      transform_dense(m_, x, source, run, v + run.first * kPanel, s_.source_matrix);
    });
  }

  void store(int64_t block, int64_t begin, int64_t end, const float* m, int64_t matrix, float*) const override {
    const ResultPanel& to = op_.out[static_cast<size_t>(block)];
    const Shape& s = to.y->shape();
    Winograd4Result r;
    r.matrix = matrix;
    r.bias = op_.bias != nullptr ? op_.bias + block * kPanel : nullptr;
    r.relu = op_.act == Activation::relu;
    for_runs(s_.high, s_.wide, begin, end, [&](const TileRun& run) {
      const int64_t h = kSide * run.i, w = kSide * run.j;
      float* y = to.y->values<float>().data() + ((run.n * s.h + h) * s.w + w) * s.c + to.channel;
      r.m = m + (run.first - begin) * kPanel, r.height = std::min(kSide, s.h - h);
      const int64_t whole = to.lanes == kPanel ? std::min(run.count, s.w / kSide - run.j) : 0;
      if (whole > 0) {
        r.tiles = whole, r.width = kSide, r.accumulate = op_.mode == Grad::accumulate;
        r.y = y, r.y_pixel = s.c, r.y_tile = kSide * s.c, r.y_row = s.w * s.c;
        m_.tiles->winograd4_result(r);
      }
      for (int64_t t = whole; t < run.count; ++t) store_edge(r, run, t, to, y + kSide * t * s.c);
    });
  }

  // A tile that ends outside the picture or whose panel has fewer than 16 channels, by way of a copy.
  void store_edge(Winograd4Result r, const TileRun& run, int64_t t, const ResultPanel& to, float* y) const {
    const Shape& s = to.y->shape();
    alignas(64) float aside[kPixels * kPanel];
    r.m += t * kPanel, r.tiles = 1, r.width = std::min(kSide, s.w - kSide * (run.j + t)), r.accumulate = false;
    r.y = aside, r.y_pixel = kPanel, r.y_row = kSide * kPanel;
    m_.tiles->winograd4_result(r);
    for (int64_t i = 0; i < r.height; ++i)
      for (int64_t j = 0; j < r.width; ++j)
        for (int64_t lane = 0; lane < to.lanes; ++lane)
          cpu::store(y[(i * s.w + j) * s.c + lane], aside[(kSide * i + j) * kPanel + lane], op_.mode);
  }

  const WinogradConv& op_;
  std::vector<ChannelPanel> sources_;
};

}  // namespace

void transform_dense(const Machine& m, const Tensor& x, const ChannelPanel& panel, const TileRun& run, float* v,
                     int64_t matrix) {
  constexpr int64_t kSide = Winograd4Run::kSide, kWindow = Winograd4Run::kWindow;
  const Shape& s = x.shape();
  const float* from = x.values<float>().data() + run.n * s.h * s.w * s.c + panel.channel;
  // Tiles [first, last) of the run have windows that neither begin before a row nor end after it.
  const int64_t first = run.j == 0 ? 1 : 0;
  const int64_t last = panel.lanes == kPanel ? std::min(run.count, (s.w - 1) / kSide - run.j) : 0;
  if (first < last) {
    const float* at = from + (kSide * (run.j + first) - 1) * s.c;
    transform_windows(
        m, {run.first + first, run.n, run.i, run.j + first, last - first}, s.h, s.c,
        [&](int64_t h) { return at + h * s.w * s.c; }, v + first * kPanel, matrix);
  }
  for (int64_t t = 0; t < run.count; ++t) {  // the others' are copied
    if (t == first && first < last) t = last;
    if (t == run.count) break;
    alignas(64) float window[kWindow * kWindow * kPanel] = {};
    Winograd4Source source;
    for (int64_t i = 0; i < kWindow; ++i) {
      const int64_t h = kSide * run.i - 1 + i;
      source.row[i] = window + i * kWindow * kPanel, source.pixel[i] = kPanel;
      for (int64_t p = 0; p < kWindow; ++p) {
        const int64_t w = kSide * (run.j + t) - 1 + p;
        if (h >= 0 && h < s.h && w >= 0 && w < s.w)
          std::copy_n(from + (h * s.w + w) * s.c, panel.lanes, window + (i * kWindow + p) * kPanel);
      }
    }
    source.tiles = 1, source.v = v + t * kPanel, source.matrix = matrix;
    m.tiles->winograd4_source(source);
  }
}

void transform_gradient(const Machine& m, const Tensor& dy, const ChannelPanel& panel, const TileRun& run, float* v,
                        int64_t matrix) {
  constexpr int64_t kSide = Winograd4Run::kSide;
  const Shape& s = dy.shape();
  const int64_t h0 = kSide * run.i, w0 = kSide * run.j;
  const float* from = dy.values<float>().data() + ((run.n * s.h + h0) * s.w + w0) * s.c + panel.channel;
  const int64_t whole = panel.lanes == kPanel && h0 + kSide <= s.h ? std::min(run.count, s.w / kSide - run.j) : 0;
  Winograd4Source source;
  source.matrix = matrix;
  if (whole > 0) {
    for (int64_t i = 0; i < kSide; ++i) source.row[i] = from + i * s.w * s.c, source.pixel[i] = s.c;
    source.tiles = whole, source.v = v;
    m.tiles->winograd4_gradient(source);
  }
  for (int64_t t = whole; t < run.count; ++t) {
    alignas(64) float window[kSide * kSide * kPanel] = {};
    for (int64_t i = 0; i < kSide; ++i) {
      source.row[i] = window + i * kSide * kPanel, source.pixel[i] = kPanel;
      for (int64_t p = 0; p < kSide && h0 + i < s.h && w0 + kSide * t + p < s.w; ++p)
        std::copy_n(from + (i * s.w + kSide * t + p) * s.c, panel.lanes, window + (i * kSide + p) * kPanel);
    }
    source.tiles = 1, source.v = v + t * kPanel;
    m.tiles->winograd4_gradient(source);
  }
}

bool eager_winograd4_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& y) {
  ConvStep step;
  step.x[0] = {y.n, y.h, y.w, ic}, step.x[1] = {0, 0, 0, 0}, step.oc = oc, step.geometry = g;
  return winograd4_fits(step);
}

bool winograd4_grad_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& dy) {
  constexpr int64_t kLeastPositions = 2048;
  return eager_winograd4_fits(g, ic, oc, dy) && dy.pixels() >= kLeastPositions;
}

// The weights of 16 x 16 channels lie as [ic][tap][oc] before they are transformed.
void winograd4_pack(const Machine& m, const Tensor& w, std::span<const ChannelPanel> in, int64_t oc0, int64_t lanes,
                    float* to, int64_t stride) {
  const int64_t ic = w.shape().c;
  const float* from = w.values<float>().data() + oc0 * 9 * ic;
  for (const ChannelPanel& panel : in) {
    alignas(64) float g[kPanel][9][kPanel] = {};
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t oc = 0; oc < lanes; ++oc)
        for (int64_t c = 0; c < panel.lanes; ++c) g[c][tap][oc] = from[(oc * 9 + tap) * ic + panel.first + c];
    for (int64_t c = 0; c < kPanel; ++c, to += kPanel) m.tiles->winograd4_weights_of(&g[c][0][0], kPanel, to, stride);
  }
}

// Here the lanes of a result follow each other as they are; the last tap comes first.
void winograd4_pack_turned(const Machine& m, const Tensor& w, const ChannelPanel& out, int64_t first, int64_t last,
                           float* to, int64_t stride) {
  const int64_t oc = w.shape().n, ic = w.shape().c;
  const float* from = w.values<float>().data() + out.first;
  alignas(64) float g[9][kPanel] = {};
  for (int64_t k = first * kPanel; k < last * kPanel; ++k, to += kPanel) {
    if (k < oc && out.lanes == kPanel) {
      m.tiles->winograd4_weights_of(from + (k * 9 + 8) * ic, -ic, to, stride);
      continue;
    }
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t lane = 0; lane < out.lanes; ++lane) g[tap][lane] = k < oc ? from[(k * 9 + 8 - tap) * ic + lane] : 0;
    m.tiles->winograd4_weights_of(&g[0][0], kPanel, to, stride);
  }
}

void run_winograd4(const Machine& m, Scratch& scratch, const WinogradConv& op) {
  if (op.x[0]->shape().n == 0 || op.out.empty()) return;  // a batch of no images
  const ConvStep step = step_of(op);
  DenseRun(m, op, step).run(scratch);
}

}  // namespace furrow::cpu
