#include "nn/placement.h"

#include <gtest/gtest.h>

#include "kernels/random.h"

namespace furrow {
namespace {

TEST(Placement, NeverOverlapsWhatLivesTogether) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Philox generator(seed);
    uint64_t draw = 0;
    const auto below = [&](int limit) { return static_cast<int>(generator.uniform(0, draw++) * limit); };
    std::vector<LiveBlock> blocks(static_cast<size_t>(1 + below(40)));
    for (LiveBlock& b : blocks) {
      b.bytes = static_cast<size_t>(below(4) == 0 ? 0 : below(5000));
      b.first = below(30);
      b.last = b.first + below(8);
    }
    const BlockPlacement placed = place_blocks(blocks);
    EXPECT_GE(placed.bytes, live_bytes_bound(blocks));
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(placed.offsets[i] % 256, 0u);
      EXPECT_LE(placed.offsets[i] + blocks[i].bytes, placed.bytes);
      for (size_t j = 0; j < i; ++j) {
        const bool together = blocks[i].bytes > 0 && blocks[j].bytes > 0 && blocks[i].first <= blocks[j].last &&
                              blocks[j].first <= blocks[i].last;
        const bool apart = placed.offsets[i] + blocks[i].bytes <= placed.offsets[j] ||
                           placed.offsets[j] + blocks[j].bytes <= placed.offsets[i];
        EXPECT_TRUE(!together || apart) << "seed " << seed << ", blocks " << j << " and " << i;
      }
    }
  }
}

TEST(Placement, ReusesTheSmallestGapThatFits) {
  // Three large blocks side by side at step 0; at step 1 the first and third are free, and the gaps are 1024 and 512.
  const std::vector<LiveBlock> blocks = {{1024, 0, 0}, {2048, 0, 1}, {512, 0, 0}, {300, 1, 1}};
  const BlockPlacement placed = place_blocks(blocks);
  EXPECT_EQ(placed.bytes, 3584u);
  EXPECT_EQ(placed.bytes, live_bytes_bound(blocks));
  EXPECT_EQ(placed.offsets[1], 0u);
}

TEST(Placement, BoundIsTheFullestStep) {
  const std::vector<LiveBlock> blocks = {{256, 0, 2}, {1, 1, 1}, {512, 2, 3}, {256, 3, 3}};
  EXPECT_EQ(live_bytes_bound(blocks), 768u);
  EXPECT_EQ(live_bytes_bound({}), 0u);
  EXPECT_EQ(place_blocks({}).bytes, 0u);
}

}  // namespace
}  // namespace furrow
