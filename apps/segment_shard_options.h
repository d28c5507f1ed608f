// Everything that changes results, as a shard keeps it (a JSON object as text), and how it is compared.
#pragma once

#include <string>

#include "apps/segment_options.h"
#include "segment/model.h"

namespace furrow::apps {

// The settings of the results (segment_origin.h) and what is saved of them; "save" ends with "json" where JSON is.
std::string shard_options(const SegmentJob& job, const ModelInfo& model);

// The first few in which `theirs` is not `ours`: "threshold 0.8, not threshold 0.2"; "" where there are none.
std::string differing_options(const std::string& theirs, const std::string& ours);

// The same for the settings in a photo's JSON and the options of a shard.
std::string differing_settings(const std::string& settings, const std::string& options);

}  // namespace furrow::apps
