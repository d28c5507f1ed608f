// Where the buffers of a plan lie in one block of memory: buffers that live at the same time never overlap.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace furrow {

// Memory wanted from step `first` to step `last`, both included.
struct LiveBlock {
  size_t bytes = 0;
  int first = 0, last = 0;
};

struct BlockPlacement {
  std::vector<size_t> offsets;  // one per block, aligned
  size_t bytes = 0;             // of the whole
};

// Greedy by size: the largest block first, each into the smallest gap between the blocks already placed that live at
// the same time (the lowest of equal gaps), or behind them all. Deterministic. Source: the "greedy by size" planner of
// Pisarchyk and Lee, "Efficient memory management for deep neural net inference" (2020).
BlockPlacement place_blocks(std::span<const LiveBlock> blocks, size_t alignment = 256);

// No placement can be smaller: the most bytes, each block rounded up to the alignment, that live at one step.
size_t live_bytes_bound(std::span<const LiveBlock> blocks, size_t alignment = 256);

}  // namespace furrow
