// From a configuration entry to a typed value, or to a problem that says what is wrong with it; and back to YAML text.
//
// Numbers are decimal: an optional sign, digits with at most one point, an optional exponent, in YAML as in JSON. So
// `1e-4` is a number (YAML 1.1 readers take it for text), and hexadecimal, `1_000`, NaN and infinities are not.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/config.h"

namespace furrow::io {

// Which numbers a field takes; the open ends exclude their bound.
struct ConfigRange {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool open_low = false, open_high = false;
  std::string text() const;  // "(0, 1]", ">= 0", "any"
};

// Each returns the value, or adds a problem to `problems` and returns nothing.
std::optional<double> config_number(const ConfigEntry& entry, const ConfigRange& range, ConfigProblems& problems);
std::optional<int64_t> config_count(const ConfigEntry& entry, int64_t low, int64_t high, ConfigProblems& problems);
// true, false, yes, no, on, off in lower case, capitalised or upper case, as YAML 1.1 has them.
std::optional<bool> config_flag(const ConfigEntry& entry, ConfigProblems& problems);
// Text of at most 4,096 bytes on one line. Plain text that reads as a number, a truth value or null is refused: in
// quotes it would be taken. `may_be_empty`: "" stands for none.
std::optional<std::string> config_text(const ConfigEntry& entry, bool may_be_empty, ConfigProblems& problems);
// The index into `names`.
std::optional<size_t> config_choice(const ConfigEntry& entry, const std::vector<std::string>& names,
                                    ConfigProblems& problems);

// The shortest text that reads back as the same number, with a point, for readers of YAML 1.1: "1.0e-04", "100.0".
std::string config_yaml(double value);
std::string config_yaml(int64_t value);
std::string config_yaml(bool value);
std::string config_yaml(std::string_view text);  // in double quotes

}  // namespace furrow::io
