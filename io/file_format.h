// What kind of file these bytes are, in words for people who gave the wrong one.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace furrow::io {

struct FileFormat {
  std::string_view name;  // "GIF", "HEIC/HEIF", "text" ...; empty where nothing fits
  std::string_view hint;  // what to do about it
};

// Judges by the first bytes (TGA also by its footer or the plausibility of its header). Names "PNG" and "JPEG" too.
FileFormat file_format(std::span<const std::byte> bytes);

}  // namespace furrow::io
