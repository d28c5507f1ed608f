#include "apps/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/manifest_data.h"
#include "io/closest.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;

bool is_hex(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of(const Json& entry, const char* key, bool required) {
  const auto it = entry.find(key);
  if (it == entry.end() || it->is_null()) {
    if (required) throw Error(ErrorCode::configuration, std::string("'") + key + "' is missing");
    return {};
  }
  if (!it->is_string()) throw Error(ErrorCode::configuration, std::string("'") + key + "' is not text");
  return it->get<std::string>();
}

// {"resize": "pillow-lanczos 512", "labels": [1, 14], "threshold": 0.5, ...}: texts and numbers as they are, lists by
// commas.
std::map<std::string, std::string> parse_preprocessing(const Json& entry) {
  const auto text = [](const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  std::map<std::string, std::string> out;
  const auto it = entry.find("preprocessing");
  if (it == entry.end()) return out;
  if (!it->is_object()) throw Error(ErrorCode::configuration, "'preprocessing' is not an object");
  for (const auto& [key, value] : it->items()) {
    std::string joined;
    if (value.is_array())
      for (const Json& one : value) joined += (joined.empty() ? "" : ",") + text(one);
    out["furrow." + (key == "labels" ? "kept_labels" : key)] = value.is_array() ? joined : text(value);
  }
  return out;
}

PublishedFile parse_entry(const Json& entry) {
  PublishedFile file{.name = text_of(entry, "name", true),
                     .file = text_of(entry, "file", true),
                     .what = text_of(entry, "what", true),
                     .origin = text_of(entry, "origin", true),
                     .licence = text_of(entry, "licence", true),
                     .citation = text_of(entry, "citation", true)};
  file.sha256 = text_of(entry, "sha256", false);
  file.sha256_prefix = text_of(entry, "sha256_prefix", false);
  file.preprocessing = parse_preprocessing(entry);
  if ((!file.sha256.empty() && file.sha256.size() != 64) || !is_hex(file.sha256) || !is_hex(file.sha256_prefix))
    throw Error(ErrorCode::configuration, "a sha256 is not lower-case hexadecimal of 64 digits");
  if (file.file.empty() || file.file.find('/') != std::string::npos || file.file.starts_with('.'))
    throw Error(ErrorCode::configuration, "'file' is not a plain file name: " + printable(file.file));
  if (const auto it = entry.find("direct"); it != entry.end() && it->is_boolean()) file.direct = it->get<bool>();
  if (const auto it = entry.find("size"); it != entry.end() && !it->is_null()) {
    if (!it->is_number_unsigned()) throw Error(ErrorCode::configuration, "'size' is not a number of bytes");
    file.size = it->get<uint64_t>();
  }
  return file;
}

}  // namespace

std::vector<PublishedFile> parse_manifest(std::string_view text, const std::string& file) {
  return with_file(file, [&] {
    const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!root.is_object() || !root.contains("schema") || root["schema"] != "furrow.weights/1" ||
        !root.contains("files") || !root["files"].is_array())
      throw Error(ErrorCode::configuration, "not a weight manifest")
          .hint("it is a JSON object with \"schema\": \"furrow.weights/1\" and \"files\"");
    std::vector<PublishedFile> files;
    for (const Json& entry : root["files"]) {
      if (!entry.is_object())
        throw Error(ErrorCode::configuration, "not an object").in("files[" + std::to_string(files.size()) + "]");
      try {
        files.push_back(parse_entry(entry));
      } catch (Error& error) {
        throw Error(ErrorCode::configuration, error.reason()).in("files[" + std::to_string(files.size()) + "]");
      }
    }
    return files;
  });
}

std::vector<PublishedFile> builtin_manifest() { return parse_manifest(kManifest, "built-in manifest"); }

const PublishedFile& find_published(const std::vector<PublishedFile>& manifest, std::string_view name) {
  std::vector<std::string> names;
  for (const PublishedFile& file : manifest) {
    if (file.name == name || file.file == name) return file;
    names.push_back(file.name);
  }
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  const std::string close = io::closest_word(name, names);
  throw Error(ErrorCode::usage, "the manifest has no weight file named '" + printable(name) + "'")
      .hint(close.empty() ? "it has " + all : "did you mean " + close + "?");
}

}  // namespace furrow::apps
