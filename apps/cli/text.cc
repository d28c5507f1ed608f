#include "apps/cli/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kernels/error.h"

namespace furrow::cli {
namespace {

constexpr size_t kLongestText = 4096;

// Printable text has no control characters and is UTF-8: two characters are left to escape.
void add_quoted(std::string_view value, std::string& to) {
  to += '"';
  for (const char c : printable(value, kLongestText)) {
    if (c == '"' || c == '\\') to += '\\';
    to += c;
  }
  to += '"';
}

}  // namespace

Text& Text::operator<<(std::string_view piece) {
  text_ += piece;
  return *this;
}

Text& Text::operator<<(int64_t number) {
  text_ += std::to_string(number);
  return *this;
}

size_t choose_word(std::string_view option, std::string_view word, std::string_view names) {
  std::string known;
  size_t place = 0;
  for (std::string_view rest = names; !rest.empty(); ++place) {
    const std::string_view name = rest.substr(0, rest.find(' '));
    if (name == word) return place;
    if (place > 0) known += ", ";
    known += name;
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
  }
  throw Error(ErrorCode::usage, Text() << option << " " << printable(word) << ": unknown").hint("it takes " + known);
}

JsonObject& JsonObject::raw(std::string_view key, std::string_view json) {
  if (!inside_.empty()) inside_ += ',';
  add_quoted(key, inside_);
  inside_ += ':';
  inside_ += json.empty() ? "null" : json;
  return *this;
}

JsonObject& JsonObject::text(std::string_view key, std::string_view value) {
  std::string quoted;
  add_quoted(value, quoted);
  return raw(key, quoted);
}

JsonObject& JsonObject::number(std::string_view key, int64_t value) { return raw(key, std::to_string(value)); }

JsonObject& JsonObject::number(std::string_view key, double value) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  return raw(key, std::isfinite(value) && error == std::errc() ? std::string_view(digits, end) : "");
}

JsonObject& JsonObject::raws(std::string_view key, const std::vector<std::string>& values) {
  std::string list = "[";
  for (const std::string& value : values) list += (list.size() > 1 ? "," : "") + value;
  return raw(key, list + "]");
}

JsonObject& JsonObject::texts(std::string_view key, const std::vector<std::string>& values) {
  std::vector<std::string> quoted(values.size());
  for (size_t i = 0; i < values.size(); ++i) add_quoted(values[i], quoted[i]);
  return raws(key, quoted);
}

}  // namespace furrow::cli
