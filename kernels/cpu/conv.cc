// ConvStep in float32: packing, and the rows of a direct convolution.
#include <algorithm>

#include "kernels/cpu/conv_run.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kBlock = BlockedLayout::kWide;

// Terms of a sum.
int64_t terms(const ConvStep& s) { return s.geometry.kernel_h * s.geometry.kernel_w * (s.x[0].c + s.x[1].c); }

// Whether the pixels of all sources are 4 lanes.
bool narrow(const ConvStep& s) { return std::max(s.x[0].c, s.x[1].c) <= BlockedLayout::kNarrow; }
bool three_taps(const ConvGeometry& g) { return g.kernel_w == 3 && g.stride == 1 && g.pad <= 1; }

class FloatRun : public ConvRun {
 public:
  FloatRun(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers)
      : ConvRun(m, step, packed, buffers),
        three_taps_(three_taps(step.geometry)),
        conv3_(m.rows->conv3),
        conv_(m.rows->conv) {
    if (!is_short_sum(terms(step))) return;
    conv3_ = narrow(step) ? m.rows->conv3_short : m.rows->conv_short;
    conv_ = m.rows->conv_short;
    most_together_ = kShortBlocks;
  }

 private:
  // One row of blocks [block, block + blocks): the columns whose taps all lie in [-1, W] in wide tiles, the others one
  // by one.
  void compute_rows(int64_t n, int64_t block, int64_t blocks, int64_t oh, float* y, int64_t y_block) const override {
    const ConvGeometry& g = step_.geometry;
    const int64_t top = oh * g.stride - g.pad, ih = step_.x[0].h, iw = step_.x[0].w, width = s_.y.shape.w;
    ConvRow r;
    r.w = packed_.w.values<float>().data() + block * packed_.block_floats;
    r.bias = packed_.b.values<float>().data() + block * kBlock;
    r.kernel_h = g.kernel_h, r.kernel_w = g.kernel_w, r.stride = g.stride, r.relu = step_.act == Activation::relu;
    r.lanes = std::min(blocks * kBlock, step_.oc - block * kBlock);
    r.w_block = packed_.block_floats, r.y_block = y_block;
    r.part = part_of(terms(step_));
    r.kh_begin = std::clamp<int64_t>(-top, 0, g.kernel_h),
    r.kh_end = std::clamp<int64_t>(ih - top, r.kh_begin, g.kernel_h);
    for (int i = 0; i < 2; ++i) {
      const BlockedLayout& x = s_.x[i];
      if (x.shape.c == 0) continue;
      const int64_t row = r.kh_begin < r.kh_end ? top + r.kh_begin : 0;
      r.source[i] = {floats(b_.x[i]) + x.row(n, 0, row), x.row_stride, x.block_stride, x.lanes, x.shape.c};
    }
    if (three_taps_) return tile(r, 0, width, y, conv3_);
    const int64_t inner_begin = std::clamp<int64_t>(ceil_div(std::max<int64_t>(g.pad - 1, 0), g.stride), 0, width);
    const int64_t last = iw + g.pad - g.kernel_w + 1;  // o * stride may be at most this
    const int64_t inner_end = last < 0 ? inner_begin : std::clamp(last / g.stride + 1, inner_begin, width);
    for (int64_t o = 0; o < inner_begin; ++o) tile(r, o, o + 1, y, conv_);
    tile(r, inner_begin, inner_end, y, conv_);
    for (int64_t o = inner_end; o < width; ++o) tile(r, o, o + 1, y, conv_);
  }

  // Outputs [begin, end); a single output has its taps clipped to the image.
  void tile(ConvRow r, int64_t begin, int64_t end, float* y, void (*kernel)(const ConvRow&)) const {
    const ConvGeometry& g = step_.geometry;
    r.first_column = begin * g.stride - g.pad;
    r.width = end - begin;
    r.y = y + begin * kBlock;
    r.kw_begin = 0, r.kw_end = g.kernel_w;
    if (r.width == 1 && !three_taps_) {
      r.kw_begin = std::clamp<int64_t>(-r.first_column, 0, g.kernel_w);
      r.kw_end = std::clamp<int64_t>(step_.x[0].w - r.first_column, r.kw_begin, g.kernel_w);
      if (r.kw_begin == r.kw_end) r.kh_end = r.kh_begin, r.kw_begin = r.kw_end = r.first_column = 0;  // only the bias
    }
    if (r.width > 0) kernel(r);
  }

  bool three_taps_;
  void (*conv3_)(const ConvRow&);
  void (*conv_)(const ConvRow&);
};

// w {OC,KH,KW,IC0+IC1} of one output block -> [source][block][kh][ic][kw][16]
void pack_block(const ConvStep& step, const double* w, int64_t oc0, float* to) {
  const ConvGeometry& g = step.geometry;
  const int64_t ic = step.x[0].c + step.x[1].c, row = g.kernel_w * ic;
  int64_t first = 0;
  for (const Shape& x : step.x) {
    const int64_t lanes = BlockedLayout(x).lanes;
    for (int64_t c0 = 0; c0 < x.c; c0 += lanes) {
      const int64_t channels = std::min(lanes, x.c - c0);
      for (int64_t lane = 0; lane < std::min(kBlock, step.oc - oc0); ++lane)
        for (int64_t kh = 0; kh < g.kernel_h; ++kh)
          for (int64_t kw = 0; kw < g.kernel_w; ++kw) {
            const double* from = w + ((oc0 + lane) * g.kernel_h + kh) * row + kw * ic + first + c0;
            for (int64_t c = 0; c < channels; ++c)
              to[((kh * channels + c) * g.kernel_w + kw) * kBlock + lane] = static_cast<float>(from[c]);
          }
      to += g.kernel_h * channels * g.kernel_w * kBlock;
    }
    first += x.c;
  }
}

}  // namespace

