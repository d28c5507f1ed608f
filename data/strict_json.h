// What is asked of JSON files beyond their grammar, before any value is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace furrow::data {

// nlohmann's ordered object looks through all of its members for each that is added.
constexpr size_t kObjectMembers = 1024;

// Throws unless `text` is one JSON value (RFC 8259) of at most `largest` bytes, nested at most `depth` deep, no object
// of which has a key twice or more than kObjectMembers members, the outermost more than `outermost`: malformed with the
// byte, or limit.
void check_json(std::string_view text, uint64_t largest, int depth = 8, size_t outermost = kObjectMembers);

// The text of a file that check_json() lets pass: a copy, so that another program that shortens the file meanwhile
// costs an error and not the process. Its size is judged before anything is allocated. Errors: ErrorCode::io besides;
// none names the file.
std::string read_json_text(const std::string& path, uint64_t largest, int depth = 8,
                           size_t outermost = kObjectMembers);
// Any file of at most `largest` bytes, in the same way.
std::string read_text_within(const std::string& path, uint64_t largest, const char* what);

struct JsonMember {
  std::string key;
  std::string_view value;  // JSON itself
};
// The members in order of an object that check_json() let pass, so that of 70,000 one is built at a time; nothing where
// `text` is another value. `text` has to outlive them.
std::optional<std::vector<JsonMember>> json_members(std::string_view text);

}  // namespace furrow::data
