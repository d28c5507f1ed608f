#include "io/config_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "io/closest.h"

namespace furrow::io {
namespace {

constexpr size_t kMostText = 4'096;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> lower_case) {
  for (const std::string_view known : lower_case) {
    if (word.size() != known.size()) continue;
    std::string lower(word), title(known);
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
    std::string upper(known);
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    if (lower == known || lower == title || lower == upper) return true;
  }
  return false;
}
bool is_true(std::string_view word) { return is_one_of(word, {"true", "yes", "on"}); }
bool is_false(std::string_view word) { return is_one_of(word, {"false", "no", "off"}); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Length of the decimal number that `text` begins with; 0 where it begins with none.
size_t number_length(std::string_view text, bool& whole) {
  size_t i = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const size_t first = i;
  while (i < text.size() && is_digit(text[i])) ++i;
  size_t digits = i - first;
  whole = true;
  if (i < text.size() && text[i] == '.') {
    const size_t point = i++;
    while (i < text.size() && is_digit(text[i])) ++i;
    digits += i - point - 1;
    whole = false;
  }
  if (digits == 0) return 0;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    size_t k = i + 1;
    if (k < text.size() && (text[k] == '-' || text[k] == '+')) ++k;
    const size_t exponent = k;
    while (k < text.size() && is_digit(text[k])) ++k;
    if (k > exponent) {
      i = k;
      whole = false;
    }
  }
  return i;
}

bool is_non_finite(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('.')) text.remove_prefix(1);
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower == "nan" || lower == "inf" || lower == "infinity";
}

// What stands where a scalar of another kind was wanted; "" where its kind gives no reason to refuse it.
std::string wrong_kind(const ConfigEntry& entry, std::string_view wanted) {
  const auto say = [&](const char* what) {
    return std::string(what) + " where " + std::string(wanted) + " is expected";
  };
  if (entry.kind == ConfigKind::list) return say("a list");
  if (entry.kind == ConfigKind::map) return say("a map");
  if (entry.kind == ConfigKind::null) return say("nothing (null)");
  return {};
}

std::string shown(std::string_view text) { return "'" + printable(text, 60) + "'"; }

void complain(const ConfigEntry& entry, ConfigProblems& problems, std::string reason, std::string hint = "") {
  problems.add(entry.place, entry.key, std::move(reason), std::move(hint));
}

// The digits of a decimal number (without a '+', which from_chars does not take); a view into `entry`, or nothing.
std::optional<std::string_view> decimal(const ConfigEntry& entry, std::string_view wanted, bool& whole,
                                        ConfigProblems& problems) {
  std::string reason = wrong_kind(entry, wanted), hint;
  std::string_view text = entry.text;
  const size_t length = number_length(text, whole);
  if (!reason.empty()) {
  } else if (entry.kind == ConfigKind::quoted) {
    reason = "the string \"" + printable(text, 60) + "\" where " + std::string(wanted) + " is expected";
    if (length > 0 && length == text.size()) hint = "remove the quotes";
  } else if (is_true(text) || is_false(text)) {
    reason = "the truth value " + shown(text) + " where " + std::string(wanted) + " is expected";
  } else if (is_non_finite(text)) {
    reason = shown(text) + " is not a finite number";
  } else if (length == 0) {
    reason = shown(text) + " is not a number";
  } else if (length < text.size()) {
    reason = shown(text) + " is not a number: it goes on after '" + printable(text.substr(0, length), 40) + "'";
  } else {
    const size_t sign = text.starts_with('-') || text.starts_with('+');
    if (text.size() > sign + 1 && text[sign] == '0' && is_digit(text[sign + 1])) {
      complain(entry, problems, shown(text) + " has leading zeros, which some readers take for octal");
      return {};
    }
    if (text.starts_with('+')) text.remove_prefix(1);
    return text;
  }
  complain(entry, problems, reason, hint);
  return {};
}

}  // namespace

