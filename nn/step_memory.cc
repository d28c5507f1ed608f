#include "nn/step_memory.h"

#include <algorithm>

namespace furrow {
namespace {

size_t placed_bytes(const Shape& shape, DType type) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(type);
  return std::max<size_t>(1, (bytes + Arena::kAlignment - 1) / Arena::kAlignment) * Arena::kAlignment;
}

const std::byte* bytes_at(const Tensor& t) {
  return t.dtype() == DType::f64 ? reinterpret_cast<const std::byte*>(t.values<double>().data())
                                 : reinterpret_cast<const std::byte*>(t.values<float>().data());
}

}  // namespace

// The first gap that is large enough.
size_t StepMemory::place(size_t bytes) {
  const auto gap = std::ranges::find_if(free_, [&](const Range& r) { return r.end - r.first >= bytes; });
  const size_t at = gap->first;
  gap->first += bytes;
  if (gap->first == gap->end) free_.erase(gap);
  peak_ = std::max(peak_, at + bytes);
  return at;
}

void StepMemory::release(Range range) {
  auto after = std::ranges::find_if(free_, [&](const Range& r) { return r.first >= range.end; });
  if (after != free_.begin() && std::prev(after)->end == range.first) {
    std::prev(after)->end = range.end;
    if (after != free_.end() && after->first == range.end) {
      std::prev(after)->end = after->end;
      free_.erase(after);
    }
  } else if (after != free_.end() && after->first == range.end) {
    after->first = range.first;
  } else {
    free_.insert(after, range);
  }
}

Tensor StepMemory::take(const Shape& shape, DType type) {
  const size_t bytes = placed_bytes(shape, type), at = place(bytes);
  if (at + bytes <= arena_.capacity()) return Tensor(shape, type, arena_.data() + at, arena_.owner());
  Tensor t(shape, type);
  outside_.push_back({bytes_at(t), {at, at + bytes}});
  return t;
}

void StepMemory::give_back(Tensor& t) {
  if (t.empty()) return;
  const std::byte* data = bytes_at(t);
  const auto out = std::ranges::find(outside_, data, &Outside::data);
  if (out != outside_.end()) {
    release(out->range);
    outside_.erase(out);
  } else if (arena_.capacity() > 0 && data >= arena_.data() && data < arena_.data() + arena_.capacity()) {
    const auto at = static_cast<size_t>(data - arena_.data());
    release({at, at + placed_bytes(t.shape(), t.dtype())});
  }
  t = Tensor();
}

void StepMemory::release() {
  backend_->finish();  // work that still uses the block
  free_.assign(1, {0, SIZE_MAX});
  outside_.clear();
  arena_ = Arena();
}

void StepMemory::reset() {
  free_.assign(1, {0, SIZE_MAX});
  outside_.clear();
  const size_t needed = std::max(peak_, expected_);
  if (needed > arena_.capacity()) {
    backend_->finish();  // work that still uses the old block
    arena_ = Arena();    // which goes first, so that there are never two
    arena_ = backend_->reserve(needed);
  }
}

}  // namespace furrow
