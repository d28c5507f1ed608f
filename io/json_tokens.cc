#include "io/json_tokens.h"

#include <algorithm>

#include "io/utf8.h"

namespace furrow::io {
namespace {

bool is_one_of(char c, std::string_view set) { return set.find(c) != set.npos; }

// The code unit that \u and four digits name at `at`; nothing where there is none.
std::optional<unsigned> code_unit(std::string_view json, size_t at) {
  if (json.substr(at, 2) != "\\u" || json.size() - at < 6) return std::nullopt;
  unsigned unit = 0;
  for (const char c : json.substr(at + 2, 4)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    unit = unit << 4 | static_cast<unsigned>(digit);
  }
  return unit;
}

// Bytes of the escape at `at`, a backslash; 0 where it is wrong. Halves of surrogate pairs alone are.
size_t escape_length(std::string_view json, size_t at) {
  if (at + 1 < json.size() && is_one_of(json[at + 1], "\"\\/bfnrt")) return 2;
  const std::optional<unsigned> first = code_unit(json, at);
  if (!first || *first >> 10 == 0xDC00 >> 10) return 0;
  if (*first >> 10 != 0xD800 >> 10) return 6;
  const std::optional<unsigned> second = code_unit(json, at + 6);
  return second && *second >> 10 == 0xDC00 >> 10 ? 12 : 0;
}

// Of the text whose opening quote is at `begin` - 1.
struct Text {
  size_t end = 0;  // its closing quote; where it is wrong, the byte that is
  bool right = false;
};

Text text_at(std::string_view json, size_t begin) {
  size_t at = begin;
  while (at < json.size() && json[at] != '"') {
    const size_t length = json[at] == '\\' ? escape_length(json, at) : static_cast<unsigned char>(json[at]) >= 0x20;
    if (length == 0) break;
    at += length;
  }
  const size_t valid = begin + utf8_length(json.substr(begin, at - begin));
  return {valid, valid == at && at < json.size() && json[at] == '"'};
}

}  // namespace

std::optional<BadToken> find_bad_token(std::string_view json, const TokenLimits& limits) {
  using Kind = BadToken::Kind;
  char before = '\0';  // the last character outside of texts that is no white space
  size_t depth = 0;
  bool roomy = false;  // in the value of limits.long_key
  for (size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (is_one_of(c, " \t\r\n")) {
      ++at;
      continue;
    }
    if (c == '"') {
      if (!is_one_of(before, "{[,:")) return BadToken{.at = at};
      const Text text = text_at(json, at + 1);
      if (!text.right) return BadToken{.at = text.end};
      const Kind kind = before == ':' ? Kind::text : Kind::key;
      const size_t limit = kind == Kind::key ? limits.key : roomy ? limits.long_text : limits.text;
      const size_t bytes = text.end - at - 1;
      if (bytes > limit) return BadToken{kind, at, limit, bytes};
      if (depth == 1 && kind == Kind::key) roomy = json.substr(at + 1, bytes) == limits.long_key;
      at = text.end + 1;
    } else {
      const size_t end = std::min(json.find_first_not_of("+-.0123456789Ee", at), json.size());
      if (end - at > limits.number) return BadToken{Kind::number, at, limits.number, end - at};
      if (is_one_of(c, "{[")) ++depth;
      if (is_one_of(c, "}]") && depth > 0) --depth;
      at = std::max(end, at + 1);
    }
    before = c;
  }
  return std::nullopt;
}

}  // namespace furrow::io
