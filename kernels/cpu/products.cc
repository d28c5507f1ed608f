#include "kernels/cpu/products.h"

#include <algorithm>

namespace furrow::cpu {
namespace {

constexpr int64_t kProductLanes = BlockedLayout::kWide;
constexpr int64_t kProductRows = 96;   // pixels of a task, whole register tiles on every instruction set
constexpr int64_t kProductGroup = 8;   // blocks of results of a task, at least
constexpr int64_t kProductTasks = 32;  // fewer are split by blocks of results

// What a convolution of either kind multiplies: rows of `columns` blocks of 16 against `blocks` panels of weights.
struct ProductSchedule {
  ProductSchedule(int64_t images, int64_t pixels, int64_t result_blocks) : n(images), blocks(result_blocks) {
    chunks = ceil_div(pixels, kProductRows);
    const int64_t splits = std::clamp<int64_t>(ceil_div(kProductTasks, n * chunks), 1, ceil_div(blocks, kProductGroup));
    task_blocks = ceil_div(blocks, splits);
    block_tasks = ceil_div(blocks, task_blocks);
  }
  int64_t tasks() const { return block_tasks * n * chunks; }
  int64_t n, blocks, chunks = 0, task_blocks = 0, block_tasks = 0;
};

// Pixels of one image of a layout, with the zero pixel after each line.
int64_t flat_pixels(const Shape& s) { return s.h * (s.w + 1); }

bool in_place(const ConvStep& step) { return step.geometry == ConvGeometry{1, 1, 1, 0}; }

int64_t source_blocks(const Shape& x) { return ceil_div(x.c, kProductLanes); }

// Terms of a sum as they are multiplied: whole blocks of every tap, but for the lanes past the last channel of all.
int64_t product_depth(const Shape& x, int64_t taps) {
  return (taps * source_blocks(x) - 1) * kProductLanes + x.c - (source_blocks(x) - 1) * kProductLanes;
}

// Copies what row after row of the product reads, flat pixels [begin, end) of y: [tap][block][row][16].
void gather_taps(const ConvStep& step, const BlockedLayout& x, const float* from, int64_t n, int64_t begin, int64_t end,
                 float* to) {
  const ConvGeometry& g = step.geometry;
  const Shape y = step.y();
  for (int64_t kh = 0; kh < g.kernel_h; ++kh)
    for (int64_t kw = 0; kw < g.kernel_w; ++kw)
      for (int64_t block = 0; block < x.blocks; ++block, to += kProductRows * kProductLanes) {
        // Lanes past the last channel have no meaning; those of the last block of all are not multiplied.
        const int64_t lanes = std::min(kProductLanes, x.shape.c - block * kProductLanes);
        for (int64_t p = begin; p < end; ++p) {
          const int64_t h = p / (y.w + 1) * g.stride - g.pad + kh, w = p % (y.w + 1) * g.stride - g.pad + kw;
          float* row = to + (p - begin) * kProductLanes;
          if (h < 0 || h >= x.shape.h || w < 0 || w >= x.shape.w || p % (y.w + 1) == y.w) {
            std::fill_n(row, kProductLanes, 0.0f);
            continue;
          }
          std::copy_n(from + x.row(n, block, h) + w * kProductLanes, kProductLanes, row);
          for (int64_t lane = lanes; lane < kProductLanes; ++lane) row[lane] = 0;
        }
      }
}

// w {OC,TAPS,IC} of one block of results and tap -> [ic, filled up to whole blocks][16]
void pack_tap(const double* w, int64_t taps, int64_t ic, int64_t outputs, float* to) {
  for (int64_t c = 0; c < ic; ++c)
    for (int64_t lane = 0; lane < outputs; ++lane)
      to[c * kProductLanes + lane] = static_cast<float>(w[lane * taps * ic + c]);
}

}  // namespace

bool product_fits(const ConvStep& step) {
  const ConvGeometry& g = step.geometry;
  return (in_place(step) || g.stride > 1) && step.x[1].c == 0 && step.x[0].c > BlockedLayout::kNarrow &&
         step.oc >= kProductLanes && step.store_y && !step.pool && step.head == 0 &&
         !is_short_sum(g.kernel_h * g.kernel_w * step.x[0].c);
}

std::unique_ptr<PackedWeights> pack_product(const Machine& m, const ConvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const ConvGeometry& g = step.geometry;
  const int64_t taps = g.kernel_h * g.kernel_w, ic = step.x[0].c, blocks = ceil_div(step.oc, kProductLanes);
  const int64_t tap_floats = source_blocks(step.x[0]) * kProductLanes * kProductLanes;
  packed->block_floats = taps * tap_floats;
  packed->w = Tensor({1, 1, 1, blocks * packed->block_floats});
  const double* from = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  for_tasks(m.pool, blocks * taps, [&](int64_t task, int) {
    const int64_t block = task / taps, tap = task % taps;
    pack_tap(from + (block * kProductLanes * taps + tap) * ic, taps, ic,
             std::min(kProductLanes, step.oc - block * kProductLanes),
             to + block * packed->block_floats + tap * tap_floats);
  });
  return packed;
}

size_t product_workspace(const Machine& m, const ConvStep& step) {
  check_conv(step);
  if (in_place(step)) return 0;
  const int64_t panels = step.geometry.kernel_h * step.geometry.kernel_w * source_blocks(step.x[0]);
  return static_cast<size_t>(thread_count(m) * panels * kProductRows * kProductLanes) * sizeof(float);
}

void run_product(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_conv(step, buffers);
  require(buffers.workspace != nullptr || in_place(step), "ConvStep: no workspace");
  const BlockedLayout x(step.x[0]), y(step.y());
  const int64_t pixels = flat_pixels(y.shape), taps = step.geometry.kernel_h * step.geometry.kernel_w;
  const ProductSchedule s(y.shape.n, pixels, y.blocks);
  const int64_t own_floats = taps * x.blocks * kProductRows * kProductLanes;
  for_tasks(m.pool, s.tasks(), [&](int64_t task, int worker) {
    const int64_t begin = task % s.chunks * kProductRows, end = std::min(begin + kProductRows, pixels);
    const int64_t n = task / s.chunks % s.n, block = task / s.chunks / s.n * s.task_blocks;
    const int64_t blocks = std::min(s.task_blocks, s.blocks - block);
    float* own = floats(buffers.workspace) + worker * own_floats;
    if (!in_place(step)) gather_taps(step, x, floats(buffers.x[0]), n, begin, end, own);
    float* to = floats(buffers.y.data) + y.row(n, block, 0);
    const int64_t depth = product_depth(step.x[0], taps);
    m.tiles->multiply({.a = in_place(step) ? floats(buffers.x[0]) + x.row(n, 0, 0) + begin * kProductLanes : own,
                       .a_panel = in_place(step) ? x.block_stride : kProductRows * kProductLanes,
                       .b = packed.w.values<float>().data() + block * packed.block_floats,
                       .b_panel = packed.block_floats,
                       .c = to + begin * kProductLanes,
                       .c_panel = y.block_stride,
                       .rows = end - begin,
                       .panels = blocks,
                       .depth = depth,
                       .part = part_of(depth),
                       .bias = packed.b.values<float>().data() + block * kProductLanes,
                       .relu = step.act == Activation::relu});
    for (int64_t b = 0; b < blocks; ++b, to += y.block_stride) {
      if (begin == 0) std::fill_n(to - kProductLanes, kProductLanes, 0.0f);
      for (int64_t p = begin / (y.shape.w + 1) * (y.shape.w + 1) + y.shape.w; p < end; p += y.shape.w + 1)
        if (p >= begin) std::fill_n(to + p * kProductLanes, kProductLanes, 0.0f);
    }
  });
}

// Parts of shorter sums are so short that adding them up in memory costs what the product saves.
bool product_fits(const UpconvStep& step) {
  constexpr int64_t kLeastTerms = 256;
  return step.x.c >= kLeastTerms && step.y.c >= kProductLanes && step.top == 0 && step.left == 0 &&
         step.y.h == 2 * step.x.h && step.y.w == 2 * step.x.w;
}

// Panels go [block][tap]: a task has all four taps of its blocks.
std::unique_ptr<PackedWeights> pack_product(const Machine& m, const UpconvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const int64_t ic = step.x.c, oc = step.y.c, blocks = ceil_div(oc, kProductLanes);
  const int64_t tap_floats = source_blocks(step.x) * kProductLanes * kProductLanes;
  packed->block_floats = 4 * tap_floats;
  packed->w = Tensor({1, 1, 1, blocks * packed->block_floats});
  const double* from = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  for_tasks(m.pool, blocks * 4, [&](int64_t task, int) {
    const int64_t block = task / 4, tap = task % 4;
    pack_tap(from + (block * kProductLanes * 4 + tap) * ic, 4, ic, std::min(kProductLanes, oc - block * kProductLanes),
             to + block * packed->block_floats + tap * tap_floats);
  });
  // Each block's bias once for every tap.
  Tensor bias({1, 1, 1, blocks * 4 * kProductLanes});
  for (int64_t panel = 0; panel < blocks * 4; ++panel)
    std::copy_n(packed->b.values<float>().data() + panel / 4 * kProductLanes, kProductLanes,
                bias.values<float>().data() + panel * kProductLanes);
  packed->b = std::move(bias);
  return packed;
}

namespace {

// Of a worker: the results of a chunk, [4 panels of a block][row][16], kUpBlocks blocks at a time.
constexpr int64_t kUpBlocks = 4;

}  // namespace

size_t product_workspace(const Machine& m, const UpconvStep& step) {
  check_upconv(step);
  return static_cast<size_t>(thread_count(m) * 4 * kUpBlocks * kProductRows * kProductLanes) * sizeof(float);
}

void run_product(const Machine& m, const UpconvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_upconv(step, buffers);
  require(buffers.workspace != nullptr, "UpconvStep: no workspace");
  const BlockedLayout x(step.x), y(step.y);
  const int64_t pixels = flat_pixels(step.x), line = step.x.w + 1;
  const ProductSchedule s(step.x.n, pixels, y.blocks);
  for_tasks(m.pool, s.tasks(), [&](int64_t task, int worker) {
    const int64_t begin = task % s.chunks * kProductRows, end = std::min(begin + kProductRows, pixels);
    const int64_t n = task / s.chunks % s.n, first = task / s.chunks / s.n * s.task_blocks;
    const int64_t last = std::min(first + s.task_blocks, s.blocks);
    float* own = floats(buffers.workspace) + worker * 4 * kUpBlocks * kProductRows * kProductLanes;
    for (int64_t block = first; block < last; block += kUpBlocks) {
      const int64_t blocks = std::min(kUpBlocks, last - block);
      m.tiles->multiply({.a = floats(buffers.x[0]) + x.row(n, 0, 0) + begin * kProductLanes,
                         .a_panel = x.block_stride,
                         .b = packed.w.values<float>().data() + block * packed.block_floats,
                         .b_panel = packed.block_floats / 4,
                         .c = own,
                         .c_panel = kProductRows * kProductLanes,
                         .rows = end - begin,
                         .panels = 4 * blocks,
                         .depth = step.x.c,
                         .part = part_of(step.x.c),
                         .bias = packed.b.values<float>().data() + block * 4 * kProductLanes});
      for (int64_t b = 0; b < blocks; ++b)
        for (int64_t i = 0; i < 2; ++i) {
          const float* taps = own + (4 * b + 2 * i) * kProductRows * kProductLanes;
          for (int64_t p = begin; p < end; ++p) {
            const int64_t h = 2 * (p / line) + i, w = 2 * (p % line);
            float* row = floats(buffers.y.data) + y.row(n, block + b, h);
            if (p % line == step.x.w) {
              y.close_row(row, h);
              continue;
            }
            const float* left = taps + (p - begin) * kProductLanes;
            std::copy_n(left, kProductLanes, row + w * kProductLanes);
            std::copy_n(left + kProductRows * kProductLanes, kProductLanes, row + (w + 1) * kProductLanes);
          }
        }
    }
  });
}

std::string product_algorithm(const Machine& m, const ConvStep&) {
  return std::string("product ") + m.tiles->isa + " nChw16c " + std::to_string(m.tiles->rows) + "x" +
         std::to_string(m.tiles->columns);
}
std::string product_algorithm(const Machine& m, const UpconvStep&) { return product_algorithm(m, ConvStep{}); }

}  // namespace furrow::cpu
