// What is asked of JSON files beyond their grammar, before any value is built.
#pragma once

#include <cstdint>
#include <string_view>

namespace furrow::data {

// Throws unless `text` is one JSON value (RFC 8259) of at most `largest` bytes, nested at most `depth` deep, no object
// of which has a key twice: malformed with the byte, or limit.
void check_json(std::string_view text, uint64_t largest, int depth = 8);

}  // namespace furrow::data
