// ConvStep: packing, the split into tasks, and what is done with a row while it is in the cache.
#include <algorithm>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kBlock = BlockedLayout::kWide;

// Terms of a sum.
int64_t terms(const ConvStep& s) { return s.geometry.kernel_h * s.geometry.kernel_w * (s.x[0].c + s.x[1].c); }

// Whether the pixels of all sources are 4 lanes.
bool narrow(const ConvStep& s) { return std::max(s.x[0].c, s.x[1].c) <= BlockedLayout::kNarrow; }
bool three_taps(const ConvGeometry& g) { return g.kernel_w == 3 && g.stride == 1 && g.pad <= 1; }

// The split of a step. A task is `rows` output rows (even, so that a pooling window never straddles two tasks) of
// `task_blocks` output blocks; inside it, blocks are the outer loop, so the weights of a block are read from the
// second-level cache for all its rows but the first. Few wide rows or many narrow ones: about 256 pixels.
struct ConvSchedule {
  explicit ConvSchedule(const ConvStep& s)
      : x{BlockedLayout(s.x[0]), BlockedLayout(s.x[1].c > 0 ? s.x[1] : Shape{0, 0, 0, 0})},
        y(s.y()),
        pooled(Shape{s.y().n, s.y().h / 2, s.y().w / 2, s.oc}),
        oc_blocks(ceil_div(s.oc, kBlock)) {
    rows = std::clamp<int64_t>(kTaskPixels / y.shape.w / 2 * 2, 2, 16);
    row_tasks = ceil_div(y.shape.h, rows);
    // The head needs every channel of its pixel, so a step with a head is split by rows only.
    const int64_t splits = s.head > 0 ? 1 : std::min(oc_blocks, ceil_div(kMinTasks, y.shape.n * row_tasks));
    task_blocks = ceil_div(oc_blocks, splits);
    block_tasks = ceil_div(oc_blocks, task_blocks);
    hold = !s.store_y || y.lanes != kBlock;
    head = s.head > 0;
    held_blocks = head ? oc_blocks : 1;
  }
  int64_t tasks() const { return block_tasks * y.shape.n * row_tasks; }
  // Rows that are not stored in y, or only narrowed, are held here: [block][row][pixel][16], per worker.
  int64_t held_floats() const { return hold ? held_blocks * rows * y.shape.w * kBlock : 0; }
  // A row of pooled values before it is narrowed, or of the head before it is made dense.
  int64_t scratch_floats() const { return head ? y.shape.w * kBlock : y.lanes != kBlock ? pooled.shape.w * kBlock : 0; }
  int64_t worker_floats() const { return ceil_div(held_floats() + scratch_floats(), kBlock) * kBlock; }

  static constexpr int64_t kTaskPixels = 256, kMinTasks = 32;
  BlockedLayout x[2], y, pooled;
  int64_t oc_blocks, rows = 2, row_tasks = 1, task_blocks = 1, block_tasks = 1;
  bool hold = false, head = false;
  int64_t held_blocks = 1;
};

class ConvRun {
 public:
  ConvRun(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers)
      : m_(m),
        step_(step),
        packed_(packed),
        b_(buffers),
        s_(step),
        three_taps_(three_taps(step.geometry)),
        short_(is_short_sum(terms(step))),
        conv3_(short_ ? (narrow(step) ? m.rows->conv3_short : m.rows->conv_short) : m.rows->conv3),
        conv_(short_ ? m.rows->conv_short : m.rows->conv),
        pools_(step.pool && s_.pooled.floats() > 0 && s_.pooled.shape.pixels() > 0) {
    Tensor head = buffers.head;
    if (step.head > 0) head_ = head.values<float>().data();
  }

  void run() {
    for_tasks(m_.pool, s_.tasks(), [this](int64_t task, int worker) { run_task(task, worker); });
  }

 private:
  // Where a block's row of 16 lanes per pixel is computed.
  struct Rows {
    float* first;                      // row r0 of the task's first block
    int64_t row_stride, block_stride;  // floats
  };

