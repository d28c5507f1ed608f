// Memory that the eager operations work in: taken once, kept by the back-end, and used by one operation at a time.
#pragma once

#include <mutex>

#include "kernels/arena.h"

namespace furrow::cpu {

class Scratch {
 public:
  // The whole memory, for as long as this lives; a second one waits. Not zeroed.
  class Use {
   public:
    Use(Scratch& scratch, int64_t floats) : lock_(scratch.mutex_), arena_(scratch.arena_) {
      const size_t bytes = static_cast<size_t>(floats) * sizeof(float) + kParts * Arena::kAlignment;
      if (arena_.capacity() < bytes) {
        arena_ = Arena();  // the old mapping goes first, so that the two never count together
        arena_ = Arena(bytes);
      }
      arena_.reset();
    }
    // At most kParts times, and `floats` of the constructor in all.
    float* take(int64_t floats) {
      return reinterpret_cast<float*>(arena_.take(static_cast<size_t>(floats) * sizeof(float)));
    }

   private:
    static constexpr size_t kParts = 8;
    std::unique_lock<std::mutex> lock_;
    Arena& arena_;
  };

 private:
  std::mutex mutex_;
  Arena arena_;
};

}  // namespace furrow::cpu
