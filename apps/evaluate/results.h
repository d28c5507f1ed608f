// Where an evaluation's results go, and what ends it.
#pragma once

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"
#include "apps/evaluate/record.h"
#include "segment/model.h"

namespace furrow::apps {

// Throws ErrorCode::usage where a result exists already and job.force is not set; makes the folder.
void refuse_overwriting(const EvaluateJob& job);

// Writes and prints the results of a whole, or the record of a shard. `model`: null where there is none, or where the
// shards of an earlier run are added up (job.write_threshold then loads job.weights, which must be the same file).
// Returns 0. Throws ErrorCode::malformed at the end where pictures failed, and before writing anything where none is
// left.
int write_results(const EvaluateJob& job, const cli::Common& common, const Record& record, const Model* model);

}  // namespace furrow::apps
