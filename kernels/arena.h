// Arena: memory reserved once and handed out by bumping a pointer; what a plan and a training step live in.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/tensor.h"

namespace furrow {

// One anonymous mapping, in huge pages where the kernel grants them (first touch with 4 KiB pages costs several times
// the arithmetic of a small network). Not zeroed again after reset(). Not thread-safe.
class Arena {
 public:
  static constexpr size_t kAlignment = 256;

  Arena() = default;
  // Reserves `bytes`; throws ErrorCode::limit naming the size where the system has not that much.
  explicit Arena(size_t bytes);
  // Bytes that an arena of `bytes` takes of the system once all of it has been touched: whole huge pages where the
  // kernel grants them (it says so in /sys/kernel/mm/transparent_hugepage/enabled), else whole pages.
  static size_t resident_bytes(size_t bytes);
  // `bytes` of memory that somebody else reserved, on a device perhaps, aligned to kAlignment.
  Arena(std::shared_ptr<void> block, size_t bytes) : block_(std::move(block)), capacity_(bytes) {}

  // `bytes` of memory aligned to kAlignment; throws ErrorCode::internal past the reserved size.
  std::byte* take(size_t bytes);
  Tensor take(Shape shape, DType type);
  // Everything handed out becomes free again; tensors taken before must not be used any more.
  void reset() { used_ = 0; }

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  std::byte* data() const { return static_cast<std::byte*>(block_.get()); }
  std::shared_ptr<void> owner() const { return block_; }

 private:
  std::shared_ptr<void> block_;
  size_t capacity_ = 0, used_ = 0, peak_ = 0;
};

}  // namespace furrow
