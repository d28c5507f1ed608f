// Tables of attributes from files.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/evaluate/attributes.h"
#include "data/strict_json.h"
#include "io/csv.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kLargestFile = uint64_t{256} << 20;
constexpr const char* kIdColumns[] = {"id", "image_number", "image_id", "image", "file", "filename", "name", "stem"};

// Numbers, booleans and texts; objects within by their path; lists and nulls are passed over.
void add_fields(const Json& object, const std::string& prefix, data::Attributes::Fields& fields) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_fields(value, prefix + key + ".", fields);
    if (value.is_boolean()) fields[prefix + key] = value.get<bool>() ? 1.0 : 0.0;
    if (value.is_string()) fields[prefix + key] = value.get<std::string>();
    if (value.is_number()) fields[prefix + key] = value.get<double>();
  }
}

std::string text_of(const Json& value, const std::string& place) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  throw Error(ErrorCode::malformed, "an id that is neither a text nor a whole number").in(place);
}

void add_list(const Json& list, data::Attributes& out) {
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = "entry " + std::to_string(i + 1);
    if (!list[i].is_object()) throw Error(ErrorCode::malformed, "not an object").in(place);
    const auto* column = std::ranges::find_if(kIdColumns, [&](const char* name) { return list[i].contains(name); });
    if (column == std::end(kIdColumns)) throw Error(ErrorCode::malformed, "no \"id\"").in(place);
    const std::string id = data::image_id(text_of(list[i][*column], place));
    if (out.rows().contains(id)) throw Error(ErrorCode::malformed, "id " + printable(id) + " stands twice").in(place);
    add_fields(list[i], "", out.row(id));
  }
}

data::Attributes from_json(const std::string& path, std::string_view text, const std::set<std::string>& only) {
  // {"ID": [ ... is what FFHQ-features looks like.
  const size_t first = text.find_first_not_of(" \t\r\n"), colon = text.find(':');
  const size_t value = colon == std::string_view::npos ? colon : text.find_first_not_of(" \t\r\n", colon + 1);
  if (first != std::string_view::npos && text[first] == '{' && value != std::string_view::npos && text[value] == '[')
    return data::read_ffhq_features(path, only.empty() ? nullptr : &only);
  data::check_json(text, kLargestFile, 8, kLargestFile);
  data::Attributes out;
  if (const auto members = data::json_members(text)) {
    for (const auto& [id, text_of_fields] : *members) {
      const Json fields = Json::parse(text_of_fields);
      if (!fields.is_object()) throw Error(ErrorCode::malformed, "not an object of fields").in(id);
      const std::string picture = data::image_id(id);
      if (out.rows().contains(picture))
        throw Error(ErrorCode::malformed, "id " + printable(picture) + " stands twice").in(id);
      add_fields(fields, "", out.row(picture));
    }
    return out;
  }
  const Json list = Json::parse(text);
  if (!list.is_array()) throw Error(ErrorCode::malformed, "neither an object of ids nor a list of objects");
  add_list(list, out);
  return out;
}

// Ids join by value, so all rows are read: "42" may be the 00042 that is wanted.
data::Attributes from_csv(const std::string& path, const io::Limits& limits) {
  io::CsvReader table = io::CsvReader::open(path, {}, limits);
  const std::vector<std::string>& columns = table.columns();
  // The first of the known names that is there; otherwise the first column.
  auto id_column = columns.begin();
  for (const char* known : kIdColumns)
    if (const auto found = std::ranges::find(columns, known); found != columns.end()) {
      id_column = found;
      break;
    }
  return data::read_attributes_csv(table, static_cast<size_t>(id_column - columns.begin()), 0, limits);
}

}  // namespace

AttributeTable read_attributes(const std::string& path, const std::set<std::string>& only, const io::Limits& limits) {
  std::error_code error;
  if (fs::is_directory(path, error)) return AttributeTable(data::read_ffhq_features(path, &only));
  std::string extension = fs::path(path).extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  if (extension != ".json") return AttributeTable(from_csv(path, limits));
  return with_file(path, [&] {
    const std::string text = data::read_text_within(path, kLargestFile, "a table of attributes of this size");
    return AttributeTable(from_json(path, text, only));
  });
}

}  // namespace furrow::apps
