// Walks a skeleton: every path between junctions and ends once, every closed loop once.
#pragma once

#include <cstdint>

#include "io/image.h"
#include "segment/measure_path.h"
#include "segment/skeleton.h"

namespace furrow::detail {

// Sums over paths.
struct Traced {
  double length = 0;
  int64_t free_ends = 0;  // a lone pixel has two
};

// Three passes over ranges of cells, each to be finished for the whole skeleton before the next begins. A range's cells
// belong to one piece of mask, whose sum is passed in: what a pass finds there, it adds.
class Tracer {
 public:
  // `mask` must outlive the tracer; `correct_ends` as in centre_line_length.
  Tracer(const io::Image& mask, Skeleton skeleton, bool correct_ends);

  // Flags the junctions, line ends and lone pixels among cells [first, last).
  void mark_nodes(int64_t first, int64_t last);
  // Adds the paths that lead from a node in [first, last) to a node.
  void trace_nodes(int64_t first, int64_t last, Traced& sum);
  // Adds the loops that no node lies on and that start in [first, last).
  void trace_loops(int64_t first, int64_t last, Traced& sum);

  const Skeleton& skeleton() const { return skeleton_; }

 private:
  uint16_t& cell(int64_t i) { return skeleton_.cells[static_cast<size_t>(i)]; }
  bool is(int64_t i, uint16_t flag) const { return (skeleton_.cells[static_cast<size_t>(i)] & flag) != 0; }
  double half_width(int64_t i);
  void start(int64_t i);
  void add(int64_t i);
  void enter_or_leave(int64_t node, bool& free_end);
  int64_t next(int64_t here, int64_t before) const;
  void finish(Traced& sum);
  bool split(int64_t here, Traced& sum);
  void trace(int64_t from, int64_t here, Traced& sum);
  void trace_loop(int64_t first, Traced& sum);

  const io::Image& mask_;
  Skeleton skeleton_;
  bool correct_ends_;
  Path path_;
  double half_width_sum_ = 0;
};

}  // namespace furrow::detail
