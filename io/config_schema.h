// ConfigSchema: the fields of a configuration, declared once as a table. The table reads a file into the fields, prints
// the help and writes the resolved configuration, so that the three cannot differ.
//
// A row binds a key to a variable of the caller, which must outlive the schema; the variable's value when the row is
// declared is the default that help() shows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "io/config_values.h"

namespace furrow::io {

class ConfigSchema {
 public:
  // One row each. `key` is dotted: "loss.gamma" lies in the group "loss"; rows of a group are declared together.
  // `unit` may be empty; `help` is one line.
  void number(std::string key, double* target, ConfigRange range, std::string unit, std::string help);
  void count(std::string key, int64_t* target, int64_t low, int64_t high, std::string unit, std::string help);
  void flag(std::string key, bool* target, std::string help);
  void text(std::string key, std::string* target, bool may_be_empty, std::string help);
  void numbers(std::string key, std::vector<double>* target, ConfigRange each, size_t least, size_t most,
               std::string help);
  void counts(std::string key, std::vector<int64_t>* target, int64_t low, int64_t high, size_t most, std::string help);
  void texts(std::string key, std::vector<std::string>* target, size_t most, std::string help);
  // A map whose keys the file chooses: names of at most 64 bytes to numbers, or whole numbers to whole numbers.
  void number_map(std::string key, std::map<std::string, double>* target, ConfigRange each, std::string help);
  void count_map(std::string key, std::map<int64_t, int64_t>* target, int64_t key_high, int64_t value_high,
                 std::string help);
  // An enumeration whose enumerators are 0, 1, ... in the order of `names`.
  template <class E>
  void choice(std::string key, E* target, std::vector<std::string> names, std::string help) {
    static_assert(std::is_enum_v<E>);
    choice(
        std::move(key), std::move(names), std::move(help), [target] { return static_cast<size_t>(*target); },
        [target](size_t i) { *target = static_cast<E>(i); });
  }
  // The same over functions. Rows are read in the order of the table, so `set` may set defaults of the rows that
  // follow.
  void choice(std::string key, std::vector<std::string> names, std::string help, std::function<size_t()> get,
              std::function<void(size_t)> set);
  // Reads the entries into the fields, in the order of the table. Unknown keys, values of the wrong type and values out
  // of range become problems (all of them); fields without an entry keep their values.
  // `also_known`: keys that are spelled here but are no fields, for suggestions.
  void apply(const std::vector<ConfigEntry>& entries, ConfigProblems& problems,
             const std::vector<std::string>& also_known = {}) const;

  // The fields' present values as YAML that apply() reads back to the same values, every key of the table in it.
  std::string yaml() const;

  // One paragraph a row: key, type, unit, allowed values, default, help.
  std::string help() const;

  std::vector<std::string> keys() const;

 private:
  struct Found {
    const ConfigEntry& entry;
    std::vector<const ConfigEntry*> below;  // items of a list, values of a map
  };
  struct Row {
    std::string key, type, unit, help;
    bool scalar = true;
    std::function<void(const Found&, ConfigProblems&)> read;  // into the field; problems leave it as it is
    std::function<std::string()> write;                       // YAML of the value, in flow style
    std::string standard;                                     // write() when the row was declared
  };
  void add(Row row);
  void unknown(const ConfigEntry& entry, const std::vector<std::string>& known, ConfigProblems& problems) const;
  bool is_group(std::string_view path) const;

  std::vector<Row> rows_;
};

}  // namespace furrow::io
