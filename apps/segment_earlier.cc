#include "apps/segment_earlier.h"

#include <filesystem>

#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

bool may_be_finished(const SegmentJob& job, const cli::Input& input) {
  return input.from_folder || job.shard.count > 1;
}

}  // namespace

bool finished_before(const SegmentJob& job, const cli::Input& input, const OutputPaths& files) {
  if (!may_be_finished(job, input) || job.force) return false;
  std::error_code error;
  if (!files.json.empty()) {
    if (!fs::is_regular_file(files.json, error)) return false;
    try {
      if (says_no_face(read_result_json(files.json))) return true;
    } catch (const Error&) { return false; }  // not ours, or not to be read
  }
  for (const std::string& path : files.all())
    if (!fs::exists(path, error)) return false;
  return true;
}

void refuse_overwriting(const SegmentJob& job, const cli::Input& input, const OutputPaths& files,
                        const std::set<std::string>& inputs) {
  std::error_code error;
  // JSON is written last: pictures of a folder's photo without it are what an interrupted run left.
  const bool leftovers =
      may_be_finished(job, input) && !files.json.empty() && !fs::exists(fs::symlink_status(files.json, error));
  for (const std::string& path : files.all()) {
    if (const fs::path canonical = fs::weakly_canonical(path, error); !error && inputs.contains(canonical.string()))
      throw Error(ErrorCode::usage, "a result would overwrite an input")
          .file(path)
          .hint("choose another folder with -o");
    const fs::file_status found = fs::symlink_status(path, error);
    if (!job.force && fs::exists(found) && !(leftovers && fs::is_regular_file(found)))
      throw Error(ErrorCode::usage, "exists already").file(path).hint("--force overwrites results");
  }
}

}  // namespace furrow::apps
