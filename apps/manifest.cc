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
  file.md5 = text_of(entry, "md5", false);
  file.unpack = text_of(entry, "unpack", false);
  file.preprocessing = parse_preprocessing(entry);
  if ((!file.md5.empty() && file.md5.size() != 32) || !is_hex(file.md5))
    throw Error(ErrorCode::configuration, "an md5 is not lower-case hexadecimal of 32 digits");
  if ((!file.sha256.empty() && file.sha256.size() != 64) || !is_hex(file.sha256) || !is_hex(file.sha256_prefix))
    throw Error(ErrorCode::configuration, "a sha256 is not lower-case hexadecimal of 64 digits");
  for (const std::string* name : {&file.file, &file.unpack})
    if (name->starts_with('.') || std::ranges::any_of(*name, [](unsigned char c) { return c < ' ' || c == '/' || c == 127; }))
      throw Error(ErrorCode::configuration, "not a plain file name: " + printable(*name));
  if (file.file.empty()) throw Error(ErrorCode::configuration, "'file' is empty");
  if (std::ranges::any_of(file.origin, [](unsigned char c) { return c <= ' ' || c == 127; }))
    throw Error(ErrorCode::configuration, "'origin' is not an address: " + printable(file.origin));
  const auto flag = [&](const char* key, bool& to) {
    if (const auto it = entry.find(key); it != entry.end() && it->is_boolean()) to = it->get<bool>();
  };
  const auto bytes = [&](const char* key) -> std::optional<uint64_t> {
    const auto it = entry.find(key);
    if (it == entry.end() || it->is_null()) return {};
    if (!it->is_number_unsigned() || it->get<uint64_t>() - 1 >= INT64_MAX)  // 0 as well
      throw Error(ErrorCode::configuration, std::string("'") + key + "' is not a number of bytes");
    return it->get<uint64_t>();
  };
  flag("direct", file.direct), flag("by_id", file.by_id);
  file.size = bytes("size"), file.about = bytes("about").value_or(0);
  return file;
}

}  // namespace

std::vector<PublishedFile> parse_manifest(std::string_view text, const std::string& file) {
  return with_file(file, [&] {
    const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    const bool is_one = root.is_object() && root.contains("schema") && root.contains("files") && root["files"].is_array();
    const bool data = is_one && root["schema"] == "furrow.data/1";
    if (!data && !(is_one && root["schema"] == "furrow.weights/1"))
      throw Error(ErrorCode::configuration, "not a manifest")
          .hint("it is a JSON object with \"schema\": \"furrow.weights/1\" or \"furrow.data/1\", and \"files\"");
    std::vector<PublishedFile> files;
    for (const Json& entry : root["files"]) {
      if (!entry.is_object())
        throw Error(ErrorCode::configuration, "not an object").in("files[" + std::to_string(files.size()) + "]");
      try {
        files.push_back(parse_entry(entry));
        files.back().data = data;
      } catch (Error& error) {
        throw Error(ErrorCode::configuration, error.reason()).in("files[" + std::to_string(files.size()) + "]");
      }
    }
    return files;
  });
}

std::vector<PublishedFile> builtin_manifest() { return parse_manifest(kManifest, "built-in manifest"); }
std::vector<PublishedFile> builtin_data() { return parse_manifest(kDataManifest, "built-in manifest of data"); }

std::string PublishedFile::hash_text() const {
  if (!sha256.empty()) return "sha256 " + sha256;
  if (!md5.empty()) return "md5 " + md5;
  return sha256_prefix.empty() ? "" : "sha256 " + sha256_prefix + "...";
}

const PublishedFile& find_published(const std::vector<PublishedFile>& manifest, std::string_view name) {
  std::vector<std::string> names;
  for (const PublishedFile& file : manifest) {
    if (file.name == name || file.file == name) return file;
    names.push_back(file.name);
  }
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  const std::string close = io::closest_word(name, names);
  throw Error(ErrorCode::usage, "the manifest has no file named '" + printable(name) + "'")
      .hint(close.empty() ? "it has " + all : "did you mean " + close + "?");
}

}  // namespace furrow::apps
