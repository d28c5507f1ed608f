// YAML through yaml-cpp's events, where anchors, aliases and tags are visible and nothing is expanded or stored.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "io/config_parsers.h"

namespace furrow::io {
namespace {

// The scanner holds all tokens of a flow collection in memory before it gives the first, at about 100 bytes each.
constexpr int64_t kMostFlowCharacters = 20'000;

class YamlEvents : public YAML::EventHandler {
 public:
  YamlEvents(std::string_view text, ConfigBuilder& builder) : text_(text), builder_(builder) {
    starts_.push_back(0);
    for (size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') starts_.push_back(i + 1);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) builder_.stop(at(mark), "a second document begins", "one file holds one set of settings");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (builder_.wants_key()) return builder_.key("", at(mark));
    builder_.scalar(ConfigKind::null, "", builder_.key_at());  // its mark is the next token's
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    builder_.complain(at(mark), "aliases (*name) are not read", "write the value out");
    if (builder_.wants_key()) return builder_.key("alias", at(mark));
    builder_.scalar(ConfigKind::null, "", at(mark));
  }
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    builder_.complain(at(mark), "anchors (&" + printable(name, 40) + ") are not read", "write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    check_tag(mark, tag);
    const bool quoted = tag != "?" && check_quote(mark);
    if (builder_.wants_key()) {
      const bool merge = value == "<<" && quoted;  // in quotes it is an ordinary, if unknown, key
      return builder_.key(merge ? "<<_" : value, at(mark));
    }
    if (!quoted && (value == "~" || value == "null" || value == "Null" || value == "NULL"))
      return builder_.scalar(ConfigKind::null, "", at(mark));
    builder_.scalar(quoted ? ConfigKind::quoted : ConfigKind::plain, value, at(mark));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    begin(ConfigKind::list, mark, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    begin(ConfigKind::map, mark, tag);
  }
  void OnSequenceEnd() override { builder_.end(); }
  void OnMapEnd() override { builder_.end(); }

  int documents() const { return documents_; }

  static ConfigAt at(const YAML::Mark& mark) {
    return {static_cast<uint32_t>(std::max(mark.line, 0)) + 1, static_cast<uint32_t>(std::max(mark.column, 0)) + 1};
  }

 private:
  void begin(ConfigKind kind, const YAML::Mark& mark, const std::string& tag) {
    check_tag(mark, tag);
    if (builder_.wants_key()) builder_.stop(at(mark), "a list or a map as a key");
    builder_.begin(kind, at(mark));
  }

  size_t offset(const YAML::Mark& mark) const {
    const size_t line = std::min(static_cast<size_t>(std::max(mark.line, 0)), starts_.size() - 1);
    return std::min(starts_[line] + static_cast<size_t>(std::max(mark.column, 0)), text_.size());
  }

  // "?" is an untagged plain scalar or collection, "!" an untagged quoted one, or the tag "!" itself.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    const bool explicit_tag = tag != "?" && (tag != "!" || (offset(mark) < text_.size() && text_[offset(mark)] == '!'));
    if (explicit_tag)
      builder_.complain(at(mark),
                        "tags (" +
                            printable(tag.starts_with(kStandard) ? "!!" + tag.substr(kStandard.size()) : tag, 60) +
                            ") are not read",
                        "write the plain value");
  }

  // A quoted scalar whose quote is never closed: yaml-cpp 0.7 takes the end of the file for the quote. True for text
  // in quotes or in a block, false for text that merely bears a tag.
  bool check_quote(const YAML::Mark& mark) {
    const size_t first = offset(mark);
    const char quote = first < text_.size() ? text_[first] : ' ';
    if (quote != '"' && quote != '\'') return quote != '!';
    for (size_t i = first + 1; i < text_.size(); ++i) {
      if (text_[i] == '\\' && quote == '"')
        ++i;
      else if (text_[i] == quote && quote == '\'' && i + 1 < text_.size() && text_[i + 1] == quote)
        ++i;
      else if (text_[i] == quote)
        return true;
    }
    builder_.stop(at(mark), "a quote that is never closed");
  }

  const std::string_view text_;
  ConfigBuilder& builder_;
  std::vector<size_t> starts_;
  int documents_ = 0;
};

// Refusals that yaml-cpp words badly, or that would cost memory before it could refuse.
void check_lines(std::string_view text, ConfigBuilder& builder) {
  bool tabs = false;
  for (size_t start = 0, line = 1; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view content = text.substr(start, end - start);
    const size_t first = std::min(content.find_first_not_of(" \t\r"), content.size());
    const size_t tab = content.substr(0, first).find('\t');
    if (tab != content.npos && first < content.size() && content[first] != '#') {
      builder.complain({static_cast<uint32_t>(line), static_cast<uint32_t>(tab) + 1}, "a tab in the indentation",
                       "use spaces");
      tabs = true;
    }
    if (content.starts_with('%'))
      builder.stop({static_cast<uint32_t>(line), 1}, "YAML directives (%) are not read", "remove the line");
    start = end + 1;
  }
  if (tabs) throw ConfigStop();
  if (std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{' || c == ','; }) >
      kMostFlowCharacters)
    builder.stop({1, 1}, "more than " + std::to_string(kMostFlowCharacters) + " of the characters [ { , in one file");
}

}  // namespace

void parse_yaml(std::string_view text, ConfigBuilder& builder) {
  check_lines(text, builder);
  std::istringstream stream{std::string(text)};
  YamlEvents events(text, builder);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(events)) {}
  } catch (const YAML::Exception& error) {
    const bool undefined = error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR;
    builder.stop(YamlEvents::at(error.mark),
                 undefined ? "an alias (*name) of an undefined anchor" : printable(error.msg, 100),
                 undefined ? "aliases are not read: write the value out" : "");
  }
  if (events.documents() == 0) builder.stop({1, 1}, "the file holds no settings");
}

}  // namespace furrow::io
