// The reader of the tar of 2017. Every input is read as it is, and with the checksums of its headers repaired where one
// of them is wrong, so that mutations get past them.
#include <cstdint>
#include <string>

#include "fuzz/checkpoint_target.h"
#include "io/pth_tar.h"

using namespace furrow::fuzz;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_checked(furrow::io::read_pth_tar, std::as_bytes(std::span(input)), true);
  std::string bytes(input);
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (bytes.compare(at + 257, 5, "ustar") != 0) continue;
    bytes.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : std::string_view(bytes).substr(at, 512)) sum += static_cast<unsigned char>(byte);
    for (size_t i = 6; i-- > 0; sum /= 8) bytes[at + 148 + i] = static_cast<char>('0' + sum % 8);
    bytes[at + 154] = '\0';
  }
  if (bytes != input) read_copy(furrow::io::read_pth_tar, {bytes}, true);
  return 0;
}
