// What the keys of a published checkpoint cannot tell: sigmoid inside, normalisation, size, kept labels. Taken from the
// manifest of published files, by the name of their kind (`model convert --as`) or by their sha256.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/manifest.h"
#include "nn/network.h"

namespace furrow::apps {

// "furrow." keys of a native file.
using Metadata = std::map<std::string, std::string>;

// Of a kind: "seed-2025-02", "seed-2025-04", "labhai". Throws ErrorCode::usage for another name, and for a network that
// the kind never was.
Metadata preset(std::string_view kind, const Architecture& network);

struct KnownFile {
  Metadata metadata;  // its preprocessing, name, licence and citation
  std::string by;     // what it is known by: "its SHA-256"
};

// The published network of that sha256 and size; nothing for an unknown file.
std::optional<KnownFile> known_file(const std::string& sha256, uint64_t bytes, const Architecture& network,
                                    const std::vector<PublishedFile>& manifest = builtin_manifest());

}  // namespace furrow::apps
