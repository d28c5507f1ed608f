#include "io/non_finite.h"

#include <cstdint>
#include <cstring>

namespace furrow::io {
namespace {

// IEEE formats: a value is NaN or infinite exactly where all bits of its exponent are set.
template <class Word>
bool any(std::span<const std::byte> bytes, Word exponent) {
  bool found = false;
  for (size_t at = 0; at + sizeof(Word) <= bytes.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    found |= (word & exponent) == exponent;
  }
  return found;
}

}  // namespace

bool has_non_finite(const NamedTensor& tensor) {
  switch (tensor.dtype) {
    case DType::f32: return any<uint32_t>(tensor.bytes, 0x7F800000);
    case DType::f64: return any<uint64_t>(tensor.bytes, 0x7FF0000000000000);
    case DType::f16: return any<uint16_t>(tensor.bytes, 0x7C00);
    case DType::bf16: return any<uint16_t>(tensor.bytes, 0x7F80);
    default: return false;
  }
}

void note_non_finite(const NamedTensors& tensors, std::vector<std::string>& notes) {
  constexpr size_t kNamed = 5;
  size_t count = 0;
  std::string names;
  for (const NamedTensor& tensor : tensors) {
    if (!has_non_finite(tensor)) continue;
    if (++count <= kNamed) names += (names.empty() ? "" : ", ") + printable(tensor.name);
  }
  if (count == 0) return;
  if (count > kNamed) names += " and " + std::to_string(count - kNamed) + " more";
  notes.push_back("non-finite values in " + names);
}

}  // namespace furrow::io
