// Which photos of FFHQ are wanted, and where they are, as NVIDIA's ffhq-dataset-v2.json says.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "apps/manifest.h"

namespace furrow::apps {

// The numbers of --ids: "7", "0,5,10-20", a file of such lines, or a folder whose PNG files are named by them. Throws
// ErrorCode::usage for anything else, ErrorCode::malformed for a file that holds anything else.
std::set<int> parse_ids(const std::string& word);

// The photos `ids` (empty: all), the first `most` of them by number (0: all), in `metadata`. Each must say an address,
// images1024x1024/NN000/NNNNN.png with its own number as path, size and MD5. The file is read through a window: one
// entry is in memory at a time. `item` gives name, licence and citation. Errors: ErrorCode::malformed, with the byte; a
// number that is not there is ErrorCode::usage.
std::vector<PublishedFile> ffhq_photos(const std::string& metadata, const std::set<int>& ids, size_t most,
                                       const PublishedFile& item);

}  // namespace furrow::apps
