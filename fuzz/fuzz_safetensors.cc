// The safetensors reader.
#include <cstdint>

#include "fuzz/small_limits.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto checkpoint = furrow::io::read_safetensors({reinterpret_cast<const std::byte*>(data), size}, nullptr,
                                                         furrow::fuzz::small_limits());
    size_t total = 0;
    for (const furrow::NamedTensor& tensor : checkpoint.tensors) {
      furrow::require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
                      "byte count equals shape");
      furrow::fuzz::touch(tensor.bytes);
      total += tensor.bytes.size();
    }
    furrow::require(total < size, "tensors fill no more than the file");
  } catch (const furrow::Error& error) { furrow::fuzz::check(error); }
  return 0;
}
