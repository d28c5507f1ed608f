// KeptMemory: memory given out piece by piece and taken back as a whole, which a step that repeats never allocates
// again.
#pragma once

#include <memory>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace furrow::gpu {

using Allocate = std::shared_ptr<void> (*)(const std::shared_ptr<Runtime>& runtime, size_t bytes);

// Pieces come from one block. What it has no room for is allocated apart, for pieces do not move; reset() then makes
// the block large enough for all of it, so that whoever asks for the same again is served without an allocation.
class KeptMemory {
 public:
  KeptMemory(std::shared_ptr<Runtime> runtime, Allocate allocate) : runtime_(std::move(runtime)), allocate_(allocate) {}

  // On 256 bytes of the block, undefined; null where `bytes` is 0. Throws as Runtime::allocate.
  void* take(size_t bytes);
  size_t taken() const { return taken_; }         // bytes since the last reset()
  bool grows() const { return !apart_.empty(); }  // reset() will release memory
  void reset();                                   // nothing uses any of the pieces any more

 private:
  std::shared_ptr<Runtime> runtime_;
  Allocate allocate_;
  std::shared_ptr<void> block_;
  size_t capacity_ = 0, taken_ = 0;
  std::vector<std::shared_ptr<void>> apart_;
};

}  // namespace furrow::gpu
