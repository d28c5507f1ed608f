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

void Tracer::mark_nodes(int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i)
    if (skeleton_.on(i) && std::popcount(skeleton_.links(i)) != 2) cell(i) |= Skeleton::kNode;
}

void Tracer::trace_nodes(int64_t first, int64_t last, Traced& sum) {
  for (int64_t i = first; i < last; ++i) {
    if (!is(i, Skeleton::kNode)) continue;
    const unsigned links = skeleton_.links(i);
    const int degree = std::popcount(links);
    sum.free_ends += degree < 2 ? 2 - degree : 0;
    for (int k = 0; k < 8; ++k)
      if (links >> k & 1) trace(i, i + skeleton_.step(k), sum);
  }
}

void Tracer::trace_loops(int64_t first, int64_t last, Traced& sum) {
  for (int64_t i = first; i < last; ++i)
    if (skeleton_.on(i) && !is(i, Skeleton::kNode) && !is(i, Skeleton::kVisited)) trace_loop(i, sum);
}

// Distance to the nearest clear pixel's edge.
double Tracer::half_width(int64_t i) { return double(cell(i) & Skeleton::kDistance) / Skeleton::kUnit - 0.5; }

void Tracer::start(int64_t i) {
  path_ = Path{std::move(path_.points)};
  path_.points.clear();
  half_width_sum_ = 0;
  add(i);
}

void Tracer::add(int64_t i) {
  path_.points.push_back({double(skeleton_.x_of(i)), double(skeleton_.y_of(i))});
  half_width_sum_ += half_width(i);
}

void Tracer::enter_or_leave(int64_t node, bool& free_end) {
  free_end = std::popcount(skeleton_.links(node)) == 1;
  if (!free_end) path_.junction_half_width = std::max(path_.junction_half_width, half_width(node));
}

// The cell linked to `here` that is not `before`.
int64_t Tracer::next(int64_t here, int64_t before) const {
  const unsigned links = skeleton_.links(here);
  for (int k = 0; k < 8; ++k)
    if ((links >> k & 1) && here + skeleton_.step(k) != before) return here + skeleton_.step(k);
  return before;
}

void Tracer::finish(Traced& sum) {
  path_.half_width = half_width_sum_ / double(path_.points.size());
  sum.length += centre_line_length(path_, mask_, correct_ends_);
}

bool Tracer::split(int64_t here, Traced& sum) {
  if (path_.points.size() < kMaxPoints) return false;
  finish(sum);
  start(here);
  return true;
}

void Tracer::trace(int64_t from, int64_t here, Traced& sum) {
  // A path is seen from both its ends: the second time its inner cells are visited; where it has none, one end is chosen.
  if (is(here, Skeleton::kVisited) || (is(here, Skeleton::kNode) && here < from)) return;
  start(from);
  enter_or_leave(from, path_.free_front);
  for (int64_t before = from; !is(here, Skeleton::kNode);) {
    cell(here) |= Skeleton::kVisited;
    add(here);
    split(here, sum);
    here = next(here, std::exchange(before, here));
  }
  add(here);
  enter_or_leave(here, path_.free_back);
  finish(sum);
}

void Tracer::trace_loop(int64_t first, Traced& sum) {
  start(first);
  cell(first) |= Skeleton::kVisited;
  bool whole = true;
  for (int64_t before = first, here = next(first, -1); here != first;) {
    cell(here) |= Skeleton::kVisited;
    add(here);
    if (split(here, sum)) whole = false;
    here = next(here, std::exchange(before, here));
  }
  if (!whole) add(first);
  path_.closed = whole;
  finish(sum);
}

}  // namespace furrow::detail
