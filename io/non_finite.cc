#include "io/non_finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <utility>

namespace furrow::io {
namespace {

template <class Word>
bool any(const std::byte* begin, const std::byte* end, Word exponent) {
  bool found = false;
  for (const std::byte* at = begin; at != end; at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    found |= (word & exponent) == exponent;
  }
  return found;
}

// The first of the elements in [begin, end) that is NaN or infinite; `end` where none is.
template <class Word>
const std::byte* first_of(const std::byte* begin, const std::byte* end, Word exponent) {
  constexpr std::ptrdiff_t kPiece = 4096;
  while (begin != end) {
    const std::byte* const piece = begin + std::min(kPiece, end - begin);
    if (any(begin, piece, exponent)) {
      while (!any(begin, begin + sizeof(Word), exponent)) begin += sizeof(Word);
      return begin;
    }
    begin = piece;
  }
  return end;
}

bool is_real(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

// IEEE formats: a value is NaN or infinite exactly where all bits of its exponent are set.
const std::byte* first_non_finite(DType type, const std::byte* begin, const std::byte* end) {
  switch (type) {
    case DType::f32: return first_of<uint32_t>(begin, end, 0x7F800000);
    case DType::f64: return first_of<uint64_t>(begin, end, 0x7FF0000000000000);
    case DType::f16: return first_of<uint16_t>(begin, end, 0x7C00);
    case DType::bf16: return first_of<uint16_t>(begin, end, 0x7F80);
    default: return end;
  }
}

// Tensors of one type whose elements have one place within a word: where two of them overlap, they share elements.
struct Extent {
  DType type;
  size_t phase;
  const std::byte *begin, *end;
  size_t tensor;
};

// Tells which tensors hold a non-finite value. A file may name one storage a hundred thousand times, whole or in
// overlapping parts; every byte is read once for each type and phase all the same.
std::vector<bool> find_non_finite(const NamedTensors& tensors) {
  std::vector<Extent> extents;
  extents.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::span<const std::byte> bytes = tensors[i].bytes;
    if (!is_real(tensors[i].dtype) || bytes.empty()) continue;
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    const DType type = tensors[i].dtype;
    extents.push_back({type, address % size_of(type), bytes.data(), bytes.data() + bytes.size(), i});
  }
  const auto group = [](const Extent& e) { return std::pair(e.type, e.phase); };
  std::ranges::sort(extents, [&](const Extent& a, const Extent& b) {
    return group(a) != group(b) ? group(a) < group(b) : std::less<>()(a.begin, b.begin);
  });
  std::vector<bool> found(tensors.size(), false);
  for (size_t first = 0, last; first < extents.size(); first = last) {
    // [first, last): what overlaps, one chain without gaps.
    const std::byte* end = extents[first].end;
    for (last = first + 1; last < extents.size() && group(extents[last]) == group(extents[first]) &&
                           std::less<>()(extents[last].begin, end);
         ++last)
      end = std::max(end, extents[last].end, std::less<>());
    // Backwards: `nearest` is the first such value at or behind `read`, where everything from there on was read.
    const std::byte *read = end, *nearest = end;
    for (size_t i = last; i-- > first;) {
      const Extent& extent = extents[i];
      const std::byte* const here = first_non_finite(extent.type, extent.begin, read);
      if (here != read) nearest = here;
      read = extent.begin;
      found[extent.tensor] = std::less<>()(nearest, extent.end);
    }
  }
  return found;
}

}  // namespace

bool has_non_finite(const NamedTensor& tensor) {
  const std::byte *const begin = tensor.bytes.data(), *const end = begin + tensor.bytes.size();
  return !tensor.bytes.empty() && first_non_finite(tensor.dtype, begin, end) != end;
}

void note_non_finite(const NamedTensors& tensors, std::vector<std::string>& notes) {
  constexpr size_t kNamed = 5;
  const std::vector<bool> found = find_non_finite(tensors);
  size_t count = 0;
  std::string names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!found[i]) continue;
    if (++count <= kNamed) names += (names.empty() ? "" : ", ") + printable(tensors[i].name);
  }
  if (count == 0) return;
  if (count > kNamed) names += " and " + std::to_string(count - kNamed) + " more";
  notes.push_back("non-finite values in " + names);
}

}  // namespace furrow::io
