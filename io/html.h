// Text and pictures inside HTML and SVG.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace furrow::io {

// Text as it may stand between tags and in quoted attributes.
std::string html_text(std::string_view text);

// A row of a table; the cells are HTML. `tag` is td or th.
std::string table_row(const std::vector<std::string>& cells, std::string_view tag = "td");

// Standard base64 with padding (RFC 4648, section 4).
std::string base64(std::span<const std::byte> bytes);

}  // namespace furrow::io
