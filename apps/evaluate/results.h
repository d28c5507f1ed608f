// Where an evaluation's results go, and what ends it.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"
#include "apps/evaluate/record.h"
#include "segment/model.h"

namespace furrow::apps {

// Throws ErrorCode::usage where a result exists already and job.force is not set.
void refuse_overwriting(const EvaluateJob& job);

// The folder for results, made before hours of work rather than after them. What was made and is empty at the end goes
// again.
class ResultFolder {
 public:
  // Makes the folder and those above it that are missing. ErrorCode::io where that cannot be done.
  // shared: others may be about to write there, so it stays.
  explicit ResultFolder(const std::string& path, bool shared = false);
  ~ResultFolder();
  ResultFolder(const ResultFolder&) = delete;
  ResultFolder& operator=(const ResultFolder&) = delete;

 private:
  std::vector<std::string> made_;  // the deepest first
};

// Writes and prints the results of a whole, or the record of a shard. `model`: null where there is none, or where the
// shards of an earlier run are added up (job.write_threshold then loads job.weights, which must be the same file).
// Returns 0. Where pictures failed, throws ErrorCode::malformed at the end; with --json that error is a member of the
// one object on standard output, and its status is returned. Throws before writing anything where no picture is left.
int write_results(const EvaluateJob& job, const cli::Common& common, const Record& record, const Model* model);

}  // namespace furrow::apps
