// ConfigBuilder: what the YAML and the JSON reader share. Receives a document's events in order and writes the flat
// list; checks depth, number of keys, spelling of keys and duplicates.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/config.h"
#include "kernels/secret_hash.h"

namespace furrow::io {

// Thrown by the builder and the readers once a problem is noted after which reading on is pointless.
struct ConfigStop {};

struct ConfigAt {
  uint32_t line = 0, column = 0;  // from 1
};

class ConfigBuilder {
 public:
  ConfigBuilder(ConfigSource& out, std::string source, const Limits& limits);

  void key(std::string_view text, ConfigAt at);
  void scalar(ConfigKind kind, std::string text, ConfigAt at);
  void begin(ConfigKind list_or_map, ConfigAt at);
  void end();

  // True where the next scalar is a key.
  bool wants_key() const { return !open_.empty() && open_.back().kind == ConfigKind::map && !open_.back().has_key; }
  // The place of the key (or list item) whose value is under way, for values that have no text of their own.
  ConfigAt key_at() const { return open_.empty() ? ConfigAt{1, 1} : open_.back().key_at; }
  // After a stop: forgets the outermost value under way, whose half would only cause further complaints.
  void abandon();
  void complain(ConfigAt at, std::string reason, std::string hint = "");
  [[noreturn]] void stop(ConfigAt at, std::string reason, std::string hint = "");

 private:
  struct Open {
    ConfigKind kind = ConfigKind::map;
    std::string path, key;  // of the value under way
    ConfigAt key_at;
    bool has_key = false;
    size_t items = 0;
  };
  std::string value_path() const;
  void start_value(ConfigKind kind, std::string text, ConfigAt at);
  void value_done();
  void count_key(ConfigAt at);

  ConfigSource& out_;
  const std::string source_;
  const Limits limits_;
  std::vector<Open> open_;
  std::unordered_map<std::string, uint32_t, SecretHash> lines_;  // path -> line of its first key
  size_t keys_ = 0;
};

}  // namespace furrow::io