void check_conv(const ConvStep& s) {
  const ConvGeometry& g = s.geometry;
  const Shape &a = s.x[0], &b = s.x[1];
  require(a.n > 0 && a.h > 0 && a.w > 0 && a.c > 0 && s.oc > 0 && s.head >= 0, "ConvStep: an extent is not positive");
  require(b.c == 0 || (b.n == a.n && b.h == a.h && b.w == a.w), "ConvStep: the sources differ in size");
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "ConvStep: bad geometry");
  require(a.h + 2 * g.pad >= g.kernel_h && a.w + 2 * g.pad >= g.kernel_w,
          "ConvStep: the kernel is larger than its input");
}

void check_conv(const ConvStep& step, const StepBuffers& buffers) {
  check_conv(step);
  const Shape y = step.y();
  expect(buffers.x[0], step.x[0], "ConvStep: buffer x[0]");
  if (step.x[1].c > 0) expect(buffers.x[1], step.x[1], "ConvStep: buffer x[1]");
  if (step.store_y) expect(buffers.y, y, "ConvStep: buffer y");
  // A map of one row or column has no window at all: nothing is pooled, and no buffer is needed.
  if (step.pool && y.h / 2 * (y.w / 2) > 0)
    expect(buffers.pooled, {y.n, y.h / 2, y.w / 2, y.c}, "ConvStep: buffer pooled");
  if (step.head > 0) require(buffers.head.shape() == Shape{y.n, y.h, y.w, step.head}, "ConvStep: tensor head");
}

std::unique_ptr<PackedWeights> pack_epilogue(const ConvStep& step, const StepWeights& weights) {
  check_conv(step);
  const ConvGeometry& g = step.geometry;
  const int64_t ic = step.x[0].c + step.x[1].c, blocks = ceil_div(step.oc, kBlock);
  require(weights.w.shape() == Shape{step.oc, g.kernel_h, g.kernel_w, ic}, "ConvStep: shape of the weights");
  require(weights.b.empty() || weights.b.shape().elements() == step.oc, "ConvStep: shape of the bias");
  auto packed = std::make_unique<PackedWeights>();
  packed->b = Tensor({1, 1, 1, blocks * kBlock});
  if (!weights.b.empty()) std::ranges::copy(weights.b.values<double>(), packed->b.values<float>().begin());
  if (step.head == 0) return packed;

  require(weights.head_w.shape() == Shape{step.head, 1, 1, step.oc}, "ConvStep: shape of the head's weights");
  require(weights.head_b.empty() || weights.head_b.shape().elements() == step.head,
          "ConvStep: shape of the head's bias");
  ConvStep head;  // one source, 1x1: packed as any convolution
  head.x[0] = step.y(), head.x[1] = {0, 0, 0, 0}, head.oc = step.head, head.geometry = {1, 1, 1, 0};
  const int64_t head_blocks = ceil_div(step.head, kBlock);
  packed->head_w = Tensor({1, 1, 1, head_blocks * step.oc * kBlock});
  packed->head_b = Tensor({1, 1, 1, head_blocks * kBlock});
  for (int64_t k = 0; k < step.head; k += kBlock)
    pack_block(head, weights.head_w.values<double>().data(), k, packed->head_w.values<float>().data() + k * step.oc);
  if (!weights.head_b.empty())
    std::ranges::copy(weights.head_b.values<double>(), packed->head_b.values<float>().begin());
  return packed;
}

std::unique_ptr<PackedWeights> pack_conv(const Machine& m, const ConvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const ConvGeometry& g = step.geometry;
  const int64_t blocks = ceil_div(step.oc, kBlock);
  packed->block_floats = g.kernel_h * g.kernel_w * (step.x[0].c + step.x[1].c) * kBlock;
  packed->w = Tensor({1, 1, 1, blocks * packed->block_floats});
  const double* from = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  for_tasks(m.pool, blocks,
            [&](int64_t block, int) { pack_block(step, from, block * kBlock, to + block * packed->block_floats); });
  return packed;
}

size_t conv_workspace(const Machine& m, const ConvStep& step) {
  check_conv(step);
  return static_cast<size_t>(thread_count(m) * ConvSchedule(step).worker_floats()) * sizeof(float);
}

void run_conv(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_conv(step, buffers);
  require(buffers.workspace != nullptr || ConvSchedule(step).worker_floats() == 0, "ConvStep: no workspace");
  FloatRun(m, step, packed, buffers).run();
}

std::string conv_algorithm(const Machine& m, const ConvStep& step) {
  check_conv(step);
  const bool tiled = step.geometry.stride <= 2, in_double = is_short_sum(terms(step));
  int tile = tiled ? m.rows->conv_tile : 1, lanes = m.rows->lanes;
  if (in_double && three_taps(step.geometry) && narrow(step)) {
    tile = m.rows->short3_tile;
  } else if (in_double) {  // channels that fit half a register are summed for twice the pixels
    const bool half = 2 * step.oc <= lanes;
    tile = half ? 2 * m.rows->short_tile : m.rows->short_tile;
    lanes = half ? lanes / 2 : lanes;
  }
  return std::string("direct ") + m.rows->isa + " nChw16c " + std::to_string(tile) + "x" + std::to_string(lanes) +
         (in_double ? " in double" : "");
}

}  // namespace furrow::cpu
