// A look at JSON before nlohmann's parser, which copies a token several times and once more into its message where the
// token is wrong: a header of one token of 16 MiB would take eight times its size only to be refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace furrow::io {

// The most bytes of a token as they stand in the JSON, escapes included.
struct TokenLimits {
  size_t number = SIZE_MAX;
  size_t key = SIZE_MAX;
  size_t text = SIZE_MAX;     // that is no key
  std::string_view long_key;  // of the outermost object: in its value texts may have `long_text`
  size_t long_text = SIZE_MAX;
};

struct BadToken {
  enum class Kind : uint8_t { not_json, number, key, text };  // the last three: too long
  Kind kind = Kind::not_json;
  uint64_t at = 0;  // byte of the JSON
  uint64_t limit = 0, bytes = 0;
};

// In JSON that begins with {: the first text that does not end, is not UTF-8, has a control character or a wrong
// escape, or stands where no text may stand (a parser that has read what comes before accepts every other text); the
// first token that is too long. Takes no memory.
std::optional<BadToken> find_bad_token(std::string_view json, const TokenLimits& limits = {});

}  // namespace furrow::io
