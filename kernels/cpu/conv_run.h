// What direct convolutions share, in float32 and in 8 bits: the split into tasks, and what is done with a row while it
// is in the cache.
#pragma once

#include <algorithm>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// The split of a step. A task is `rows` output rows (even, so that a pooling window never straddles two tasks) of
// `task_blocks` output blocks; inside it, blocks are the outer loop, so the weights of a block are read from the
// second-level cache for all its rows but the first. Few wide rows or many narrow ones: about 256 pixels.
struct ConvSchedule {
  static constexpr int64_t kBlock = BlockedLayout::kWide;
  explicit ConvSchedule(const ConvStep& s)
      : x{layout_of(s, 0), s.x[1].c > 0 ? layout_of(s, 1) : BlockedLayout(Shape{0, 0, 0, 0})},
        y(s.y()),
        pooled(Shape{s.y().n, s.y().h / 2, s.y().w / 2, s.oc}),
        oc_blocks(ceil_div(s.oc, kBlock)) {
    rows = std::clamp<int64_t>(kTaskPixels / y.shape.w / 2 * 2, 2, 16);
    row_tasks = ceil_div(y.shape.h, rows);
    // The head needs every channel of its pixel, so a step with a head is split by rows only.
    const int64_t splits = s.head > 0 ? 1 : std::min(oc_blocks, ceil_div(kMinTasks, y.shape.n * row_tasks));
    task_blocks = ceil_div(oc_blocks, splits);
    block_tasks = ceil_div(oc_blocks, task_blocks);
    hold = !s.store_y || y.lanes != kBlock || s.bytes.y;
    head = s.head > 0;
    held_blocks = head ? oc_blocks : 1;
  }
  static BlockedLayout layout_of(const ConvStep& s, int source) {
    return s.bytes.in_bytes[source] ? BlockedLayout::of_bytes(s.x[source]) : BlockedLayout(s.x[source]);
  }
  int64_t tasks() const { return block_tasks * y.shape.n * row_tasks; }
  // Of picture n: output rows [row0, row1) of blocks [block0, block1).
  struct Part {
    int64_t n, row0, row1, block0, block1;
  };
  Part part(int64_t task) const {
    const int64_t row0 = task % row_tasks * rows, block0 = task / (row_tasks * y.shape.n) * task_blocks;
    return {task / row_tasks % y.shape.n, row0, std::min(row0 + rows, y.shape.h), block0,
            std::min(block0 + task_blocks, oc_blocks)};
  }
  // Rows that are not stored in y as they are: [block][row][pixel][16], per worker.
  int64_t held_floats() const { return hold ? held_blocks * rows * y.shape.w * kBlock : 0; }
  // A row of pooled values before it is narrowed or made bytes, or of the head before it is made dense.
  int64_t scratch_floats() const { return head ? y.shape.w * kBlock : hold ? pooled.shape.w * kBlock : 0; }
  int64_t worker_floats() const { return ceil_div(held_floats() + scratch_floats(), kBlock) * kBlock; }

  static constexpr int64_t kTaskPixels = 256, kMinTasks = 32;
  BlockedLayout x[2], y, pooled;
  int64_t oc_blocks, rows = 2, row_tasks = 1, task_blocks = 1, block_tasks = 1;
  bool hold = false, head = false;
  int64_t held_blocks = 1;
};

// A run of a ConvStep, whose rows a derived class computes.
class ConvRun {
 public:
  ConvRun(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
  virtual ~ConvRun() = default;
  ConvRun(const ConvRun&) = delete;
  ConvRun& operator=(const ConvRun&) = delete;
  void run();

 protected:
  static constexpr int64_t kBlock = BlockedLayout::kWide;
  // Where a block's row of 16 lanes per pixel is computed.
  struct Rows {
    float* first;                      // row r0 of the task's first block
    int64_t row_stride, block_stride;  // floats
  };
  // Row `oh` of blocks [block, block + blocks), to `y` and `y_block` floats further on each.
  virtual void compute_rows(int64_t n, int64_t block, int64_t blocks, int64_t oh, float* y, int64_t y_block) const = 0;

  const Machine& m_;
  const ConvStep& step_;
  const PackedWeights& packed_;
  const StepBuffers& b_;
  ConvSchedule s_;
  bool pools_;
  int64_t most_together_ = 1;  // blocks of a call of compute_rows(), where all their rows are kept

 private:
  void run_task(int64_t task, int worker) const;
  void store_row(int64_t n, int64_t block, int64_t h, const float* wide) const;
  void pool_rows(int64_t n, int64_t block, int64_t h, const float* upper, const float* lower, float* scratch) const;
  void head_row(int64_t n, int64_t h, const float* y, int64_t block_stride, float* scratch) const;

  float* head_ = nullptr;  // the head's tensor
};

}  // namespace furrow::cpu
