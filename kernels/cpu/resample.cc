// UpsampleStep and PoolStep on blocked buffers. Both move far more bytes than they compute; plain loops are enough.
#include <algorithm>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {
namespace {

// Where output position o of `out` falls in `in` samples, with align_corners: between samples i0 and i1 = min(i0+1,
// in-1), at `weight` of i1. Computed in double, so that the weight is exact to float32 at any size.
struct Neighbours {
  int64_t i0, i1;
  float weight;
};

Neighbours tap_of(int64_t o, int64_t in, int64_t out) {
  if (out <= 1) return {0, 0, 0};
  const int64_t scaled = o * (in - 1), i0 = scaled / (out - 1);
  return {i0, std::min(i0 + 1, in - 1),
          static_cast<float>(static_cast<double>(scaled % (out - 1)) / static_cast<double>(out - 1))};
}

// One pixel: first along the row, then between the rows.
void blend(const float* upper, const float* lower, const Neighbours& column, float row_weight, int64_t lanes, float* y) {
  const float *a = upper + column.i0 * lanes, *b = upper + column.i1 * lanes;
  const float *c = lower + column.i0 * lanes, *d = lower + column.i1 * lanes;
  const float right = column.weight, left = 1 - right, bottom = row_weight, top = 1 - bottom;
  for (int64_t i = 0; i < lanes; ++i) y[i] = top * (left * a[i] + right * b[i]) + bottom * (left * c[i] + right * d[i]);
}

void check_upsample(const UpsampleStep& s) {
  require(s.x.n > 0 && s.x.h > 0 && s.x.w > 0 && s.x.c > 0 && s.h > 0 && s.w > 0,
          "UpsampleStep: an extent is not positive");
  require(s.y.n == s.x.n && s.y.h > 0 && s.y.w > 0 && s.y.c == s.x.c, "UpsampleStep: shape of y");
}

}  // namespace

size_t upsample_workspace(const UpsampleStep& step) {
  check_upsample(step);
  return static_cast<size_t>(step.y.w) * sizeof(Neighbours);  // the taps of a row, the same for all
}

void run_upsample(const Machine& m, const UpsampleStep& step, const StepBuffers& buffers) {
  check_upsample(step);
  expect(buffers.x[0], step.x, "UpsampleStep: buffer x");
  expect(buffers.y, step.y, "UpsampleStep: buffer y");
  require(buffers.workspace != nullptr, "UpsampleStep: no workspace");
  const BlockedLayout x(step.x), y(step.y);
  Neighbours* taps = reinterpret_cast<Neighbours*>(buffers.workspace);
  const int64_t begin = std::clamp<int64_t>(step.left, 0, step.y.w);
  const int64_t end = std::clamp<int64_t>(step.left + step.w, begin, step.y.w);
  for (int64_t w = begin; w < end; ++w) taps[w] = tap_of(w - step.left, step.x.w, step.w);
  for_tasks(m.pool, step.y.n * y.blocks * step.y.h, [&](int64_t task, int) {
    const int64_t h = task % step.y.h, block = task / step.y.h % y.blocks, n = task / (step.y.h * y.blocks);
    float* row = floats(buffers.y.data) + y.row(n, block, h);
    y.close_row(row, h);
    const int64_t from = h - step.top;
    const bool inside = from >= 0 && from < step.h;
    std::fill(row, row + (inside ? begin : step.y.w) * y.lanes, 0.0f);
    if (!inside) return;
    const Neighbours rows = tap_of(from, step.x.h, step.h);
    const float* upper = floats(buffers.x[0]) + x.row(n, block, rows.i0);
    const float* lower = floats(buffers.x[0]) + x.row(n, block, rows.i1);
    for (int64_t w = begin; w < end; ++w) blend(upper, lower, taps[w], rows.weight, y.lanes, row + w * y.lanes);
    std::fill(row + end * y.lanes, row + step.y.w * y.lanes, 0.0f);
  });
}

void run_pool(const Machine& m, const PoolStep& step, const StepBuffers& buffers) {
  const Shape y = step.y();
  require(step.x.n > 0 && step.x.c > 0 && y.h > 0 && y.w > 0, "PoolStep: nothing to pool");
  expect(buffers.x[0], step.x, "PoolStep: buffer x");
  expect(buffers.y, y, "PoolStep: buffer y");
  const BlockedLayout from(step.x), to(y);
  for_tasks(m.pool, y.n * to.blocks * y.h, [&](int64_t task, int) {
    const int64_t h = task % y.h, block = task / y.h % to.blocks, n = task / (y.h * to.blocks);
    const float* upper = floats(buffers.x[0]) + from.row(n, block, 2 * h);
    float* row = floats(buffers.y.data) + to.row(n, block, h);
    m.rows->pool(upper, upper + from.row_stride, y.w, to.lanes, row);
    to.close_row(row, h);
  });
}

}  // namespace furrow::cpu
