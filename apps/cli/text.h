// Sentences and JSON put together piece by piece. Not templates and not inline: a fraction of the code of operator+ on
// strings, and of a JSON library's initialiser lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace furrow::cli {

// `std::string s = Text() << "mask " << 3 << " of " << name;`
class Text {
 public:
  Text& operator<<(std::string_view piece);
  Text& operator<<(const char* piece) { return *this << std::string_view(piece); }
  Text& operator<<(const std::string& piece) { return *this << std::string_view(piece); }
  Text& operator<<(int64_t number);
  Text& operator<<(int number) { return *this << static_cast<int64_t>(number); }
  Text& operator<<(uint64_t number) { return *this << static_cast<int64_t>(number); }  // counts: below 2^63
  operator std::string() const { return text_; }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

// The place of `word` in `names`, words with spaces between. Throws ErrorCode::usage with all names.
size_t choose_word(std::string_view option, std::string_view word, std::string_view names);

// One JSON object on one line. Keys are the program's own; texts become printable() first, of 4096 bytes at most.
class JsonObject {
 public:
  JsonObject& text(std::string_view key, std::string_view value);
  JsonObject& number(std::string_view key, int64_t value);
  JsonObject& number(std::string_view key, double value);  // the shortest decimal; what is not finite is null
  JsonObject& texts(std::string_view key, const std::vector<std::string>& values);
  JsonObject& raw(std::string_view key, std::string_view json);  // "" is null
  // [a,b] of JSON values.
  JsonObject& raws(std::string_view key, const std::vector<std::string>& values);
  std::string str() const { return "{" + inside_ + "}"; }

 private:
  std::string inside_;
};

}  // namespace furrow::cli
