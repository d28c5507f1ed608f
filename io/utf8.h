// UTF-8 validity (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing over U+10FFFF.
#pragma once

#include <string_view>

namespace furrow::io {

bool is_utf8(std::string_view text);

}  // namespace furrow::io
