// UpconvStep: each output row 2h+i is a matrix product of input row h with the weights of i, both columns j at once.
#include <algorithm>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kWide = BlockedLayout::kWide;

// A task is `rows` output rows of one output block.
struct UpconvSchedule {
  explicit UpconvSchedule(const UpconvStep& s) : x(s.x), y(s.y), oc_blocks(ceil_div(s.y.c, kWide)) {
    rows = std::clamp<int64_t>(256 / std::max<int64_t>(y.shape.w, 1), 2, 16);
    row_tasks = ceil_div(y.shape.h, rows);
    // A row that does not lie whole inside y, or is narrow, is computed aside and copied from there.
    aside = y.lanes != kWide || s.left < 0 || s.left + 2 * s.x.w > s.y.w;
  }
  int64_t tasks() const { return oc_blocks * y.shape.n * row_tasks; }
  int64_t worker_floats() const { return aside ? 2 * x.shape.w * kWide : 0; }

  BlockedLayout x, y;
  int64_t oc_blocks, rows = 2, row_tasks = 1;
  bool aside = false;
};

// Columns [begin, end) of the row of y are columns [begin - left, end - left) of the 2w computed ones.
void copy_part(const UpconvStep& s, const BlockedLayout& y, const float* computed, float* row) {
  const int64_t begin = std::clamp<int64_t>(s.left, 0, s.y.w),
                end = std::clamp<int64_t>(s.left + 2 * s.x.w, begin, s.y.w);
  if (begin == end) return;
  const float* from = computed + (begin - s.left) * kWide;
  if (y.lanes == kWide)
    std::copy_n(from, (end - begin) * kWide, row + begin * kWide);
  else
    narrow_row(from, end - begin, row + begin * y.lanes);
}

// A row of short sums: each column j is a 1x1 convolution into every second pixel.
void short_row(const RowKernels& rows, const UpconvRow& u) {
  ConvRow r;
  r.source[0] = u.source;
  r.w = u.w, r.bias = u.bias;
  r.kernel_h = r.kh_end = 1, r.kernel_w = 2;
  r.width = u.width, r.lanes = u.lanes, r.y_pixel = 2 * kWide;
  for (int64_t j = 0; j < 2; ++j) {
    r.kw_begin = j, r.kw_end = j + 1, r.first_column = -j, r.y = u.y + j * kWide;
    rows.conv_short(r);
  }
}

void fill_zero(float* row, int64_t lanes, int64_t begin, int64_t end) {
  if (begin < end) std::fill(row + begin * lanes, row + end * lanes, 0.0f);
}

}  // namespace

void check_upconv(const UpconvStep& s) {
  require(s.x.n > 0 && s.x.h > 0 && s.x.w > 0 && s.x.c > 0, "UpconvStep: an extent of x is not positive");
  require(s.y.n == s.x.n && s.y.h > 0 && s.y.w > 0 && s.y.c > 0, "UpconvStep: shape of y");
}

void check_upconv(const UpconvStep& step, const StepBuffers& buffers) {
  check_upconv(step);
  expect(buffers.x[0], step.x, "UpconvStep: buffer x");
  expect(buffers.y, step.y, "UpconvStep: buffer y");
}

std::unique_ptr<PackedWeights> pack_epilogue(const UpconvStep& step, const StepWeights& weights) {
  check_upconv(step);
  const int64_t ic = step.x.c, oc = step.y.c;
  require(weights.w.shape() == Shape{oc, 2, 2, ic}, "UpconvStep: shape of the weights");
  require(weights.b.empty() || weights.b.shape().elements() == oc, "UpconvStep: shape of the bias");
  auto packed = std::make_unique<PackedWeights>();
  packed->b = Tensor({1, 1, 1, ceil_div(oc, kWide) * kWide});
  if (!weights.b.empty()) std::ranges::copy(weights.b.values<double>(), packed->b.values<float>().begin());
  return packed;
}

std::unique_ptr<PackedWeights> pack_upconv(const Machine& m, const UpconvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const int64_t ic = step.x.c, oc = step.y.c, blocks = ceil_div(oc, kWide);
  packed->block_floats = 4 * ic * kWide;
  packed->w = Tensor({1, 1, 1, blocks * packed->block_floats});
  const double* from = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  for_tasks(m.pool, blocks, [&](int64_t block, int) {  // {OC,2,2,IC} -> [block][i][ic][j][16]
    for (int64_t lane = 0; lane < std::min(kWide, oc - block * kWide); ++lane)
      for (int64_t ij = 0; ij < 4; ++ij)
        for (int64_t c = 0; c < ic; ++c)
          to[(((block * 2 + ij / 2) * ic + c) * 2 + ij % 2) * kWide + lane] =
              static_cast<float>(from[((block * kWide + lane) * 4 + ij) * ic + c]);
  });
  return packed;
}

size_t upconv_workspace(const Machine& m, const UpconvStep& step) {
  check_upconv(step);
  return static_cast<size_t>(thread_count(m) * UpconvSchedule(step).worker_floats()) * sizeof(float);
}

void run_upconv(const Machine& m, const UpconvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_upconv(step, buffers);
  const UpconvSchedule s(step);
  require(buffers.workspace != nullptr || s.worker_floats() == 0, "UpconvStep: no workspace");
  const float* w = packed.w.values<float>().data();
  const float* bias = packed.b.values<float>().data();
  for_tasks(m.pool, s.tasks(), [&](int64_t task, int worker) {
    const int64_t r0 = task % s.row_tasks * s.rows, r1 = std::min(r0 + s.rows, step.y.h);
    const int64_t n = task / s.row_tasks % step.y.n, block = task / (s.row_tasks * step.y.n);
    float* own = floats(buffers.workspace) + worker * s.worker_floats();
    for (int64_t r = r0; r < r1; ++r) {
      float* row = floats(buffers.y.data) + s.y.row(n, block, r);
      const int64_t from = r - step.top;  // row of the 2h computed ones
      s.y.close_row(row, r);
      if (from < 0 || from >= 2 * step.x.h) {
        fill_zero(row, s.y.lanes, 0, step.y.w);
        continue;
      }
      const ConvSource source{floats(buffers.x[0]) + s.x.row(n, 0, from / 2), s.x.row_stride, s.x.block_stride,
                              s.x.lanes, step.x.c};
      const UpconvRow up{source,
                         w + block * packed.block_floats + from % 2 * (packed.block_floats / 2),
                         bias + block * kWide,
                         part_of(step.x.c),
                         step.x.w,
                         std::min(kWide, step.y.c - block * kWide),
                         s.aside ? own : row + step.left * kWide};
      is_short_sum(step.x.c) ? short_row(*m.rows, up) : m.rows->upconv(up);
      if (s.aside) copy_part(step, s.y, own, row);
      fill_zero(row, s.y.lanes, 0, std::min(step.left, step.y.w));
      fill_zero(row, s.y.lanes, std::max<int64_t>(step.left + 2 * step.x.w, 0), step.y.w);
    }
  });
}

std::string upconv_algorithm(const Machine& m, const UpconvStep& step) {
  const bool in_double = is_short_sum(step.x.c);
  const int tile = in_double ? m.rows->short_tile : m.rows->conv_tile / 2;
  return std::string("gemm ") + m.rows->isa + " nChw16c " + std::to_string(tile) + (in_double ? "x1x" : "x2x") +
         std::to_string(m.rows->lanes) + (in_double ? " in double" : "");
}

}  // namespace furrow::cpu
