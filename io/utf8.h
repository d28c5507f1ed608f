// UTF-8 validity (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing over U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace furrow::io {

size_t utf8_length(std::string_view text);  // of the valid part that it begins with
inline bool is_utf8(std::string_view text) { return utf8_length(text) == text.size(); }

}  // namespace furrow::io