std::string ConfigRange::text() const {
  const bool below = std::isfinite(low), above = std::isfinite(high);
  const auto number = [](double value) {
    char digits[32];
    return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  };
  if (below && above) return (open_low ? "(" : "[") + number(low) + ", " + number(high) + (open_high ? ")" : "]");
  if (below) return (open_low ? "> " : ">= ") + number(low);
  if (above) return (open_high ? "< " : "<= ") + number(high);
  return "any";
}

std::optional<double> config_number(const ConfigEntry& entry, const ConfigRange& range, ConfigProblems& problems) {
  bool whole = false;
  const auto text = decimal(entry, "a number", whole, problems);
  if (!text) return {};
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc()) {
    complain(entry, problems, shown(entry.text) + " is beyond the range of a 64-bit float");
    return {};
  }
  const bool low = range.open_low ? value > range.low : value >= range.low;
  const bool high = range.open_high ? value < range.high : value <= range.high;
  if (low && high) return value;
  complain(entry, problems, shown(entry.text) + " is out of range; allowed: " + range.text());
  return {};
}

std::optional<int64_t> config_count(const ConfigEntry& entry, int64_t low, int64_t high, ConfigProblems& problems) {
  bool whole = false;
  const auto text = decimal(entry, "a whole number", whole, problems);
  if (!text) return {};
  const std::string allowed = "; allowed: [" + std::to_string(low) + ", " + std::to_string(high) + "]";
  int64_t value = 0;
  if (!whole) {
    complain(entry, problems, shown(entry.text) + " is not a whole number" + allowed);
    return {};
  }
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error == std::errc() && value >= low && value <= high) return value;
  complain(entry, problems, shown(entry.text) + " is out of range" + allowed);
  return {};
}

std::optional<bool> config_flag(const ConfigEntry& entry, ConfigProblems& problems) {
  std::string reason = wrong_kind(entry, "true or false"), hint;
  if (reason.empty() && entry.kind == ConfigKind::plain) {
    if (is_true(entry.text)) return true;
    if (is_false(entry.text)) return false;
  }
  if (reason.empty()) {
    reason = shown(entry.text) + " where true or false is expected";
    if (is_true(entry.text) || is_false(entry.text)) hint = "remove the quotes";
  }
  complain(entry, problems, reason, hint);
  return {};
}

std::optional<std::string> config_text(const ConfigEntry& entry, bool may_be_empty, ConfigProblems& problems) {
  std::string reason = wrong_kind(entry, "text"), hint;
  const std::string& text = entry.text;
  bool whole = false;
  if (!reason.empty()) {
  } else if (text.empty() && !may_be_empty) {
    reason = "must not be empty";
  } else if (text.size() > kMostText) {
    reason = "text of " + std::to_string(text.size()) + " bytes; limit " + std::to_string(kMostText);
  } else if (printable(text, kMostText * 4) != text) {
    reason = "text with a line break, a tab or another control character";
  } else if (entry.kind == ConfigKind::plain &&
             (number_length(text, whole) == text.size() || is_non_finite(text) || is_true(text) || is_false(text))) {
    reason = shown(text) + " where text is expected";
    hint = "if it is meant as text, write it in quotes";
  } else {
    return text;
  }
  complain(entry, problems, reason, hint);
  return {};
}

std::optional<size_t> config_choice(const ConfigEntry& entry, const std::vector<std::string>& names,
                                    ConfigProblems& problems) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  std::string reason = wrong_kind(entry, "one of " + all), hint;
  if (reason.empty()) {
    for (size_t i = 0; i < names.size(); ++i)
      if (entry.text == names[i]) return i;
    reason = shown(entry.text) + " is none of " + all;
    if (const std::string close = closest_word(entry.text, names); !close.empty()) hint = "did you mean " + close + "?";
  }
  complain(entry, problems, reason, hint);
  return {};
}

std::string config_yaml(double value) {
  char digits[40];
  std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  if (text.find_first_of(".n") != text.npos) return text;  // has a point; or is none that a field takes
  const size_t exponent = text.find('e');
  text.insert(exponent == text.npos ? text.size() : exponent, ".0");
  return text;
}

std::string config_yaml(int64_t value) { return std::to_string(value); }

std::string config_yaml(bool value) { return value ? "true" : "false"; }

std::string config_yaml(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace furrow::io
