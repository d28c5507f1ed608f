// The files of a shard: the finished record, what is counted so far, and a folder of them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"
#include "apps/evaluate/record.h"

namespace furrow::apps {

std::string shard_file(const EvaluateJob& job);  // OUT/shard-2-of-4.json
std::string part_file(const EvaluateJob& job);   // OUT/shard-2-of-4.part.json, while it is being counted

// Whether numbers of the two may be added up, and their shard is the same one; of which contents is another question.
bool same_shard(const Record& a, const Record& b);

// Whether a file of the shard is there that an earlier process finished.
bool finished_before(const EvaluateJob& job);
// Removes it, since it tells of other photos, masks, labels or predictions than are there now, and says so.
void forget_shard(const EvaluateJob& job, const cli::Common& common);

// Keeps what a shard has counted so that a killed one goes on, and not from the start.
class PartKeeper {
 public:
  // Of a job that is no shard it keeps nothing.
  explicit PartKeeper(const EvaluateJob& job);
  // Calls `take` with the file that an earlier process left, where there is one and --force does not forbid it. True
  // where `take` returned it; a file that it throws an Error at counts for nothing.
  bool restore(const std::function<bool(const std::string& path)>& take) const;
  // After each picture: writes `text` at most every kSeconds, since a record is up to some megabytes.
  void after_picture(const std::function<std::string()>& text);
  void save(const std::function<std::string()>& text);
  static constexpr int kSeconds = 10;

 private:
  std::string path_;  // "": nothing is kept
  bool ignored_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
};

// What --merge names: files, or one folder, whose shard-*-of-N.json are taken. ErrorCode::usage for a folder where
// there are none or of several N, or where some are missing: each of those on a line, with the words that finish it.
std::vector<std::string> files_to_merge(const std::vector<std::string>& words);

}  // namespace furrow::apps
