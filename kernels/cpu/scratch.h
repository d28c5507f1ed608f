// Memory that the eager operations work in: taken once, kept by the back-end, and used by one operation at a time.
#pragma once

#include <algorithm>
#include <mutex>

#include "kernels/arena.h"

namespace furrow::cpu {

class Scratch {
 public:
  // The whole memory, for as long as this lives; a second one waits. Not zeroed.
  class Use {
   public:
    Use(Scratch& scratch, int64_t floats) : lock_(scratch.mutex_), arena_(scratch.arena_) {
      const size_t bytes = bytes_of(floats);
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
    std::unique_lock<std::mutex> lock_;
    Arena& arena_;
  };

  // From now on the operations only say what they would take: each asks counts() first, and ends where it is true.
  void count_only() { counting_ = true; }
  bool counts(int64_t floats) {
    if (counting_) most_ = std::max(most_, bytes_of(floats));
    return counting_;
  }
  size_t most_bytes() const { return most_; }  // of what was counted
  size_t held_bytes() const { return arena_.capacity(); }

 private:
  static constexpr size_t kParts = 8;
  static size_t bytes_of(int64_t floats) {
    return static_cast<size_t>(floats) * sizeof(float) + kParts * Arena::kAlignment;
  }
  bool counting_ = false;
  size_t most_ = 0;
  std::mutex mutex_;
  Arena arena_;
};

}  // namespace furrow::cpu
