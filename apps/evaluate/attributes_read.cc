// Tables of attributes from files.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/evaluate/attributes.h"
#include "data/strict_json.h"
#include "io/mapped_file.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kLargestFile = uint64_t{256} << 20;
constexpr const char* kIdColumns[] = {"id", "image_number", "image_id", "image", "file", "filename", "name", "stem"};

// "images/00042.png" -> "00042".
std::string id_of(const std::string& name) {
  const fs::path path(name);
  const std::string extension = path.extension().string();
  const bool picture = extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".json";
  return picture ? path.stem().string() : path.filename().string();
}

// Numbers, booleans and texts; objects within by their path; lists and nulls are passed over.
void add_fields(const json& object, const std::string& prefix, data::Attributes::Fields& fields) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_fields(value, prefix + key + ".", fields);
    if (value.is_boolean()) fields[prefix + key] = value.get<bool>() ? 1.0 : 0.0;
    if (value.is_string()) fields[prefix + key] = value.get<std::string>();
    if (value.is_number()) fields[prefix + key] = value.get<double>();
  }
}

std::string text_of(const json& value, const std::string& place) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  throw Error(ErrorCode::malformed, "an id that is neither a text nor a whole number").in(place);
}

void add_list(const json& list, data::Attributes& out) {
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = "entry " + std::to_string(i + 1);
    if (!list[i].is_object()) throw Error(ErrorCode::malformed, "not an object").in(place);
    const auto* column = std::ranges::find_if(kIdColumns, [&](const char* name) { return list[i].contains(name); });
    if (column == std::end(kIdColumns)) throw Error(ErrorCode::malformed, "no \"id\"").in(place);
    const std::string id = id_of(text_of(list[i][*column], place));
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
  data::check_json(text, kLargestFile);
  const json parsed = json::parse(text);
  data::Attributes out;
  if (parsed.is_array()) {
    add_list(parsed, out);
  } else if (parsed.is_object()) {
    for (const auto& [id, fields] : parsed.items()) {
      if (!fields.is_object()) throw Error(ErrorCode::malformed, "not an object of fields").in(id);
      add_fields(fields, "", out.row(id_of(id)));
    }
  } else {
    throw Error(ErrorCode::malformed, "neither an object of ids nor a list of objects");
  }
  return out;
}

// The column of the header line that names pictures.
std::string id_column(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string header(text.substr(0, text.find_first_of("\r\n")));
  std::erase(header, '"');
  std::vector<std::string> names(1);
  for (const char c : header) {
    if (c == ',')
      names.emplace_back();
    else
      names.back() += c;
  }
  for (const char* known : kIdColumns)
    if (std::ranges::find(names, known) != names.end()) return known;
  return names.front();
}

}  // namespace

AttributeTable read_attributes(const std::string& path, const std::set<std::string>& only) {
  std::error_code error;
  if (fs::is_directory(path, error)) return AttributeTable(data::read_ffhq_features(path, &only));
  return with_file(path, [&] {
    const auto file = io::MappedFile::open(path, io::MappedFile::Access::copy);
    const auto bytes = file->bytes();
    if (bytes.size() > kLargestFile)
      throw Error(ErrorCode::limit, "a table of attributes of this size").limit(kLargestFile, bytes.size());
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::string extension = fs::path(path).extension().string();
    std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
    if (extension == ".json") return AttributeTable(from_json(path, text, only));
    // Ids join by value, so all are read: "42" may be the 00042 that is wanted.
    return AttributeTable(data::read_attributes_csv(path, id_column(text)));
  });
}

}  // namespace furrow::apps
