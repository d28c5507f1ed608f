// Long text in little room.
#pragma once

#include <string>
#include <string_view>

namespace furrow {

// printable() (kernels/error.h) with the middle left out where it is longer than `max_bytes`: "first part...last part".
// Of a path the end, which tells files apart, stays; never cut within a character. max_bytes >= 8.
std::string shortened(std::string_view text, size_t max_bytes);

}  // namespace furrow
