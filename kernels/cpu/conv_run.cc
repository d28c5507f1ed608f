#include "kernels/cpu/conv_run.h"

namespace furrow::cpu {

ConvRun::ConvRun(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers)
    : m_(m),
      step_(step),
      packed_(packed),
      b_(buffers),
      s_(step),
      pools_(step.pool && s_.pooled.floats() > 0 && s_.pooled.shape.pixels() > 0) {
  Tensor head = buffers.head;
  if (step.head > 0) head_ = head.values<float>().data();
}

void ConvRun::run() {
  for_tasks(m_.pool, s_.tasks(), [this](int64_t task, int worker) { run_task(task, worker); });
}

void ConvRun::run_task(int64_t task, int worker) const {
  const Shape& y = s_.y.shape;
  const auto [n, r0, r1, block0, block1] = s_.part(task);
  float* own = floats(b_.workspace) + worker * s_.worker_floats();
  const Rows wide = s_.hold ? Rows{own, y.w * kBlock, s_.held_blocks > 1 ? s_.rows * y.w * kBlock : 0}
                            : Rows{floats(b_.y.data) + s_.y.row(n, block0, r0), s_.y.row_stride, s_.y.block_stride};
  const int64_t most = wide.block_stride > 0 ? most_together_ : 1;
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

void ConvRun::store_row(int64_t n, int64_t block, int64_t h, const float* wide) const {
  cpu::store_row(m_, wide, 0, s_.y.shape.w, s_.y, s_.y.row(n, block, h), h, b_.y);
}

void ConvRun::pool_rows(int64_t n, int64_t block, int64_t h, const float* upper, const float* lower,
                        float* scratch) const {
  const int64_t at = s_.pooled.row(n, block, h);
  const bool aside = s_.pooled.lanes != kBlock || b_.pooled.quantised;
  float* to = aside ? scratch : floats(b_.pooled.data) + at;
  m_.rows->pool(upper, lower, s_.pooled.shape.w, kBlock, to);
  cpu::store_row(m_, to, 0, s_.pooled.shape.w, s_.pooled, at, h, b_.pooled);
}

// The head of one row: a 1x1 convolution of its 16-lane pixels, whose first lanes go into the dense tensor.
void ConvRun::head_row(int64_t n, int64_t h, const float* y, int64_t block_stride, float* scratch) const {
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

}  // namespace furrow::cpu
