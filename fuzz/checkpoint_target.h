// What the targets of checkpoint readers share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

#include "fuzz/exact_bytes.h"
#include "fuzz/small_limits.h"
#include "io/checkpoint.h"

namespace furrow::fuzz {

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads `bytes` with READER (io/pth_stream.h and so on) and looks at all of what it gives: tensors of as many bytes as
// their shapes say, or an Error, which has a place in the file where `placed`.
template <class Reader>
void read_checked(Reader&& reader, std::span<const std::byte> bytes, bool placed) {
  try {
    const io::Checkpoint checkpoint = reader(bytes, nullptr, small_limits());
    for (const NamedTensor& tensor : checkpoint.tensors) {
      require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
              "byte count equals shape");
      touch(tensor.bytes);
    }
  } catch (const Error& error) {
    check(error);
    if (placed) require(error.byte().has_value(), "a refusal has a place");
  }
}

// The same for bytes that were made from an input: see ExactBytes.
template <class Reader>
void read_copy(Reader&& reader, std::initializer_list<std::string_view> parts, bool placed) {
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  const ExactBytes copy(size);
  auto to = copy.get().begin();
  for (const std::string_view part : parts) to = std::ranges::copy(std::as_bytes(std::span(part)), to).out;
  read_checked(reader, copy.get(), placed);
}

}  // namespace furrow::fuzz
