// Runs `furrow evaluate`: pairs of photo and mask, predictions beside the truth, numbers at the end.
#pragma once

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"

namespace furrow::apps {

// Writes evaluate.json, per_image.csv, groups.csv and report.html into job.out, or shard-I-of-N.json where job.shards >
// 1; prints the table (with --json the content of evaluate.json on one line). Returns the exit status: 0; 130/143 after
// a signal, with nothing written. Pictures that fail are left out, listed in every result, and make the end
// ErrorCode::malformed; where none is left nothing is written.
int run_evaluate(const EvaluateJob& job, const cli::Common& common);

}  // namespace furrow::apps
