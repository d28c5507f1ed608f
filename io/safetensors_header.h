// The JSON header of a safetensors file; used by read_safetensors alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<uint64_t> shape, offsets;  // offsets: begin, end within the data
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the header's order, names unique
  std::map<std::string, std::string> metadata;
};

// Reads the JSON text, at most limits.safetensors_header bytes of it. Only the shape of the JSON is checked here: which
// keys, which types, no duplicates, whole numbers below 2^63. `at`: where the text lies in the file, for messages.
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t at, const Limits& limits);

}  // namespace furrow::io
