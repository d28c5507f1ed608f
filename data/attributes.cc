#include "data/attributes.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "data/strict_json.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr uint64_t kLargestOfFolder = uint64_t{1} << 20, kLargestMerged = uint64_t{1} << 30;

Error wrong(const std::string& place, const std::string& reason) {
  return Error(ErrorCode::malformed, reason).in(place);
}

std::optional<AttributeValue> scalar(const json& value, const std::string& place) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  if (!std::isfinite(number)) throw wrong(place, "a number that is not finite");
  return number;
}

// [{"color": "brown", "confidence": 0.9}]: the text names the field, the number is its value.
void add_list(const json& list, const std::string& name, const std::string& place, Attributes::Fields& fields) {
  for (const json& item : list) {
    if (!item.is_object()) throw wrong(place, "a list of something else than a text and a number");
    const std::string* text = nullptr;
    std::optional<double> number;
    for (const auto& [key, value] : item.items()) {
      if (value.is_string()) text = value.get_ptr<const std::string*>();
      if (value.is_number()) number = std::get<double>(*scalar(value, place));
    }
    if (text == nullptr || !number) throw wrong(place, "a list of something else than a text and a number");
    fields[name + "." + *text] = *number;
  }
}

void add(const json& value, const std::string& name, const std::string& id, Attributes::Fields& fields) {
  const std::string place = id + ": " + name;
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) add(inner, name.empty() ? key : name + "." + key, id, fields);
  } else if (value.is_array()) {
    add_list(value, name, place, fields);
  } else if (auto found = scalar(value, place)) {
    fields[name] = std::move(*found);
  }  // null: not known
}

double area(const json& face, const std::string& id) {
  const auto rectangle = face.find("faceRectangle");
  if (rectangle == face.end()) return 0;
  if (!rectangle->is_object()) throw wrong(id + ": faceRectangle", "not an object");
  const auto side = [&](const char* name) {
    const auto found = rectangle->find(name);
    if (found == rectangle->end() || !found->is_number())
      throw wrong(id + ": faceRectangle", "no number " + std::string(name));
    return found->get<double>();
  };
  return side("width") * side("height");
}

void add_faces(const json& faces, const std::string& id, Attributes& out) {
  if (!faces.is_array()) throw wrong(id, "not an array of faces");
  Attributes::Fields& fields = out.row(id);
  fields["faces"] = static_cast<double>(faces.size());
  const json* largest = nullptr;
  for (const json& face : faces) {
    if (!face.is_object()) throw wrong(id, "a face that is not an object");
    if (largest == nullptr || area(face, id) > area(*largest, id)) largest = &face;
  }
  if (largest == nullptr) return;
  for (const auto& [key, value] : largest->items()) {
    if (key == "faceAttributes" && !value.is_object()) throw wrong(id + ": faceAttributes", "not an object");
    if (key != "faceId") add(value, key == "faceAttributes" ? "" : key, id, fields);
  }
}

Attributes read_folder(const std::string& folder, const std::set<std::string>* only) {
  std::set<std::string> paths;
  std::error_code error, ignored;
  fs::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() != ".json" || path.filename().string().starts_with('.') || !it->is_regular_file(ignored))
      continue;
    if (only == nullptr || only->contains(path.stem().string())) paths.insert(path.string());
  }
  if (error) throw Error(ErrorCode::io, "cannot list the folder: " + error.message()).file(folder);
  Attributes out;
  for (const std::string& path : paths)
    with_file(path, [&] {
      add_faces(json::parse(read_json_text(path, kLargestOfFolder)), fs::path(path).stem().string(), out);
    });
  return out;
}

}  // namespace

const AttributeValue* Attributes::find(const std::string& id, const std::string& field) const {
  const auto row = rows_.find(id);
  if (row == rows_.end()) return nullptr;
  const auto value = row->second.find(field);
  return value == row->second.end() ? nullptr : &value->second;
}

std::vector<std::string> Attributes::fields() const {
  std::set<std::string> names;
  for (const auto& [id, fields] : rows_)
    for (const auto& [name, value] : fields) names.insert(name);
  return {names.begin(), names.end()};
}

Attributes read_ffhq_features(const std::string& path, const std::set<std::string>* only) {
  std::error_code error;
  if (fs::is_directory(path, error)) return read_folder(path, only);
  return with_file(path, [&] {
    const std::string text = read_json_text(path, kLargestMerged, 8, kLargestMerged);
    const auto merged = json_members(text);
    if (!merged) throw Error(ErrorCode::malformed, "not an object of image ids");
    Attributes out;
    for (const auto& [id, faces] : *merged)
      if (only == nullptr || only->contains(id)) add_faces(json::parse(faces), id, out);
    return out;
  });
}

}  // namespace furrow::data
