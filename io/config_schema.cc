#include "io/config_schema.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "io/closest.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

template <class Items, class Write>
std::string flow(char open, char close, const Items& items, const Write& write) {
  std::string out(1, open);
  for (const auto& item : items) out += (out.size() == 1 ? "" : ", ") + write(item);
  return out + close;
}

// The part of a path after the map's own: "1" of "masks.classes.1".
std::string_view name_in_map(const ConfigEntry& map, const ConfigEntry& value) {
  return std::string_view(value.path).substr(map.path.size() + 1);
}

bool expect_kind(const ConfigEntry& entry, ConfigKind kind, const char* what, ConfigProblems& problems) {
  if (entry.kind == kind) return true;
  problems.add(entry.place, entry.key, std::string(what) + " is expected");
  return false;
}

bool expect_items(const ConfigEntry& entry, size_t found, size_t least, size_t most, ConfigProblems& problems) {
  if (found >= least && found <= most) return true;
  problems.add(entry.place, entry.key,
               std::to_string(found) + " items; allowed: " +
                   (least == most ? std::to_string(most) : std::to_string(least) + " to " + std::to_string(most)));
  return false;
}

}  // namespace

void ConfigSchema::add(Row row) {
  row.standard = row.write();
  rows_.push_back(std::move(row));
}

void ConfigSchema::number(std::string key, double* target, ConfigRange range, std::string unit, std::string help) {
  add({.key = std::move(key),
       .type = "number " + range.text(),
       .unit = std::move(unit),
       .help = std::move(help),
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             const auto value = config_number(found.entry, range, problems);
             if (value) *target = *value;
           },
       .write = [=] { return config_yaml(*target); }});
}

void ConfigSchema::count(std::string key, int64_t* target, int64_t low, int64_t high, std::string unit,
                         std::string help) {
  add({.key = std::move(key),
       .type = "whole number [" + std::to_string(low) + ", " + std::to_string(high) + "]",
       .unit = std::move(unit),
       .help = std::move(help),
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             const auto value = config_count(found.entry, low, high, problems);
             if (value) *target = *value;
           },
       .write = [=] { return config_yaml(*target); }});
}

void ConfigSchema::flag(std::string key, bool* target, std::string help) {
  add({.key = std::move(key),
       .type = "true or false",
       .help = std::move(help),
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             const auto value = config_flag(found.entry, problems);
             if (value) *target = *value;
           },
       .write = [=] { return config_yaml(*target); }});
}

void ConfigSchema::text(std::string key, std::string* target, bool may_be_empty, std::string help) {
  add({.key = std::move(key),
       .type = may_be_empty ? "text, \"\" for none" : "text",
       .help = std::move(help),
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             const auto value = config_text(found.entry, may_be_empty, problems);
             if (value) *target = *value;
           },
       .write = [=] { return config_yaml(std::string_view(*target)); }});
}

void ConfigSchema::choice(std::string key, std::vector<std::string> names, std::string help,
                          std::function<size_t()> get, std::function<void(size_t)> set) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : " | ") + name;
  add({.key = std::move(key),
       .type = all,
       .help = std::move(help),
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             const auto value = config_choice(found.entry, names, problems);
             if (value) set(*value);
           },
       .write = [=] { return names.at(get()); }});
}

void ConfigSchema::numbers(std::string key, std::vector<double>* target, ConfigRange each, size_t least, size_t most,
                           std::string help) {
  add({.key = std::move(key),
       .type = "list of numbers " + each.text(),
       .help = std::move(help),
       .scalar = false,
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             if (!expect_kind(found.entry, ConfigKind::list, "a list of numbers", problems)) return;
             std::vector<double> values;
             for (const ConfigEntry* item : found.below)
               if (const auto value = config_number(*item, each, problems)) values.push_back(*value);
             if (!expect_items(found.entry, found.below.size(), least, most, problems)) return;
             if (values.size() != found.below.size()) return;
             *target = values;
           },
       .write = [=] { return flow('[', ']', *target, [](double value) { return config_yaml(value); }); }});
}

void ConfigSchema::counts(std::string key, std::vector<int64_t>* target, int64_t low, int64_t high, size_t most,
                          std::string help) {
  add({.key = std::move(key),
       .type = "list of whole numbers [" + std::to_string(low) + ", " + std::to_string(high) + "]",
       .help = std::move(help),
       .scalar = false,
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             if (!expect_kind(found.entry, ConfigKind::list, "a list of whole numbers", problems)) return;
             std::vector<int64_t> values;
             for (const ConfigEntry* item : found.below)
               if (const auto value = config_count(*item, low, high, problems)) values.push_back(*value);
             if (!expect_items(found.entry, found.below.size(), 0, most, problems)) return;
             if (values.size() != found.below.size()) return;
             *target = values;
           },
       .write = [=] { return flow('[', ']', *target, [](int64_t value) { return config_yaml(value); }); }});
}

void ConfigSchema::texts(std::string key, std::vector<std::string>* target, size_t most, std::string help) {
  add({.key = std::move(key),
       .type = "list of texts",
       .help = std::move(help),
       .scalar = false,
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             if (!expect_kind(found.entry, ConfigKind::list, "a list of texts", problems)) return;
             std::vector<std::string> values;
             for (const ConfigEntry* item : found.below)
               if (const auto value = config_text(*item, false, problems)) values.push_back(*value);
             if (!expect_items(found.entry, found.below.size(), 0, most, problems)) return;
             if (values.size() != found.below.size()) return;
             *target = values;
           },
       .write =
           [=] {
             return flow('[', ']', *target,
                         [](const std::string& value) { return config_yaml(std::string_view(value)); });
           }});
}

