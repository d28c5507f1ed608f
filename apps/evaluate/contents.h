// What an evaluation reads, as a digest: a shard that is finished counts only for the same bytes.
#pragma once

#include <string>
#include <vector>

#include "apps/evaluate/attributes.h"
#include "apps/evaluate/options.h"
#include "data/pairs.h"
#include "kernels/threads.h"

namespace furrow::apps {

// The file that `--predictions` holds for `id`: the first of NAME.png, NAME.prob.png, NAME.mask.png; of class maps the
// first alone. ErrorCode::io where there is none.
std::string prediction_path(const EvaluateJob& job, const std::string& id);
std::string labels_path(const EvaluateJob& job, const std::string& id);

// SHA-256, in hexadecimal, over every pair in order: its id, the SHA-256 of photo, mask and, where the job has them,
// label map and prediction (a file that cannot be read counts as such, so that a picture that failed is taken up again
// once it is there), and its attributes. Files are read on `pool`.
std::string contents_sha256(const EvaluateJob& job, const std::vector<data::PairFiles>& pairs,
                            const AttributeTable& attributes, ThreadPool* pool);

}  // namespace furrow::apps
