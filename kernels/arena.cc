#include "kernels/arena.h"

#include <sys/mman.h>

#include <algorithm>

namespace furrow {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

Arena::Arena(size_t bytes) : capacity_(round_up(std::max<size_t>(bytes, 1), kAlignment)) {
  // Mapped with room to start on a huge-page border, without which the first and last part stay in small pages.
  const size_t mapped = capacity_ + kHugePage;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    throw Error(ErrorCode::limit,
                "the system has no " + std::to_string(capacity_ >> 20) + " MiB of memory for the network")
        .hint("use a smaller --size, or --tile");
  madvise(base, mapped, MADV_HUGEPAGE);
  auto* start = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(base), kHugePage));
  block_ = std::shared_ptr<void>(start, [base, mapped](void*) { munmap(base, mapped); });
}

std::byte* Arena::take(size_t bytes) {
  const size_t size = round_up(bytes, kAlignment);
  require(size <= capacity_ - used_, "Arena::take: past the reserved size");
  std::byte* memory = data() + used_;
  used_ += size;
  peak_ = std::max(peak_, used_);
  return memory;
}

Tensor Arena::take(Shape shape, DType type) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(type);
  return Tensor(shape, type, take(bytes), block_);
}

}  // namespace furrow
