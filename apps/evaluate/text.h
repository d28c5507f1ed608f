// Numbers and names as an evaluation writes them.
#pragma once

#include <array>
#include <charconv>
#include <string>

namespace furrow::apps {

// The shortest decimal that reads back as the same double; the same on every machine.
inline std::string shortest(double value) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::string(text.data(), end) : std::string("?");
}

}  // namespace furrow::apps
