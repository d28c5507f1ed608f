#include "kernels/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

namespace furrow {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

bool huge_pages_granted() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");  // "always [madvise] never"
  const std::string modes{std::istreambuf_iterator<char>(file), {}};
  return !modes.empty() && modes.find("[never]") == std::string::npos;
}

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

size_t Arena::resident_bytes(size_t bytes) {
  static const size_t page = huge_pages_granted() ? kHugePage : size_t{4096};
  return round_up(bytes, page);
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
