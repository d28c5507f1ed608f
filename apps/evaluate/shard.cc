#include "apps/evaluate/shard.h"

#include <cstdio>
#include <filesystem>
#include <set>

#include "io/atomic_file.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostListed = 100;  // of missing shards

std::string stem(const EvaluateJob& job) {
  return job.out + "/shard-" + std::to_string(job.shard) + "-of-" + std::to_string(job.shards);
}

}  // namespace

std::string shard_file(const EvaluateJob& job) { return stem(job) + ".json"; }
std::string part_file(const EvaluateJob& job) { return stem(job) + ".part.json"; }

bool same_shard(const Record& a, const Record& b) {
  return a.shard == b.shard && a.shards == b.shards && a.settings == b.settings && a.radii == b.radii && a.by == b.by &&
         a.resamples == b.resamples && a.seed == b.seed && a.threshold == b.threshold && a.thresholds == b.thresholds &&
         a.overlays.limit() == b.overlays.limit();
}

bool finished_before(const EvaluateJob& job) {
  std::error_code error;
  return job.shards > 1 && !job.force && fs::exists(shard_file(job), error);
}

void forget_shard(const EvaluateJob& job, const cli::Common& common) {
  std::error_code error;
  fs::remove(shard_file(job), error);
  if (error) throw Error(ErrorCode::io, "cannot be removed: " + error.message()).file(shard_file(job));
  cli::note(common, shard_file(job) + ": what it was counted from has changed, so it is counted again");
}

PartKeeper::PartKeeper(const EvaluateJob& job) : path_(job.shards > 1 ? part_file(job) : ""), ignored_(job.force) {}

bool PartKeeper::restore(const std::function<bool(const std::string& path)>& take) const {
  std::error_code error;
  if (path_.empty() || ignored_ || !fs::exists(path_, error)) return false;
  try {
    return take(path_);
  } catch (const Error&) { return false; }
}

void PartKeeper::after_picture(const std::function<std::string()>& text) {
  if (!path_.empty() && std::chrono::steady_clock::now() - saved_ >= std::chrono::seconds(kSeconds)) save(text);
}

void PartKeeper::save(const std::function<std::string()>& text) {
  if (path_.empty()) return;
  const std::string bytes = text();
  try {
    io::write_file_atomically(path_, std::as_bytes(std::span(bytes)));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::io) throw;  // it only saves work: the end will say whether results can be written
  }
  saved_ = std::chrono::steady_clock::now();
}

std::vector<std::string> files_to_merge(const std::vector<std::string>& words) {
  std::error_code error;
  if (words.size() != 1 || !fs::is_directory(words[0], error)) return words;
  std::set<int> finished, begun, counts;
  for (const fs::directory_entry& entry : fs::directory_iterator(words[0], error)) {
    const std::string name = entry.path().filename().string();
    int shard = 0, shards = 0;
    if (std::sscanf(name.c_str(), "shard-%6d-of-%6d", &shard, &shards) != 2 || shard < 1 || shard > shards) continue;
    const std::string own = "shard-" + std::to_string(shard) + "-of-" + std::to_string(shards);
    if (name == own + ".json")
      finished.insert(shard);
    else if (name == own + ".part.json")
      begun.insert(shard);
    else
      continue;
    counts.insert(shards);
  }
  if (error) throw Error(ErrorCode::io, "cannot be read: " + error.message()).file(words[0]);
  if (counts.empty()) throw Error(ErrorCode::usage, "holds no shard").file(words[0]);
  if (counts.size() > 1)
    throw Error(ErrorCode::usage,
                "holds shards of " + std::to_string(*counts.begin()) + " and of " + std::to_string(*counts.rbegin()))
        .file(words[0])
        .hint("name the files that belong together: --merge FILE,FILE");
  const int shards = *counts.begin();
  std::vector<std::string> files, missing;
  for (int shard = 1; shard <= shards && missing.size() < kMostListed; ++shard) {
    const std::string number = std::to_string(shard), all = std::to_string(shards);
    if (finished.contains(shard))
      files.push_back(words[0] + "/shard-" + number + "-of-" + all + ".json");
    else
      missing.push_back("shard " + number + "/" + all + (begun.contains(shard) ? ", unfinished" : ", not begun") +
                        ": furrow evaluate IMAGES MASKS --shard " + number + "/" + all + " -o " + words[0] +
                        ", with the options of the others");
  }
  if (!missing.empty())
    throw Error(ErrorCode::usage, std::to_string(shards - static_cast<int>(finished.size())) + " of " +
                                      std::to_string(shards) + " shards are missing")
        .file(words[0])
        .details(missing);
  return files;
}

}  // namespace furrow::apps
