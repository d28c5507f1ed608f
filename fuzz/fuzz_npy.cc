// The reader of NumPy's arrays. Every input is read as it is, and as the header of a file whose size fits the shape, so
// that mutations of the header reach the elements.
#include <cstdint>
#include <string>

#include "fuzz/small_limits.h"
#include "io/npy.h"

namespace {

void read(const std::string& bytes) {
  try {
    const auto array = furrow::io::parse_npy(std::as_bytes(std::span(bytes)), furrow::fuzz::small_limits());
    size_t elements = 1;
    for (const int64_t size : array.dims) elements *= static_cast<size_t>(size);
    furrow::require(array.values.size() == elements, "as many values as the shape says");
    furrow::require(elements <= bytes.size(), "an element takes a byte at least");
    furrow::fuzz::touch(std::as_bytes(std::span(array.values)));
  } catch (const furrow::Error& error) {
    furrow::fuzz::check(error);
    furrow::require(error.byte().has_value(), "a refusal has a place");
    furrow::require(*error.byte() <= bytes.size(), "the place lies in the file");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  const size_t end = bytes.find('}');
  if (end == bytes.npos) return 0;
  const size_t begin = bytes.find('{');
  if (begin > end) return 0;
  const std::string header = bytes.substr(begin, end + 1 - begin), data_behind = bytes.substr(end + 1);
  std::string whole = std::string("\x93NUMPY\x02\0", 8);
  for (int i = 0; i < 4; ++i) whole += static_cast<char>(header.size() >> (8 * i));
  read(whole + header + data_behind);
  return 0;
}
