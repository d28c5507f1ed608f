// JSON through nlohmann's SAX events. They carry no places, so a second scanner walks the same text one token behind.
#include <cctype>

#include "io/config_parsers.h"
#include "io/json_walk.h"

namespace furrow::io {
namespace {

// Yields the places of keys, values and brackets in the order of the events. It only ever sees text that nlohmann's
// parser has accepted already, so it need not check anything.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  // The next token without `,` and `:`; at() is its place afterwards.
  std::string_view next() {
    while (at_ < text_.size() &&
           (std::isspace(static_cast<unsigned char>(text_[at_])) || text_[at_] == ',' || text_[at_] == ':'))
      step();
    place_ = {line_, column_};
    const size_t first = at_;
    if (at_ >= text_.size()) return {};
    if (text_[at_] == '"') {
      for (step(); at_ < text_.size() && text_[at_] != '"'; step())
        if (text_[at_] == '\\') step();
      step();
    } else if (std::string_view("{}[]").find(text_[at_]) != std::string_view::npos) {
      step();
    } else {
      while (at_ < text_.size() && std::string_view(",:]} \t\r\n").find(text_[at_]) == std::string_view::npos) step();
    }
    return text_.substr(first, at_ - first);
  }
  ConfigAt at() const { return place_; }

 private:
  void step() {
    if (at_ >= text_.size()) return;
    const bool newline = text_[at_++] == '\n';
    line_ += newline;
    column_ = newline ? 1 : column_ + 1;
  }
  const std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1, column_ = 1;
  ConfigAt place_{1, 1};
};

class SettingEvents : public JsonEvents {
 public:
  SettingEvents(std::string_view text, ConfigBuilder& builder) : text_(text), tokens_(text), builder_(builder) {}

  bool null() override {
    tokens_.next();
    builder_.scalar(ConfigKind::null, "", tokens_.at());
    return true;
  }
  // Numbers as the file spells them: the schema reads them as it reads YAML's.
  bool boolean(bool) override { return plain(); }
  bool number_integer(int64_t) override { return plain(); }
  bool number_unsigned(uint64_t) override { return plain(); }
  bool number_float(double, const std::string&) override { return plain(); }
  bool string(std::string& value) override {
    tokens_.next();
    builder_.scalar(ConfigKind::quoted, std::move(value), tokens_.at());
    return true;
  }
  bool key(std::string& value) override {
    tokens_.next();
    builder_.key(value, tokens_.at());
    return true;
  }
  bool start_object() override { return begin(ConfigKind::map); }
  bool start_array() override { return begin(ConfigKind::list); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }

  bool parse_error(size_t position, const std::string& token, bool out_of_range, const std::string& reason) override {
    if (out_of_range) {
      tokens_.next();
      builder_.stop(tokens_.at(), "'" + printable(token, 40) + "' is beyond the range of a 64-bit float");
    }
    const ConfigAt at = at_offset(text_, position == 0 ? 0 : position - 1);
    // "[json.exception...] parse error at line 3, column 1: syntax error while parsing value - WHAT; last read: ..."
    std::string what = reason;
    if (const size_t cut = what.find(" - "); cut != what.npos) what.erase(0, cut + 3);
    if (const size_t cut = what.find("; last read"); cut != what.npos) {
      const size_t rest = what.find("'; ", cut);
      what.erase(cut, rest == what.npos ? what.npos : rest + 1 - cut);
    }
    const char c = position > 0 && position <= text_.size() ? text_[position - 1] : '\0';
    builder_.stop(at, "not valid JSON: " + printable(what, 160),
                  c == '/' || c == '#' ? "JSON has no comments"
                  : c == '\''          ? "JSON strings take double quotes"
                                       : "");
  }

 private:
  bool plain() {
    const std::string_view text = tokens_.next();
    builder_.scalar(ConfigKind::plain, std::string(text), tokens_.at());
    return true;
  }
  bool begin(ConfigKind kind) {
    tokens_.next();
    builder_.begin(kind, tokens_.at());
    return true;
  }
  bool end() {
    tokens_.next();
    builder_.end();
    return true;
  }

  const std::string_view text_;
  Tokens tokens_;
  ConfigBuilder& builder_;
};

}  // namespace

void parse_json(std::string_view text, ConfigBuilder& builder) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) builder.stop({1, 1}, "the file holds no settings");
  SettingEvents events(text, builder);
  walk_json(text, events);
}

}  // namespace furrow::io
