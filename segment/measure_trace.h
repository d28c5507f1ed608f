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

// Three passes over runs of the mask, each to be finished for the whole mask before the next begins. A run belongs to
// one piece of mask, whose sum is passed in: what a pass finds there, it adds.
class Tracer {
 public:
  // `mask` must outlive the tracer; `correct_ends` as in centre_line_length.
  Tracer(const io::Image& mask, Skeleton skeleton, bool correct_ends);

  // Flags the junctions, line ends and lone pixels among pixels [begin, end) of row y.
  void mark_nodes(int64_t begin, int64_t end, int64_t y);
  // Adds the paths that lead from a node in the run to a node.
  void trace_nodes(int64_t begin, int64_t end, int64_t y, Traced& sum);
  // Adds the loops that no node lies on and that start in the run.
  void trace_loops(int64_t begin, int64_t end, int64_t y, Traced& sum);

 private:
  // A cell of the skeleton and the pixel it stands for.
  struct Cell {
    int64_t i, x, y;
  };
  uint16_t& value(const Cell& c) { return skeleton_.cells[static_cast<size_t>(c.i)]; }
  bool is(int64_t i, uint16_t flag) const { return (skeleton_.cells[static_cast<size_t>(i)] & flag) != 0; }
  Cell beside(const Cell& c, int k) const { return {c.i + skeleton_.steps[k], c.x + kDx[k], c.y + kDy[k]}; }
  double half_width(const Cell& c);
  void start(const Cell& c);
  void add(const Cell& c);
  void enter_or_leave(const Cell& node, bool& free_end);
  void advance(Cell& here, int64_t& before) const;
  void finish(Traced& sum);
  bool split(const Cell& here, Traced& sum);
  void trace(const Cell& from, Cell here, Traced& sum);
  void trace_loop(const Cell& first, Traced& sum);

  const io::Image& mask_;
  Skeleton skeleton_;
  bool correct_ends_;
  Path path_;
  double half_width_sum_ = 0;
};

}  // namespace furrow::detail
