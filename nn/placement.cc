#include "nn/placement.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace furrow {
namespace {

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

struct Extent {
  size_t begin, end;
};

// Smallest gap of at least `bytes` below the last of `taken` (sorted by begin), else the place behind them all.
size_t best_fit(const std::vector<Extent>& taken, size_t bytes) {
  size_t best = 0, best_gap = SIZE_MAX, covered = 0;  // covered: end of everything seen so far
  for (const Extent& e : taken) {
    const size_t gap = e.begin > covered ? e.begin - covered : 0;
    if (gap >= bytes && gap < best_gap) {
      best = covered;
      best_gap = gap;
    }
    covered = std::max(covered, e.end);
  }
  return best_gap == SIZE_MAX ? covered : best;
}

}  // namespace

BlockPlacement place_blocks(std::span<const LiveBlock> blocks, size_t alignment) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });

  BlockPlacement out{std::vector<size_t>(blocks.size()), 0};
  std::vector<size_t> placed;
  for (const size_t i : order) {
    std::vector<Extent> taken;  // by blocks that live together with block i
    for (const size_t j : placed)
      if (blocks[j].first <= blocks[i].last && blocks[i].first <= blocks[j].last)
        taken.push_back({out.offsets[j], out.offsets[j] + round_up(blocks[j].bytes, alignment)});
    std::sort(taken.begin(), taken.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    const size_t bytes = round_up(blocks[i].bytes, alignment);
    out.offsets[i] = best_fit(taken, bytes);
    out.bytes = std::max(out.bytes, out.offsets[i] + bytes);
    placed.push_back(i);
  }
  return out;
}

size_t live_bytes_bound(std::span<const LiveBlock> blocks, size_t alignment) {
  size_t bound = 0;
  for (const LiveBlock& at : blocks) {  // the most is reached where some block begins
    size_t live = 0;
    for (const LiveBlock& b : blocks)
      if (b.first <= at.first && at.first <= b.last) live += round_up(b.bytes, alignment);
    bound = std::max(bound, live);
  }
  return bound;
}

}  // namespace furrow
