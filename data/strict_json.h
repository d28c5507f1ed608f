// What is asked of JSON files beyond their grammar, before any value is built.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace furrow::data {

// Throws unless `text` is one JSON value (RFC 8259) of at most `largest` bytes, nested at most `depth` deep, no object
// of which has a key twice: malformed with the byte, or limit.
void check_json(std::string_view text, uint64_t largest, int depth = 8);

// The text of a file that check_json() lets pass: a copy, so that another program that shortens the file meanwhile
// costs an error and not the process. Its size is judged before anything is allocated. Errors: ErrorCode::io besides;
// none names the file.
std::string read_json_text(const std::string& path, uint64_t largest, int depth = 8);
// Any file of at most `largest` bytes, in the same way.
std::string read_text_within(const std::string& path, uint64_t largest, const char* what);

}  // namespace furrow::data
