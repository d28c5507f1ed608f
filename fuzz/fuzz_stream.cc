// The reader of legacy streams. An input without the magic number is read behind it.
#include <cstdint>

#include "fuzz/checkpoint_target.h"
#include "io/pth_stream.h"

using namespace furrow::fuzz;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::string_view kMagic("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const bool whole = furrow::io::is_pth_stream(input);
  if (whole) read_checked(furrow::io::read_pth_stream, std::as_bytes(std::span(input)), true);
  else read_copy(furrow::io::read_pth_stream, {kMagic, input}, true);
  return 0;
}
