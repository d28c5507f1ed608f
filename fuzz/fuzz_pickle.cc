// The pickle machine, and the search for tensors in what it made.
#include <cstdint>

#include "fuzz/small_limits.h"
#include "io/pickle.h"
#include "io/pth_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const furrow::io::Limits limits = furrow::fuzz::small_limits();
  try {
    const furrow::io::Pickle pickle = furrow::io::run_pickle({reinterpret_cast<const std::byte*>(data), size}, limits);
    furrow::io::select_tensors(pickle, limits);
  } catch (const furrow::Error& error) { furrow::fuzz::check(error); }
  return 0;
}
