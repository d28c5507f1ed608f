// Numbers and names as an evaluation writes them.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::apps {

// The shortest decimal that reads back as the same double; the same on every machine.
inline std::string shortest(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::string(text.data(), end) : std::string("?");
}

// A name from outside as it is kept and shown: printable, a backslash as \x5c, and never cut, so that two names that
// differ stay two.
inline std::string shown_name(std::string_view name) {
  std::string plain;
  for (const char c : name) plain += c == '\\' ? "\\x5c" : std::string(1, c);
  return printable(plain, 4 * plain.size());
}

// The same in at most `most` bytes, most > 20: of a longer one its beginning and 12 digits of its SHA-256.
inline std::string shown_name(std::string_view name, size_t most) {
  const std::string whole = shown_name(name);
  if (whole.size() <= most) return whole;
  const std::string sum = io::sha256_hex(std::as_bytes(std::span(name.data(), name.size()))).substr(0, 12);
  return printable(whole, most - 16) + "#" + sum;
}

// A cell of a table in plain text: filled up to `width`, and never cut, so that two names that differ stay two.
inline std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

}  // namespace furrow::apps
