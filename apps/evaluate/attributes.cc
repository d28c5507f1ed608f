#include "apps/evaluate/attributes.h"

#include <algorithm>
#include <cmath>

#include "apps/evaluate/groups.h"
#include "apps/evaluate/text.h"
#include "io/closest.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

// "00042" -> "42"; other ids as they are.
std::string without_zeros(const std::string& id) {
  if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos) return id;
  const size_t first = id.find_first_not_of('0');
  return first == std::string::npos ? "0" : id.substr(first);
}

std::vector<std::string> parts_of(const std::string& column) {
  const size_t plus = column.find('+');
  if (plus == std::string::npos) return {column};
  return {column.substr(0, plus), column.substr(plus + 1)};
}

}  // namespace

AttributeTable::AttributeTable(data::Attributes attributes)
    : attributes_(std::move(attributes)), columns_(attributes_.fields()) {
  for (const auto& [id, fields] : attributes_.rows()) by_number_.emplace(without_zeros(id), id);
}

const data::AttributeValue* AttributeTable::find(const std::string& id, const std::string& column) const {
  if (const data::AttributeValue* value = attributes_.find(id, column)) return value;
  const auto same_number = by_number_.find(without_zeros(id));
  return same_number == by_number_.end() ? nullptr : attributes_.find(same_number->second, column);
}

std::optional<std::string> AttributeTable::of_column(const std::string& id, const std::string& column,
                                                     bool without_sign) const {
  std::optional<double> largest;
  for (const std::string& part : parts_of(column)) {
    const data::AttributeValue* value = find(id, part);
    if (value == nullptr) continue;
    if (const auto* text = std::get_if<std::string>(value)) return *text;
    double number = std::get<double>(*value);
    if (without_sign) number = std::abs(number);
    largest = std::max(number, largest.value_or(number));
  }
  return largest ? std::optional(shortest(*largest)) : std::nullopt;
}

std::optional<std::string> AttributeTable::value(const std::string& id, const std::string& field) const {
  const KnownField* known = known_field(field);
  if (known == nullptr) return of_column(id, field, false);
  for (const std::string& column : known->columns)
    if (const auto found = of_column(id, column, known->without_sign)) return found;
  return of_column(id, field, false);
}

void AttributeTable::require_field(const std::string& field) const {
  std::vector<std::string> wanted = {field};
  if (const KnownField* known = known_field(field))
    for (const std::string& column : known->columns)
      for (const std::string& part : parts_of(column)) wanted.push_back(part);
  const auto is_there = [&](const std::string& name) { return std::ranges::find(columns_, name) != columns_.end(); };
  if (std::ranges::any_of(wanted, is_there)) return;
  const std::string close = io::closest_word(field, columns_);
  std::string some;
  for (size_t i = 0; i < std::min<size_t>(columns_.size(), 8); ++i)
    some += (i == 0 ? "" : ", ") + printable(columns_[i], 40);
  throw Error(ErrorCode::usage, "--by " + printable(field) + ": no such field in the attributes")
      .hint(columns_.empty() ? "there are no attributes of these pictures"
            : close.empty()  ? "there are " + some
                             : "did you mean " + printable(close) + "?");
}

}  // namespace furrow::apps
