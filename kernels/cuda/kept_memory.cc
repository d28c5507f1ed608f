#include "kernels/cuda/kept_memory.h"

#include <utility>

#include "kernels/error.h"

namespace furrow::gpu {

void* KeptMemory::take(size_t bytes) {
  if (bytes == 0) return nullptr;
  const size_t at = taken_, rounded = (bytes + 255) / 256 * 256;
  if (at + rounded <= capacity_) {
    taken_ += rounded;
    return static_cast<std::byte*>(block_.get()) + at;
  }
  apart_.push_back(allocate_(runtime_, rounded));
  taken_ += rounded;
  return apart_.back().get();
}

void KeptMemory::reset() {
  const size_t wanted = std::exchange(taken_, 0);
  if (apart_.empty()) return;
  apart_.clear();  // and the block: what is allocated next takes their place
  block_.reset();
  capacity_ = 0;
  try {
    block_ = allocate_(runtime_, wanted);
    capacity_ = wanted;
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error&) {   // not in one piece: whoever takes some asks again, and hears then what is wanting
  }
}

}  // namespace furrow::gpu
