// Where an evaluation's results go, and what ends it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"
#include "apps/evaluate/record.h"
#include "kernels/error.h"
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

// What the pictures that failed make of an evaluation's end: every result lists them, and the last word is the error.
class Ending {
 public:
  // `rows`: pictures that were counted.
  Ending(const cli::Common& common, const std::vector<Failure>& failures, size_t rows);
  // ErrorCode::malformed where no picture is left.
  void require_rows() const;
  // Prints `object`, the one document of --json, with the error as a member.
  void print_json(std::string object) const;
  // 0; or with --json the error's status, else the error is thrown.
  int finish() const;

 private:
  const cli::Common& common_;
  size_t rows_;
  std::vector<std::string> lines_;
  std::string failed_;  // "2 of 5 pictures failed"
  std::optional<Error> failure_;
};

// Writes the record of a shard, `text`, and says so; what was counted until then goes.
void write_shard(const EvaluateJob& job, const cli::Common& common, const Ending& ending, const std::string& text,
                 size_t rows);

// Writes and prints the results of a whole, or the record of a shard. `model`: null where there is none, or where the
// shards of an earlier run are added up (job.write_threshold then loads job.weights, which must be the same file).
// Returns 0. Where pictures failed, throws ErrorCode::malformed at the end; with --json that error is a member of the
// one object on standard output, and its status is returned. Throws before writing anything where no picture is left.
int write_results(const EvaluateJob& job, const cli::Common& common, const Record& record, const Model* model);

}  // namespace furrow::apps