void ConfigSchema::number_map(std::string key, std::map<std::string, double>* target, ConfigRange each,
                              std::string help) {
  add({.key = std::move(key),
       .type = "map of names to numbers " + each.text(),
       .help = std::move(help),
       .scalar = false,
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             if (!expect_kind(found.entry, ConfigKind::map, "a map of names to numbers", problems)) return;
             std::map<std::string, double> values;
             for (const ConfigEntry* item : found.below) {
               const std::string_view name = name_in_map(found.entry, *item);
               if (name.size() > 64)
                 problems.add(item->place, item->key, "a name over 64 bytes");
               else if (const auto value = config_number(*item, each, problems))
                 values.emplace(name, *value);
             }
             if (values.size() != found.below.size()) return;
             *target = values;
           },
       .write =
           [=] {
             return flow('{', '}', *target, [](const auto& pair) {
               return config_yaml(std::string_view(pair.first)) + ": " + config_yaml(pair.second);
             });
           }});
}

void ConfigSchema::count_map(std::string key, std::map<int64_t, int64_t>* target, int64_t key_high, int64_t value_high,
                             std::string help) {
  add({.key = std::move(key),
       .type = "map of [0, " + std::to_string(key_high) + "] to [0, " + std::to_string(value_high) + "]",
       .help = std::move(help),
       .scalar = false,
       .read =
           [=](const Found& found, ConfigProblems& problems) {
             if (!expect_kind(found.entry, ConfigKind::map, "a map of whole numbers", problems)) return;
             std::map<int64_t, int64_t> values;
             for (const ConfigEntry* item : found.below) {
               ConfigEntry name = *item;  // the key, read as a value is
               name.kind = ConfigKind::plain;
               name.text = std::string(name_in_map(found.entry, *item));
               const auto from = config_count(name, 0, key_high, problems);
               const auto to = config_count(*item, 0, value_high, problems);
               if (from && to && !values.emplace(*from, *to).second)
                 problems.add(item->place, item->key, "given twice");
             }
             if (values.size() != found.below.size()) return;
             *target = values;
           },
       .write =
           [=] {
             return flow('{', '}', *target,
                         [](const auto& pair) { return config_yaml(pair.first) + ": " + config_yaml(pair.second); });
           }});
}

bool ConfigSchema::is_group(std::string_view path) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return below(row.key, path); });
}

void ConfigSchema::unknown(const ConfigEntry& entry, const std::vector<std::string>& known,
                           ConfigProblems& problems) const {
  std::string close = problems.size() < 2 * ConfigProblems::kMost ? closest_word(entry.path, known) : "";
  if (close.empty())  // the right name in the wrong group, or without one
    for (const std::string& key : known)
      if (key.substr(key.rfind('.') + 1) == entry.path.substr(entry.path.rfind('.') + 1)) {
        close = key;
        break;
      }
  problems.add(entry.place, entry.key, "unknown key", close.empty() ? "" : "did you mean " + close + "?");
}

void ConfigSchema::apply(const std::vector<ConfigEntry>& entries, ConfigProblems& problems,
                         const std::vector<std::string>& also_known) const {
  // Path -> its first entry; others were complained about.
  std::unordered_map<std::string_view, size_t, SecretHash> first;
  for (size_t i = 0; i < entries.size(); ++i) first.emplace(entries[i].path, i);

  for (const Row& row : rows_) {
    const auto at = first.find(row.key);
    if (at == first.end()) continue;
    Found found{entries[at->second], {}};
    if (!row.scalar)
      for (const ConfigEntry& entry : entries)
        if (below(entry.path, row.key) && first.at(entry.path) == static_cast<size_t>(&entry - entries.data()))
          found.below.push_back(&entry);
    row.read(found, problems);
  }

  std::vector<std::string> known = keys();
  known.insert(known.end(), also_known.begin(), also_known.end());
  std::string_view inside;  // an entry that was judged with all that lies below it
  for (size_t i = 0; i < entries.size(); ++i) {
    const ConfigEntry& entry = entries[i];
    if (first.at(entry.path) != i || (!inside.empty() && below(entry.path, inside))) continue;
    inside = {};
    const bool field = std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.key == entry.path; });
    if (is_group(entry.path)) {
      if (entry.kind != ConfigKind::map)
        problems.add(entry.place, entry.key, "a group of settings is expected", "write its keys below it");
      if (entry.kind == ConfigKind::map) continue;
    } else if (!field) {
      unknown(entry, known, problems);
    }
    inside = entry.path;
  }
}

std::vector<std::string> ConfigSchema::keys() const {
  std::vector<std::string> out;
  for (const Row& row : rows_) out.push_back(row.key);
  return out;
}

std::string ConfigSchema::yaml() const {
  std::string out, group;
  for (const Row& row : rows_) {
    const size_t dot = row.key.find('.');
    const std::string here = dot == row.key.npos ? "" : row.key.substr(0, dot);
    if (here != group && !here.empty()) out += here + ":\n";
    group = here;
    out += (here.empty() ? row.key : "  " + row.key.substr(dot + 1)) + ": " + row.write() + "\n";
  }
  return out;
}

std::string ConfigSchema::help() const {
  std::string out;
  for (const Row& row : rows_)
    out += row.key + "  (" + row.type + (row.unit.empty() ? "" : ", " + row.unit) + "; default " + row.standard +
           ")\n    " + row.help + "\n";
  return out;
}

}  // namespace furrow::io
