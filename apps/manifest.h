// The manifest of published weight files (weights/manifest.json): what they are, where they come from, how to know them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace furrow::apps {

struct PublishedFile {
  std::string name;            // what `furrow model get NAME` takes
  std::string file;            // file name it is kept under
  std::string what, origin, licence, citation;
  bool direct = false;         // origin is the file itself, not a page that leads to it
  std::optional<uint64_t> size;
  std::string sha256;          // whole, 64 hex digits, or empty
  std::string sha256_prefix;   // all that is known where `sha256` is empty
  std::map<std::string, std::string> preprocessing;   // of a network: "furrow." keys of a native file, not yet checked
};

// Parses a manifest; throws ErrorCode::configuration naming the entry that is wrong.
std::vector<PublishedFile> parse_manifest(std::string_view json, const std::string& file);
// The one compiled into the program.
std::vector<PublishedFile> builtin_manifest();
// Entry by name or file name; throws ErrorCode::usage with the nearest name.
const PublishedFile& find_published(const std::vector<PublishedFile>& manifest, std::string_view name);

}  // namespace furrow::apps
