// The reader of legacy streams. An input without the magic number is read behind it.
#include <cstdint>
#include <string>

#include "fuzz/small_limits.h"
#include "io/pth_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string magic("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!furrow::io::is_pth_stream(bytes)) bytes.insert(0, magic);
  bytes.shrink_to_fit();
  try {
    const auto checkpoint =
        furrow::io::read_pth_stream(std::as_bytes(std::span(bytes)), nullptr, furrow::fuzz::small_limits());
    for (const furrow::NamedTensor& tensor : checkpoint.tensors) {
      furrow::require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
                      "byte count equals shape");
      furrow::fuzz::touch(tensor.bytes);
    }
  } catch (const furrow::Error& error) {
    furrow::fuzz::check(error);
    furrow::require(error.byte().has_value(), "a refusal has a place");
  }
  return 0;
}
