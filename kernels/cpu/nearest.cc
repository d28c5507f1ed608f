// Nearest pixels, eager, their gradient, and the planned step.
#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/more_steps.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

// floor(o*in/out) for o = 0, 1, ...: one division for all of them.
class Nearest {
 public:
  Nearest(int64_t in, int64_t out) : whole_(in / out), part_(in % out), out_(out) {}
  int64_t at() const { return at_; }
  void next() {
    at_ += whole_;
    rest_ += part_;
    if (rest_ < out_) return;
    rest_ -= out_;
    ++at_;
  }

 private:
  int64_t whole_, part_, out_, at_ = 0, rest_ = 0;
};

// One row: pixels of `lanes` floats.
void spread_row(const float* from, int64_t in_width, int64_t width, int64_t lanes, float* to) {
  Nearest source(in_width, width);
  for (int64_t w = 0; w < width; ++w, source.next()) std::copy_n(from + source.at() * lanes, lanes, to + w * lanes);
}

void check_sizes(const Shape& x, const Shape& y) {
  require(x.n == y.n && x.c == y.c && x.h > 0 && x.w > 0 && y.h > 0 && y.w > 0, "upsample_nearest: shapes");
}

}  // namespace

void CpuBackend::upsample_nearest(const Tensor& x, Tensor& y) {
  const Shape &s = x.shape(), &t = y.shape();
  check_sizes(s, t);
  const float* from = x.values<float>().data();
  float* to = y.values<float>().data();
  for_tasks(pool_, t.n * t.h, [&](int64_t row, int) {
    const int64_t source = row / t.h * s.h + row % t.h * s.h / t.h;
    spread_row(from + source * s.w * s.c, s.w, t.w, s.c, to + row * t.w * s.c);
  });
}

// A task owns one row of dx, whose pixels took part in the rows of dy from ceil(h*OH/H) on. A pixel adds up what those
// send back, by rows, then columns, in double, and is rounded once.
void CpuBackend::upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape &s = dx.shape(), &t = dy.shape();
  check_sizes(s, t);
  const float* from = dy.values<float>().data();
  float* to = dx.values<float>().data();
  for_tasks(pool_, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    float* row = to + task * s.w * s.c;
    std::vector<double> sums(static_cast<size_t>(s.w * s.c));
    if (mode == Grad::accumulate) std::copy_n(row, s.w * s.c, sums.data());
    for (int64_t oh = ceil_div(h * t.h, s.h); oh < ceil_div((h + 1) * t.h, s.h); ++oh) {
      const float* gradient = from + (n * t.h + oh) * t.w * s.c;
      Nearest taken(s.w, t.w);
      for (int64_t ow = 0; ow < t.w; ++ow, taken.next()) {
        double* sum = sums.data() + taken.at() * s.c;
        for (int64_t c = 0; c < s.c; ++c) sum[c] += static_cast<double>(gradient[ow * s.c + c]);
      }
    }
    std::ranges::transform(sums, row, [](double sum) { return static_cast<float>(sum); });
  });
}

void run_nearest(const Machine& m, const NearestStep& step, const StepBuffers& buffers) {
  require(step.x.n > 0 && step.x.h > 0 && step.x.w > 0 && step.x.c > 0 && step.h > 0 && step.w > 0,
          "NearestStep: an extent is not positive");
  expect(buffers.x[0], step.x, "NearestStep: buffer x");
  expect(buffers.y, step.y(), "NearestStep: buffer y");
  const BlockedLayout from(step.x), to(step.y());
  for_tasks(m.pool, step.x.n * to.blocks * step.h, [&](int64_t task, int) {
    const int64_t h = task % step.h, block = task / step.h % to.blocks, n = task / (step.h * to.blocks);
    float* row = floats(buffers.y.data) + to.row(n, block, h);
    spread_row(floats(buffers.x[0]) + from.row(n, block, h * step.x.h / step.h), step.x.w, step.w, to.lanes, row);
    to.close_row(row, h);
  });
}

}  // namespace furrow::cpu
