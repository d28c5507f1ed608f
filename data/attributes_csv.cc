// Attributes from comma-separated tables.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/attributes.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::data {
namespace {

// std::from_chars: the same in every locale, and nothing but a number.
AttributeValue value_of(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && std::isfinite(number)) return number;
  return std::string(text);
}

}  // namespace

std::string image_id(std::string value, size_t digits) {
  value.erase(0, value.rfind('/') + 1);  // npos + 1 is 0
  std::string lower = value;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view extension : {".png", ".jpg", ".jpeg", ".json"})
    if (lower.ends_with(extension)) {
      value.resize(value.size() - extension.size());
      break;
    }
  const bool number =
      !value.empty() && std::ranges::all_of(value, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (number && value.size() < digits) value.insert(0, digits - value.size(), '0');
  return value;
}

Attributes read_attributes_csv(io::CsvReader& table, size_t id_column, size_t digits, const io::Limits& limits,
                               const std::set<std::string>* only) {
  Attributes out;
  std::unordered_map<std::string, uint64_t, SecretHash> first_line;
  while (table.next()) {
    const std::string id = image_id(std::string(table[id_column]), digits);
    if (id.empty()) throw table.error_at(id_column, "a row without its image");
    if (first_line.size() >= limits.csv_keys)
      throw table.error_at(id_column, "too many rows").limit(limits.csv_keys, first_line.size() + 1);
    const auto [earlier, is_new] = first_line.emplace(id, table.line());
    if (!is_new)
      throw table.error_at(id_column, "image " + printable(id, 60) + " stands already in line " +
                                          std::to_string(earlier->second));
    if (only != nullptr && !only->contains(id)) continue;
    Attributes::Fields& fields = out.row(id);
    for (size_t i = 0; i < table.columns().size(); ++i)
      if (i != id_column && !table[i].empty()) fields[table.columns()[i]] = value_of(table[i]);
  }
  return out;
}

Attributes read_ffhq_aging(const std::string& path, const std::set<std::string>* only, const io::Limits& limits) {
  io::CsvReader table = io::CsvReader::open(path, {}, limits);
  return read_attributes_csv(table, table.column("image_number"), 5, limits, only);
}

}  // namespace furrow::data
