// The manifests of published files (weights/manifest.json, data/manifest.json): what they are, where they come from, how
// to know them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace furrow::apps {

struct PublishedFile {
  std::string name;            // what `furrow model get NAME` or `prepare fetch NAME` takes
  std::string file;            // file name it is kept under
  std::string what, origin, licence, citation;
  bool direct = false;         // origin is the file itself, not a page that leads to it
  std::optional<uint64_t> size;
  std::string sha256;          // whole, 64 hex digits, or empty
  std::string sha256_prefix;   // all that is known where `sha256` is empty
  std::string md5;             // whole, 32 hex digits, where the publisher states that instead
  bool data = false;           // of a data set: what states no hash may be taken all the same
  bool by_id = false;          // not one file but many, by number (apps/prepare/fetch_ffhq.h); or one of them
  uint64_t about = 0;          // bytes as the publisher rounds them, where `size` is not known; 0: not known
  std::string unpack;          // the folder that the files of this zip belong to
  std::map<std::string, std::string> preprocessing;   // of a network: "furrow." keys of a native file, not yet checked

  std::string hash_text() const;  // "sha256 012...", "md5 ...", "" where none is known
};

// Parses a manifest; throws ErrorCode::configuration naming the entry that is wrong.
std::vector<PublishedFile> parse_manifest(std::string_view json, const std::string& file);
// Those compiled into the program: weights; data sets.
std::vector<PublishedFile> builtin_manifest();
std::vector<PublishedFile> builtin_data();
// Entry by name or file name; throws ErrorCode::usage with the nearest name.
const PublishedFile& find_published(const std::vector<PublishedFile>& manifest, std::string_view name);

}  // namespace furrow::apps
