// The files of a shard: the finished record, what is counted so far, and a folder of them.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "apps/evaluate/options.h"
#include "apps/evaluate/record.h"

namespace furrow::apps {

std::string shard_file(const EvaluateJob& job);  // OUT/shard-2-of-4.json
std::string part_file(const EvaluateJob& job);   // OUT/shard-2-of-4.part.json, while it is being counted

// Whether numbers of the two may be added up, and their shard is the same one.
bool same_shard(const Record& a, const Record& b);

// Keeps what a shard has counted so that a killed one goes on, and not from the start.
class PartKeeper {
 public:
  // Of a job that is no shard it keeps nothing.
  explicit PartKeeper(const EvaluateJob& job);
  // `empty` becomes what an earlier process of the same shard counted, where there is such a thing and --force does not
  // forbid it; a file that is damaged, or of another evaluation, counts for nothing. True where something was found.
  bool restore(Record& empty) const;
  // After each picture: writes at most every kSeconds, since a record is up to some megabytes.
  void after_picture(const Record& record);
  void save(const Record& record);
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
