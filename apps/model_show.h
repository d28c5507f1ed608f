// `furrow model show` and the JSON and tables of the other sub-verbs.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/manifest.h"
#include "io/limits.h"

namespace furrow::apps {

// Prints what a weight file holds; `default` means the model compiled in. Returns 0. A file whose architecture Furrow does
// not know is shown all the same, with the reason in place of the architecture.
int show_model(const std::string& path, const io::Limits& limits, const cli::Common& common);

// One line per published file, or a JSON array.
std::string list_published(const std::vector<PublishedFile>& manifest, bool json);
// The answer of `verify` and `get` as JSON.
std::string verdict_json(const PublishedFile& known, const std::string& path, const std::string& sha256, bool proved);

// Reads a manifest file (at most 1 MiB).
std::vector<PublishedFile> read_manifest(const std::string& path);

}  // namespace furrow::apps
