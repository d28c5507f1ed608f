// Preset fuzz-fast: hands a target its input at the end of a page (fuzz/exact_bytes.h).
#include <cstdint>
#include <cstring>

#include "fuzz/exact_bytes.h"

extern "C" int furrow_fuzz_target(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const furrow::fuzz::ExactBytes copy(size);
  if (size > 0) std::memcpy(copy.get().data(), data, size);
  return furrow_fuzz_target(reinterpret_cast<const uint8_t*>(copy.get().data()), size);
}
