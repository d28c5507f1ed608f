// UpsampleStep and PoolStep on blocked buffers. Both move more bytes than they compute.
#include <algorithm>

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/steps.h"

namespace furrow::cpu {
namespace {

void check_upsample(const UpsampleStep& s) {
  require(s.x.n > 0 && s.x.h > 0 && s.x.w > 0 && s.x.c > 0 && s.h > 0 && s.w > 0,
          "UpsampleStep: an extent is not positive");
  require(s.y.n == s.x.n && s.y.h > 0 && s.y.w > 0 && s.y.c == s.x.c, "UpsampleStep: shape of y");
}

}  // namespace

size_t upsample_workspace(const UpsampleStep& step) {
  check_upsample(step);
  // The columns that a row mixes, the same for all rows, and where those of each pixel begin.
  return static_cast<size_t>(step.y.w) * 2 * sizeof(MixColumn) + static_cast<size_t>(step.y.w + 1) * sizeof(int64_t);
}

void run_upsample(const Machine& m, const UpsampleStep& step, const StepBuffers& buffers) {
  check_upsample(step);
  expect(buffers.x[0], step.x, "UpsampleStep: buffer x");
  expect(buffers.y, step.y, "UpsampleStep: buffer y");
  require(buffers.workspace != nullptr, "UpsampleStep: no workspace");
  const BlockedLayout x(step.x), y(step.y);
  auto* const columns = reinterpret_cast<MixColumn*>(buffers.workspace);
  auto* const first = reinterpret_cast<int64_t*>(columns + 2 * step.y.w);
  const int64_t begin = std::clamp<int64_t>(step.left, 0, step.y.w);
  const int64_t end = std::clamp<int64_t>(step.left + step.w, begin, step.y.w);
  for (int64_t i = 0; i < end - begin; ++i) {
    const Between at = between(begin + i - step.left, step.x.w, step.w);
    columns[2 * i] = {at.low, 1 - at.fraction}, columns[2 * i + 1] = {at.high, at.fraction};
  }
  for (int64_t i = 0; i <= end - begin; ++i) first[i] = 2 * i;
  for_tasks(m.pool, step.y.n * y.blocks * step.y.h, [&](int64_t task, int) {
    const int64_t h = task % step.y.h, block = task / step.y.h % y.blocks, n = task / (step.y.h * y.blocks);
    float* row = floats(buffers.y.data) + y.row(n, block, h);
    y.close_row(row, h);
    const int64_t from = h - step.top;
    const bool inside = from >= 0 && from < step.h;
    std::fill(row, row + (inside ? begin : step.y.w) * y.lanes, 0.0f);
    if (!inside) return;
    const Between at = between(from, step.x.h, step.h);
    const MixSource rows[] = {{floats(buffers.x[0]) + x.row(n, block, at.low), 1 - at.fraction},
                              {floats(buffers.x[0]) + x.row(n, block, at.high), at.fraction}};
    m.rows->mix({.rows = rows,
                 .row_count = 2,
                 .columns = columns,
                 .first = first,
                 .width = end - begin,
                 .channels = y.lanes,
                 .pixel = y.lanes,
                 .y = row + begin * y.lanes});
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
