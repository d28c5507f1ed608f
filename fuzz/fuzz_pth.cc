// Checkpoints from end to end. An input that is no zip is read twice: as it is, and as the pickle of a well-formed
// archive, so that mutations reach the tensors without having to get the CRCs of a zip right.
#include <cstdint>
#include <string>

#include "fuzz/small_limits.h"
#include "io/checkpoint.h"
#include "tests/containers/builders.h"

namespace {

void read(const std::string& bytes) {
  try {
    const auto checkpoint =
        furrow::io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, furrow::fuzz::small_limits());
    for (const furrow::NamedTensor& tensor : checkpoint.tensors) {
      furrow::require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
                      "byte count equals shape");
      furrow::fuzz::touch(tensor.bytes);
    }
  } catch (const furrow::Error& error) { furrow::fuzz::check(error); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  read(input);
  if (input.starts_with("\x80"))
    read(furrow::testing::build_pth(input, {furrow::testing::six_floats(), std::string(24, 'x')}));
  return 0;
}
