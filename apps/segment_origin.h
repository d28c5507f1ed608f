// What a result was made of: the photo as it lay on disk and every option that changes a number. It is stored with the
// result, so that a later run can tell whether it is what it would compute itself.
#pragma once

#include <string>

#include "apps/cli/inputs.h"
#include "apps/segment_options.h"
#include "segment/model.h"

namespace furrow::apps {

// The program's numerics. Every change that CHANGELOG.md lists under Numerics after it was released raises it by one: the
// results that a folder holds are others then, and are computed again.
inline constexpr int kNumerics = 1;

// JSON objects as text; equal texts, equal results.
struct Origin {
  std::string input;     // the photo's path from the results, bytes, time of last change; of standard input the path "-"
  std::string settings;  // kNumerics, the model's sha256, options as used, the label map as `input`
  // The same photo, changed or not. Never standard input.
  bool same_photo(const Origin& other) const;
  // The same result, but for what --save chose of it.
  bool same_result(const Origin& other) const;
};

Origin origin_of(const SegmentJob& job, const cli::Input& input, const ModelInfo& model);

// Its settings as they hold for all photos: "labels" is what --labels says.
std::string shared_settings(const SegmentJob& job, const ModelInfo& model);

// The file of --labels that belongs to `input`; "" where there is none.
std::string labels_path(const SegmentJob& job, const cli::Input& input);

}  // namespace furrow::apps
