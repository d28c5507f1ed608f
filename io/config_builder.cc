#include "io/config_builder.h"

#include <algorithm>

namespace furrow::io {
namespace {

constexpr size_t kMostKeyBytes = 128;

bool key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

}  // namespace

ConfigBuilder::ConfigBuilder(ConfigSource& out, std::string source, const Limits& limits)
    : out_(out), source_(std::move(source)), limits_(limits) {}

std::string ConfigBuilder::value_path() const {
  if (open_.empty()) return {};
  const Open& open = open_.back();
  if (open.kind == ConfigKind::list) return open.path + "[" + std::to_string(open.items) + "]";
  if (open.key.empty()) return open.path;
  return open.path.empty() ? open.key : open.path + "." + open.key;
}

void ConfigBuilder::complain(ConfigAt at, std::string reason, std::string hint) {
  out_.problems.add({source_, at.line, at.column}, value_path(), std::move(reason), std::move(hint));
}

void ConfigBuilder::stop(ConfigAt at, std::string reason, std::string hint) {
  complain(at, std::move(reason), std::move(hint));
  throw ConfigStop();
}

void ConfigBuilder::abandon() {
  if (open_.size() < 2) return;
  const std::string path = open_[1].path;
  std::erase_if(out_.entries, [&](const ConfigEntry& entry) { return entry.path == path || below(entry.path, path); });
}

void ConfigBuilder::count_key(ConfigAt at) {
  if (++keys_ > limits_.config_keys) {
    out_.problems.add({source_, at.line, at.column}, "",
                      "too many keys and list items; limit " + std::to_string(limits_.config_keys));
    throw ConfigStop();
  }
}

void ConfigBuilder::key(std::string_view text, ConfigAt at) {
  count_key(at);
  Open& open = open_.back();
  open.key = std::string(text.substr(0, kMostKeyBytes));
  open.key_at = at;
  open.has_key = true;
  if (text == "<<") return complain(at, "merge keys are not read", "write the settings out");
  if (text.empty()) return complain(at, "an empty key");
  if (text.size() > kMostKeyBytes)
    return complain(at, "a key of " + std::to_string(text.size()) + " bytes; limit " + std::to_string(kMostKeyBytes));
  if (!std::all_of(text.begin(), text.end(), key_character))
    return complain(at, "'" + printable(text, 60) + "' is no key", "keys are letters, digits, '_', '-' and '.'");
  const auto [place, first] = lines_.emplace(value_path(), at.line);
  if (!first)
    complain(at, "given twice, on lines " + std::to_string(place->second) + " and " + std::to_string(at.line),
             "keep one of them");
}

void ConfigBuilder::start_value(ConfigKind kind, std::string text, ConfigAt at) {
  if (!open_.empty() && open_.back().kind == ConfigKind::list) {
    count_key(at);
    open_.back().key_at = at;
  }
  const std::string path = value_path();
  if (path.empty()) {
    if (kind == ConfigKind::map) return;
    stop(at,
         kind == ConfigKind::list ? "the file holds a list, not settings" : "the file holds one value, not settings",
         "write KEY: VALUE, one a line");
  }
  // A list or a map may begin a line after its key.
  if (kind == ConfigKind::list || kind == ConfigKind::map) at = key_at();
  out_.entries.push_back({path, kind, std::move(text), path, {source_, at.line, at.column}});
}

void ConfigBuilder::value_done() {
  if (open_.empty()) return;
  open_.back().has_key = false;
  ++open_.back().items;
}

void ConfigBuilder::scalar(ConfigKind kind, std::string text, ConfigAt at) {
  start_value(kind, std::move(text), at);
  value_done();
}

void ConfigBuilder::begin(ConfigKind list_or_map, ConfigAt at) {
  if (open_.size() >= limits_.config_depth) {
    out_.problems.add({source_, at.line, at.column}, "",
                      "nested too deeply; limit " + std::to_string(limits_.config_depth));
    throw ConfigStop();
  }
  start_value(list_or_map, "", at);
  open_.push_back({.kind = list_or_map, .path = value_path(), .key_at = at});
}

void ConfigBuilder::end() {
  open_.pop_back();
  value_done();
}

}  // namespace furrow::io
