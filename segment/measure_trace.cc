#include "segment/measure_trace.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace furrow::detail {
namespace {

// Longer paths are measured in pieces of this many points, so that memory stays bounded.
constexpr size_t kMaxPoints = size_t{1} << 20;

}  // namespace

Tracer::Tracer(const io::Image& mask, Skeleton skeleton, bool correct_ends)
    : mask_(mask), skeleton_(std::move(skeleton)), correct_ends_(correct_ends) {}

void Tracer::mark_nodes(int64_t begin, int64_t end, int64_t y) {
  const int64_t first = skeleton_.index(begin, y);
  for (int64_t i = first; i < first + end - begin; ++i)
    if (skeleton_.on(i) && skeleton_.degree(i) != 2) skeleton_.cells[static_cast<size_t>(i)] |= Skeleton::kNode;
}

void Tracer::trace_nodes(int64_t begin, int64_t end, int64_t y, Traced& sum) {
  Cell c{skeleton_.index(begin, y), begin, y};
  for (; c.x < end; ++c.i, ++c.x) {
    if (!is(c.i, Skeleton::kNode)) continue;
    const unsigned links = skeleton_.links(c.i);
    const int degree = kBitCount[links];
    sum.free_ends += degree < 2 ? 2 - degree : 0;
    for (unsigned rest = links; rest != 0; rest &= rest - 1) trace(c, beside(c, std::countr_zero(rest)), sum);
  }
}

void Tracer::trace_loops(int64_t begin, int64_t end, int64_t y, Traced& sum) {
  Cell c{skeleton_.index(begin, y), begin, y};
  for (; c.x < end; ++c.i, ++c.x)
    if (skeleton_.on(c.i) && !is(c.i, Skeleton::kNode | Skeleton::kVisited)) trace_loop(c, sum);
}

// Distance to the nearest clear pixel's edge.
double Tracer::half_width(const Cell& c) { return double(value(c) & Skeleton::kDistance) / Skeleton::kUnit - 0.5; }

void Tracer::start(const Cell& c) {
  path_ = Path{std::move(path_.points)};
  path_.points.clear();
  half_width_sum_ = 0;
  add(c);
}

void Tracer::add(const Cell& c) {
  path_.points.push_back({double(c.x), double(c.y)});
  half_width_sum_ += half_width(c);
}

void Tracer::enter_or_leave(const Cell& node, bool& free_end) {
  free_end = skeleton_.degree(node.i) == 1;
  if (!free_end) path_.junction_half_width = std::max(path_.junction_half_width, half_width(node));
}

// Moves on to the cell linked to `here` that is not `before`.
void Tracer::advance(Cell& here, int64_t& before) const {
  const unsigned links = skeleton_.links(here.i);
  int k = 0;
  while (k < 7 && (!(links >> k & 1) || here.i + skeleton_.steps[k] == before)) ++k;
  before = here.i;
  here = beside(here, k);
}

void Tracer::finish(Traced& sum) {
  path_.half_width = half_width_sum_ / double(path_.points.size());
  sum.length += centre_line_length(path_, mask_, correct_ends_);
}

bool Tracer::split(const Cell& here, Traced& sum) {
  if (path_.points.size() < kMaxPoints) return false;
  finish(sum);
  start(here);
  return true;
}

void Tracer::trace(const Cell& from, Cell here, Traced& sum) {
  // A path is seen from both its ends: the second time its inner cells are visited; where it has none, one end is
  // chosen.
  if (is(here.i, Skeleton::kVisited) || (is(here.i, Skeleton::kNode) && here.i < from.i)) return;
  start(from);
  enter_or_leave(from, path_.free_front);
  for (int64_t before = from.i; !is(here.i, Skeleton::kNode);) {
    value(here) |= Skeleton::kVisited;
    add(here);
    split(here, sum);
    advance(here, before);
  }
  add(here);
  enter_or_leave(here, path_.free_back);
  finish(sum);
}

void Tracer::trace_loop(const Cell& first, Traced& sum) {
  start(first);
  value(first) |= Skeleton::kVisited;
  bool whole = true;
  Cell here = first;
  int64_t before = -1;
  for (advance(here, before); here.i != first.i; advance(here, before)) {
    value(here) |= Skeleton::kVisited;
    add(here);
    if (split(here, sum)) whole = false;
  }
  if (!whole) add(first);
  path_.closed = whole;
  finish(sum);
}

}  // namespace furrow::detail
