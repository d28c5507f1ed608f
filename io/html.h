// Text and pictures inside HTML and SVG.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace furrow::io {

// Text as it may stand between tags and in quoted attributes.
std::string html_text(std::string_view text);

// Standard base64 with padding (RFC 4648, section 4).
std::string base64(std::span<const std::byte> bytes);

}  // namespace furrow::io
