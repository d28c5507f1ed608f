// Values of the JSON of shards, to and from, checked: what both kinds of records (wrinkles, several classes) share.
// Json is nlohmann::ordered_json, which only .cc files include.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/evaluate/record.h"
#include "kernels/error.h"

namespace furrow::apps::record_values {

constexpr size_t kMostPictures = size_t{1} << 24;

// ErrorCode::malformed; what follows throws it for a value that is absent, of another kind or out of range.
[[noreturn]] inline void broken(const std::string& what) {
  throw Error(ErrorCode::malformed, "not a shard as `furrow evaluate --shard` writes it: " + what);
}

template <class Json>
const Json& member(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) broken(std::string("no \"") + key + "\"");
  return *found;
}

template <class Json>
const Json& list(const Json& object, const char* key, size_t most) {
  const Json& value = member(object, key);
  if (!value.is_array() || value.size() > most) broken(std::string("\"") + key + "\" is no list, or too long");
  return value;
}

template <class Json>
PixelCount whole(const Json& value, PixelCount most = PixelCount{1} << 62) {
  if (!value.is_number_unsigned() || value.template get<PixelCount>() > most)
    broken("a count is no whole number, or too large");
  return value.template get<PixelCount>();
}

template <class Json>
int small(const Json& object, const char* key, int most) {
  return static_cast<int>(whole(member(object, key), static_cast<PixelCount>(most)));
}

template <class Json>
double number(const Json& value, double low = 0, double high = 1) {
  if (!value.is_number()) broken("a number is none");
  const auto x = value.template get<double>();
  if (!(x >= low && x <= high)) broken("a number is out of range");
  return x;
}

template <class Json>
std::optional<double> optional_number(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(number(value));
}

// What was written is printable already; what somebody else wrote reaches a terminal.
template <class Json>
std::string text(const Json& value) {
  if (!value.is_string()) broken("a text is none");
  const auto& raw = value.template get_ref<const std::string&>();
  return printable(raw, raw.size());
}

// ErrorCode::unsupported for another schema.
template <class Json>
void check_schema(const Json& json, const char* schema) {
  if (!json.is_object() || !json.contains("schema")) broken("no \"schema\"");
  if (json["schema"] != schema)
    throw Error(ErrorCode::unsupported, "another schema")
        .in("schema")
        .hint(std::string("this program adds up ") + schema);
}

template <class Json>
Json settings_json(const Settings& settings) {
  Json out = Json::array();
  for (const auto& [key, value] : settings) out.push_back({key, value});
  return out;
}

template <class Json>
Settings read_settings(const Json& json) {
  Settings out;
  for (const Json& pair : list(json, "settings", 100)) {
    if (!pair.is_array() || pair.size() != 2) broken("a setting is no pair");
    out.emplace_back(text(pair[0]), text(pair[1]));
  }
  return out;
}

template <class Json>
Json failures_json(const std::vector<Failure>& failures) {
  Json out = Json::array();
  for (const Failure& failure : failures) out.push_back({{"id", failure.id}, {"error", failure.error}});
  return out;
}

template <class Json>
std::vector<Failure> read_failures(const Json& json) {
  std::vector<Failure> out;
  for (const Json& failure : list(json, "failures", kMostPictures))
    out.push_back({text(member(failure, "id")), text(member(failure, "error"))});
  return out;
}

template <class Json>
Json attributes_json(const std::vector<std::optional<std::string>>& attributes) {
  Json out = Json::array();
  for (const std::optional<std::string>& value : attributes) out.push_back(value ? Json(*value) : Json(nullptr));
  return out;
}

// Member "attributes", one per field.
template <class Json>
std::vector<std::optional<std::string>> read_attributes(const Json& row, size_t fields) {
  const Json& values = list(row, "attributes", fields);
  if (values.size() != fields) broken("a row of the wrong length");
  std::vector<std::optional<std::string>> out;
  for (const Json& value : values) out.push_back(value.is_null() ? std::nullopt : std::optional(text(value)));
  return out;
}

}  // namespace furrow::apps::record_values
