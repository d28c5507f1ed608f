// The zip reader: any bytes give an archive whose entries can be read whole, or an Error.
#include <cstdint>

#include "fuzz/small_limits.h"
#include "io/zip.h"
#include "kernels/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const furrow::io::ZipArchive zip({reinterpret_cast<const std::byte*>(data), size}, furrow::fuzz::small_limits());
    for (const furrow::io::ZipEntry& entry : zip.entries()) {
      furrow::fuzz::touch(zip.read(entry).bytes);
      furrow::require(zip.find(entry.name) != nullptr, "every entry is found under its name");
    }
  } catch (const furrow::Error& error) { furrow::fuzz::check(error); }
  return 0;
}
