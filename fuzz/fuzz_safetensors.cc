// The safetensors reader.
#include <cstdint>

#include "fuzz/checkpoint_target.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto read = [&](auto bytes, auto owner, const auto& limits) {
    auto checkpoint = furrow::io::read_safetensors(bytes, owner, limits);
    size_t total = 0;
    for (const furrow::NamedTensor& tensor : checkpoint.tensors) total += tensor.bytes.size();
    furrow::require(total < size, "tensors fill no more than the file");
    return checkpoint;
  };
  furrow::fuzz::read_checked(read, {reinterpret_cast<const std::byte*>(data), size}, false);
  return 0;
}
