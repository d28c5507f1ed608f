#include "apps/evaluate/results.h"

#include <filesystem>
#include <optional>

#include "apps/embedded_model.h"
#include "apps/evaluate/output.h"
#include "apps/evaluate/report.h"
#include "apps/evaluate/shard.h"
#include "apps/evaluate/summary.h"
#include "apps/evaluate/text.h"
#include "io/atomic_file.h"
#include "kernels/error.h"
#include "kernels/threads.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> result_files(const EvaluateJob& job) {
  if (job.shards > 1) return {shard_file(job)};
  std::vector<std::string> files;
  if (job.mask_rule.kind == data::MaskKind::classes)
    for (const char* name : {"classes.csv", "confusion.csv"}) files.push_back(job.out + "/" + name);
  for (const char* name : {"evaluate.json", "per_image.csv", "groups.csv", "report.html"})
    files.push_back(job.out + "/" + name);
  if (!job.write_threshold.empty()) files.push_back(job.write_threshold);
  return files;
}

void write(const std::string& path, const std::string& text) {
  io::write_file_atomically(path, std::as_bytes(std::span(text)));
}

// A native file like the model's, with the threshold that was best. Tensors stay as they are.
void write_threshold(const EvaluateJob& job, const cli::Common& common, const Record& record, const Summary& summary,
                     const Model* model) {
  Model copy = model != nullptr ? *model : load_model(job.weights, job.limits);
  if (copy.info().sha256 != setting(record.settings, "model sha256"))
    throw Error(ErrorCode::usage, "--write-threshold: the shards were made with another model")
        .hint("name it with --weights");
  if (summary.all.counts.tp + summary.all.counts.fn == 0)
    throw Error(ErrorCode::malformed, "no mask holds a wrinkle: no threshold is better than another");
  ModelInfo info = copy.info();
  info.threshold = record.thresholds[summary.best];
  if (info.source_sha256.empty()) info.source_sha256 = info.sha256;
  copy.set_info(info);
  save_native(job.write_threshold, copy, DType::f32);
  cli::note(common, "threshold " + shortest(info.threshold) + " written to " + job.write_threshold);
}

}  // namespace

void refuse_overwriting(const EvaluateJob& job) {
  std::error_code error;
  for (const std::string& path : result_files(job))
    if (!job.force && fs::exists(fs::symlink_status(path, error)))
      throw Error(ErrorCode::usage, "exists already").file(path).hint("--force overwrites results");
}

ResultFolder::ResultFolder(const std::string& path, bool shared) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path at = path; !at.empty() && !fs::exists(at, error); at = at.parent_path()) missing.push_back(at);
  fs::create_directories(path, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder for results: " + error.message()).file(path);
  if (!shared)
    for (const fs::path& at : missing) made_.push_back(at.string());
}

ResultFolder::~ResultFolder() {
  std::error_code error;
  for (const std::string& path : made_)
    if (!fs::is_empty(path, error) || error || !fs::remove(path, error)) return;
}

Ending::Ending(const cli::Common& common, const std::vector<Failure>& failures, size_t rows)
    : common_(common), rows_(rows) {
  for (const Failure& failure : failures) lines_.push_back(failure.error);
  failed_ = std::to_string(lines_.size()) + " of " + std::to_string(rows + lines_.size()) + " pictures failed";
  if (!lines_.empty()) failure_ = Error(ErrorCode::malformed, failed_ + " and are left out").details(lines_);
}

void Ending::require_rows() const {
  if (rows_ > 0) return;
  throw Error(ErrorCode::malformed, lines_.empty() ? "no picture to compare" : failed_).details(lines_);
}

void Ending::print_json(std::string object) const {
  if (failure_) object.replace(object.rfind('}'), 1, "," + cli::error_json(*failure_).substr(1));
  cli::print(object);
}

int Ending::finish() const {
  if (!failure_) return 0;
  if (common_.json) return static_cast<int>(failure_->code());
  throw *failure_;
}

void write_shard(const EvaluateJob& job, const cli::Common& common, const Ending& ending, const std::string& text,
                 size_t rows) {
  if (text.size() > kRecordBytes)  // said now and not when all shards are done
    throw Error(ErrorCode::limit, "bytes of the file of a shard")
        .file(shard_file(job))
        .limit(kRecordBytes, text.size())
        .hint("divide the pictures among more shards, or show fewer with --overlays");
  write(shard_file(job), text);
  std::error_code error;
  fs::remove(part_file(job), error);
  if (common.json) {
    const std::string schema = text.substr(0, text.find(','));  // {"schema":"furrow.evaluate-shard/1"
    ending.print_json(schema + ",\"shard\":" + std::to_string(job.shard) + ",\"shards\":" + std::to_string(job.shards) +
                      ",\"pictures\":" + std::to_string(rows) + "}\n");
  } else {
    cli::print(printable(shard_file(job), 400) + ": " + std::to_string(rows) + " pictures; furrow evaluate --merge " +
               printable(job.out, 400) + " adds up all shards\n");
  }
}

int write_results(const EvaluateJob& job, const cli::Common& common, const Record& record, const Model* model) {
  const Ending ending(common, record.failures, record.rows.size());
  if (job.shards > 1) {
    write_shard(job, common, ending, record_json(record), record.rows.size());
    return ending.finish();
  }
  ending.require_rows();
  ThreadPool pool(job.compute.threads);
  const Summary summary = summarise(record, &pool);
  write(job.out + "/per_image.csv", pictures_csv(record));
  write(job.out + "/groups.csv", groups_csv(summary));
  write(job.out + "/report.html", report_html(record, summary));
  write(job.out + "/evaluate.json", summary_json(record, summary, 1));
  if (!job.write_threshold.empty()) write_threshold(job, common, record, summary, model);
  if (common.json)
    ending.print_json(summary_json(record, summary, -1));
  else
    cli::print(summary_text(record, summary, job.sweep));
  cli::note(common, "written: " + job.out + "/evaluate.json  per_image.csv  groups.csv  report.html");
  if (const std::string& licence = setting(record.settings, "model licence"); !licence.empty())
    cli::note(common, "weights: licence " + licence);
  return ending.finish();
}

}  // namespace furrow::apps
