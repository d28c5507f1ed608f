// 3x3 maximum every two pixels, the picture padded by one: eager, its gradient, and the planned step.
#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/more_steps.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

float max_of(float a, float b) { return a > b || a != a ? a : b; }  // NaN wins

Shape pooled(const Shape& x) { return {x.n, (x.h + 1) / 2, (x.w + 1) / 2, x.c}; }

// Rows or columns of the window `o` that exist.
struct Span {
  int64_t begin, end;
};
Span window(int64_t o, int64_t size) { return {std::max<int64_t>(2 * o - 1, 0), std::min(2 * o + 2, size)}; }

// One row of results: pixels of `lanes` floats; `row(h)` is where pixel 0 of a source row begins.
template <class Row>
void pool_row(const Span& rows, int64_t width, int64_t lanes, const Row& row, int64_t result_width, float* to) {
  for (int64_t o = 0; o < result_width; ++o) {
    const Span columns = window(o, width);
    float* y = to + o * lanes;
    const float* first = row(rows.begin) + columns.begin * lanes;
    std::copy_n(first, lanes, y);
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = columns.begin; w < columns.end; ++w) {
        const float* x = row(h) + w * lanes;
        for (int64_t i = 0; i < lanes; ++i) y[i] = max_of(x[i], y[i]);
      }
  }
}

}  // namespace

void CpuBackend::max_pool3x3(const Tensor& x, Tensor& y) {
  const Shape &s = x.shape(), &t = y.shape();
  require(t == pooled(s), "max_pool3x3: shapes");
  const float* from = in(x);
  float* to = out(y);
  for_tasks(pool_, t.n * t.h, [&](int64_t task, int) {
    const auto row = [&](int64_t h) { return from + (task / t.h * s.h + h) * s.w * s.c; };
    pool_row(window(task % t.h, s.h), s.w, s.c, row, t.w, to + task * t.w * t.c);
  });
}

// A task owns an image: windows share pixels. dy goes to the first maximum of a window, or to its last NaN. Sums of up
// to four go in double, in the three rows that a row of windows meets, and are rounded once (kernels/short_sums.h).
void CpuBackend::max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape &s = x.shape(), &t = dy.shape();
  require(t == pooled(s) && dx.shape() == s, "max_pool3x3_grad: shapes");
  const float *value = in(x), *gradient = in(dy);
  float* to = out(dx);
  const int64_t line = s.w * s.c;
  for_tasks(pool_, t.n, [&](int64_t n, int) {
    const float* image = value + n * s.h * line;
    float* result = to + n * s.h * line;
    std::vector<double> sums(static_cast<size_t>(3 * line));
    const auto row = [&](int64_t h) { return sums.data() + h % 3 * line; };
    const auto close = [&](int64_t h) {
      for (int64_t i = 0; i < line; ++i) result[h * line + i] = static_cast<float>(row(h)[i]);
    };
    for (int64_t oh = 0; oh < t.h; ++oh) {
      const Span rows = window(oh, s.h);
      for (int64_t h = 2 * oh; h < rows.end; ++h)  // the row before those is open
        for (int64_t i = 0; i < line; ++i)
          row(h)[i] = mode == Grad::overwrite ? 0 : static_cast<double>(result[h * line + i]);
      for (int64_t ow = 0; ow < t.w; ++ow) {
        const Span columns = window(ow, s.w);
        for (int64_t c = 0; c < s.c; ++c) {
          float largest = image[rows.begin * line + columns.begin * s.c + c];
          double* best = row(rows.begin) + columns.begin * s.c + c;
          for (int64_t h = rows.begin; h < rows.end; ++h)
            for (int64_t w = columns.begin; w < columns.end; ++w) {
              const float here = image[h * line + w * s.c + c];
              if (here > largest || here != here) largest = here, best = row(h) + w * s.c + c;
            }
          *best += static_cast<double>(gradient[((n * t.h + oh) * t.w + ow) * s.c + c]);
        }
      }
      for (int64_t h = rows.begin; h <= 2 * oh; ++h) close(h);
    }
    if (s.h % 2 == 0 && s.h > 0) close(s.h - 1);
  });
}

void run_pool3x3(const Machine& m, const PoolStep& step, const StepBuffers& buffers) {
  const Shape y = step.y();
  require(step.x.n > 0 && step.x.c > 0 && y.h > 0 && y.w > 0, "PoolStep: nothing to pool");
  expect(buffers.x[0], step.x, "PoolStep: buffer x");
  expect(buffers.y, y, "PoolStep: buffer y");
  const BlockedLayout from(step.x), to(y);
  for_tasks(m.pool, y.n * to.blocks * y.h, [&](int64_t task, int) {
    const int64_t h = task % y.h, block = task / y.h % to.blocks, n = task / (y.h * to.blocks);
    const auto row = [&](int64_t source) { return floats(buffers.x[0]) + from.row(n, block, source); };
    float* result = floats(buffers.y.data) + to.row(n, block, h);
    pool_row(window(h, step.x.h), step.x.w, to.lanes, row, y.w, result);
    to.close_row(result, h);
  });
}

}  // namespace furrow::cpu
