// Configuration files: YAML or JSON, read strictly into a flat list of keys, each with its place.
//
// The accepted language is what a flat settings file needs: maps, lists, scalars. Anchors, aliases, merge keys, tags,
// directives and further documents are refused by name; a key may stand once. What a value means (a number, a path) is
// for the schema to say (io/config_schema.h): the reader only tells quoted text from plain text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/config_problems.h"
#include "io/limits.h"

namespace furrow::io {

enum class ConfigKind : uint8_t {
  null,    // nothing, ~ or null
  plain,   // YAML without quotes; a JSON number, true, false
  quoted,  // in quotes or a block scalar; a JSON string
  list,
  map,
};

// One value. Lists and maps have an entry of their own, before those of what they hold.
struct ConfigEntry {
  std::string path;  // "loss.gamma"; item 1 of a list is "optimiser.betas[1]". A dotted key equals nested maps
  ConfigKind kind = ConfigKind::null;
  std::string text;  // of plain and quoted: the value, escapes resolved
  std::string key;   // `path` as the user spelled it, for messages
  ConfigPlace place;
};

// What one source (a file, an override) says. `problems` are the faults of its form; where a fault ends the reading,
// the entries before it are kept, so that their own faults can be reported with it.
struct ConfigSource {
  std::vector<ConfigEntry> entries;
  ConfigProblems problems;
};

enum class ConfigFormat : uint8_t { yaml, json };

// Reads a file: JSON where its name ends in ".json", YAML otherwise. Faults of its content, its size included, become
// problems; only the system's refusals throw (ErrorCode::io: missing, denied, not a regular file).
ConfigSource read_config(const std::string& path, const Limits& limits = {});

// The same from memory; `name` stands for the file in messages. Never throws for what `text` holds.
ConfigSource parse_config(std::string_view text, std::string_view name, ConfigFormat format, const Limits& limits = {});

// "KEY=VALUE" of the command line, VALUE as YAML: "loss.gamma=2", "optimiser.betas=[0.9, 0.99]". Its place has no line.
ConfigSource parse_override(std::string_view assignment, const Limits& limits = {});

// `from`'s entries replace those of equal path in `into` and everything below them; its problems are added.
void merge_config(ConfigSource& into, ConfigSource from);

// True where `path` lies below `parent`: "a.b" and "a[0]" below "a".
bool below(std::string_view path, std::string_view parent);

}  // namespace furrow::io