  void run_task(int64_t task, int worker) const {
    const Shape& y = s_.y.shape;
    const int64_t r0 = task % s_.row_tasks * s_.rows, r1 = std::min(r0 + s_.rows, y.h);
    const int64_t n = task / s_.row_tasks % y.n;
    const int64_t block0 = task / (s_.row_tasks * y.n) * s_.task_blocks;
    const int64_t block1 = std::min(block0 + s_.task_blocks, s_.oc_blocks);
    float* own = floats(b_.workspace) + worker * s_.worker_floats();
    const Rows wide = s_.hold ? Rows{own, y.w * kBlock, s_.held_blocks > 1 ? s_.rows * y.w * kBlock : 0}
                              : Rows{floats(b_.y.data) + s_.y.row(n, block0, r0), s_.y.row_stride, s_.y.block_stride};
    const int64_t most = short_ && wide.block_stride > 0 ? kShortBlocks : 1;  // blocks of a call
    for (int64_t block = block0, together; block < block1; block += together) {
      together = std::min(most, block1 - block);
      for (int64_t r = r0; r < r1; ++r) {
        float* row = wide.first + (block - block0) * wide.block_stride + (r - r0) * wide.row_stride;
        compute_rows(n, block, together, r, row, wide.block_stride);
        for (int64_t b = block; b < block + together; ++b, row += wide.block_stride) {
          if (step_.store_y) store_row(n, b, r, row);
          if (pools_ && (r - r0) % 2 == 1) pool_rows(n, b, r / 2, row - wide.row_stride, row, own + s_.held_floats());
        }
      }
    }
    if (s_.head)
      for (int64_t r = r0; r < r1; ++r) {
        const float* row = wide.first + (r - r0) * wide.row_stride;
        head_row(n, r, row, wide.block_stride, own + s_.held_floats());
      }
  }

  // One row of blocks [block, block + blocks): the columns whose taps all lie in [-1, W] in wide tiles, the others one
  // by one.
  void compute_rows(int64_t n, int64_t block, int64_t blocks, int64_t oh, float* y, int64_t y_block) const {
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

  void store_row(int64_t n, int64_t block, int64_t h, const float* wide) const {
    float* to = floats(b_.y.data) + s_.y.row(n, block, h);
    if (s_.y.lanes != kBlock) narrow_row(wide, s_.y.shape.w, to);
    s_.y.close_row(to, h);
  }

  void pool_rows(int64_t n, int64_t block, int64_t h, const float* upper, const float* lower, float* scratch) const {
    const int64_t width = s_.pooled.shape.w;
    float* to = floats(b_.pooled.data) + s_.pooled.row(n, block, h);
    const bool narrow = s_.pooled.lanes != kBlock;
    m_.rows->pool(upper, lower, width, kBlock, narrow ? scratch : to);
    if (narrow) narrow_row(scratch, width, to);
    s_.pooled.close_row(to, h);
  }

  // The head of one row: a 1x1 convolution of its 16-lane pixels, whose first lanes go into the dense tensor.
  void head_row(int64_t n, int64_t h, const float* y, int64_t block_stride, float* scratch) const {
    const Shape& s = s_.y.shape;
    float* out = head_ + (n * s.h + h) * s.w * step_.head;
    ConvRow r;
    r.source[0] = {y, 0, block_stride, kBlock, step_.oc};
    r.kernel_h = r.kernel_w = r.kh_end = r.kw_end = 1;
    r.part = part_of(step_.oc);
    r.width = s.w, r.y = scratch;
    for (int64_t k = 0; k < step_.head; k += kBlock) {
      r.w = packed_.head_w.values<float>().data() + k * step_.oc;
      r.bias = packed_.head_b.values<float>().data() + k;
      r.lanes = std::min(kBlock, step_.head - k);
      is_short_sum(step_.oc) ? m_.rows->conv_short(r) : m_.rows->conv(r);
      for (int64_t w = 0; w < s.w; ++w)
        for (int64_t i = 0; i < r.lanes; ++i) out[w * step_.head + k + i] = scratch[w * kBlock + i];
    }
  }

  const Machine& m_;
  const ConvStep& step_;
  const PackedWeights& packed_;
  const StepBuffers& b_;
  ConvSchedule s_;
  bool three_taps_, short_;
  void (*conv3_)(const ConvRow&);
  void (*conv_)(const ConvRow&);
  bool pools_;
  float* head_ = nullptr;  // the head's tensor
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
  ConvRun(m, step, packed, buffers).run();
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
