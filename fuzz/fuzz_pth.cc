// Checkpoints from end to end. An input that is no zip is read twice: as it is, and as the pickle of a well-formed
// archive, so that mutations reach the tensors without having to get the CRCs of a zip right.
#include <cstdint>
#include <string>

#include "fuzz/checkpoint_target.h"
#include "tests/containers/builders.h"

using namespace furrow::fuzz;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr auto kRead = [](auto bytes, auto owner, const auto& limits) {
    return furrow::io::read_checkpoint(bytes, owner, limits);
  };
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_checked(kRead, std::as_bytes(std::span(input)), false);
  if (!input.starts_with("\x80")) return 0;
  static const std::vector<std::string> records = {furrow::testing::six_floats(), std::string(24, 'x')};
  read_copy(kRead, {furrow::testing::build_pth(std::string(input), records)}, false);
  return 0;
}
