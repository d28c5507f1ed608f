// MD5 (RFC 1321): for damage alone, where a publisher states nothing better. It is no proof of origin.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace furrow::io {

// 32 lower-case hexadecimal digits.
std::string md5_hex(std::span<const std::byte> bytes);

}  // namespace furrow::io
