// What the keys of a published checkpoint cannot tell: sigmoid inside, normalisation, size, kept labels. Taken from the
// manifest of published files, by the name of their kind (`model convert --as`) or by their sha256.
#pragma once

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

// Of the published file with that sha256, its name, licence and citation among them; nothing for an unknown file.
std::optional<Metadata> known_file(const std::string& sha256, const Architecture& network,
                                   const std::vector<PublishedFile>& manifest = builtin_manifest());

}  // namespace furrow::apps
