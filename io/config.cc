#include "io/config.h"

#include <algorithm>

#include "io/config_parsers.h"
#include "io/mapped_file.h"

namespace furrow::io {

bool below(std::string_view path, std::string_view parent) {
  return path.size() > parent.size() && path.starts_with(parent) &&
         (path[parent.size()] == '.' || path[parent.size()] == '[');
}

ConfigSource parse_config(std::string_view text, std::string_view name, ConfigFormat format, const Limits& limits) {
  ConfigSource out;
  const std::string source = place_name(name);
  if (!check_config_text(text, source, limits, out.problems)) return out;
  ConfigBuilder builder(out, source, limits);
  try {
    format == ConfigFormat::json ? parse_json(text, builder) : parse_yaml(text, builder);
  } catch (const ConfigStop&) {
    builder.abandon();  // the reason is noted among the problems
  }
  if (out.entries.empty() && out.problems.empty()) out.problems.add({source, 1, 1}, "", "the file holds no settings");
  return out;
}

ConfigSource read_config(const std::string& path, const Limits& limits) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path);
    const std::span<const std::byte> bytes = file->bytes();
    // Copied, since another program may shorten the file; a file that is too large is refused unread.
    const size_t most = static_cast<size_t>(limits.config_bytes);
    if (bytes.size() > most) {
      ConfigSource out;
      out.problems.add(
          {place_name(path), 1, 1}, "",
          "too large for settings; limit " + std::to_string(most) + " bytes, found " + std::to_string(bytes.size()));
      return out;
    }
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return parse_config(text, path, path.ends_with(".json") ? ConfigFormat::json : ConfigFormat::yaml, limits);
  });
}

ConfigSource parse_override(std::string_view assignment, const Limits& limits) {
  ConfigSource out;
  const std::string source = "--set " + printable(assignment, 100);
  const size_t equals = assignment.find('=');
  if (equals == 0 || equals == assignment.npos) {
    out.problems.add({source, 0, 0}, "", "not KEY=VALUE", "write --set loss.gamma=2");
    return out;
  }
  std::string_view text = assignment.substr(equals + 1);
  ConfigSource value;
  if (check_config_text(text, source, limits, value.problems)) {
    // The key is read as a file's key is, by an outer map that the value stands in.
    ConfigBuilder builder(value, source, limits);
    try {
      builder.begin(ConfigKind::map, {});
      builder.key(assignment.substr(0, equals), {});
      if (text.empty())
        builder.scalar(ConfigKind::quoted, "", {});  // --set KEY= clears a path
      else
        parse_yaml(text, builder);
      builder.end();
    } catch (const ConfigStop&) {
      value.entries.clear();  // the reason is noted among the problems
    }
  }
  for (ConfigEntry& entry : value.entries) entry.place = {source, 0, 0};
  out.entries = std::move(value.entries);
  out.problems.add(std::move(value.problems));
  out.problems.drop_lines();
  return out;
}

void merge_config(ConfigSource& into, ConfigSource from) {
  for (const ConfigEntry& entry : from.entries)
    std::erase_if(into.entries,
                  [&](const ConfigEntry& old) { return old.path == entry.path || below(old.path, entry.path); });
  for (ConfigEntry& entry : from.entries) into.entries.push_back(std::move(entry));
  into.problems.add(std::move(from.problems));
}

}  // namespace furrow::io
