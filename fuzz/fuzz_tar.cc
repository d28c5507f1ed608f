// The reader of the tar of 2017. Every input is read as it is, and with the checksums of its headers repaired, so that
// mutations get past them.
#include <cstdint>
#include <string>

#include "fuzz/small_limits.h"
#include "io/pth_tar.h"

namespace {

void read(const std::string& bytes) {
  try {
    const auto checkpoint =
        furrow::io::read_pth_tar(std::as_bytes(std::span(bytes)), nullptr, furrow::fuzz::small_limits());
    for (const furrow::NamedTensor& tensor : checkpoint.tensors) {
      furrow::require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
                      "byte count equals shape");
      furrow::fuzz::touch(tensor.bytes);
    }
  } catch (const furrow::Error& error) {
    furrow::fuzz::check(error);
    furrow::require(error.byte().has_value(), "a refusal has a place");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (bytes.compare(at + 257, 5, "ustar") != 0) continue;
    bytes.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    for (size_t i = 6; i-- > 0; sum /= 8) bytes[at + 148 + i] = static_cast<char>('0' + sum % 8);
    bytes[at + 154] = '\0';
  }
  read(bytes);
  return 0;
}
