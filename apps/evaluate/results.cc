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

std::vector<std::string> failure_lines(const Record& record) {
  std::vector<std::string> lines;
  for (const Failure& failure : record.failures) lines.push_back(failure.error);
  return lines;
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

int write_results(const EvaluateJob& job, const cli::Common& common, const Record& record, const Model* model) {
  const size_t pictures = record.rows.size() + record.failures.size();
  const std::string failed =
      std::to_string(record.failures.size()) + " of " + std::to_string(pictures) + " pictures failed";
  std::optional<Error> failure;
  if (!record.failures.empty())
    failure = Error(ErrorCode::malformed, failed + " and are left out").details(failure_lines(record));
  // The one document that --json asks for.
  const auto print_json = [&](std::string object) {
    if (failure) object.replace(object.rfind('}'), 1, "," + cli::error_json(*failure).substr(1));
    cli::print(object);
  };
  if (job.shards > 1) {
    write(shard_file(job), record_json(record));
    std::error_code error;
    fs::remove(part_file(job), error);
    if (common.json)
      print_json("{\"schema\":\"furrow.evaluate-shard/1\",\"shard\":" + std::to_string(job.shard) + ",\"shards\":" +
                 std::to_string(job.shards) + ",\"pictures\":" + std::to_string(record.rows.size()) + "}\n");
    else
      cli::print(printable(shard_file(job), 400) + ": " + std::to_string(record.rows.size()) +
                 " pictures; furrow evaluate --merge " + printable(job.out, 400) + " adds up all shards\n");
  } else {
    if (record.rows.empty())
      throw Error(ErrorCode::malformed, pictures == 0 ? "no picture to compare" : failed)
          .details(failure_lines(record));
    ThreadPool pool(job.compute.threads);
    const Summary summary = summarise(record, &pool);
    write(job.out + "/per_image.csv", pictures_csv(record));
    write(job.out + "/groups.csv", groups_csv(summary));
    write(job.out + "/report.html", report_html(record, summary));
    write(job.out + "/evaluate.json", summary_json(record, summary, 1));
    if (!job.write_threshold.empty()) write_threshold(job, common, record, summary, model);
    if (common.json)
      print_json(summary_json(record, summary, -1));
    else
      cli::print(summary_text(record, summary, job.sweep));
    cli::note(common, "written: " + job.out + "/evaluate.json  per_image.csv  groups.csv  report.html");
    if (const std::string& licence = setting(record.settings, "model licence"); !licence.empty())
      cli::note(common, "weights: licence " + licence);
  }
  if (!failure) return 0;
  if (common.json) return static_cast<int>(failure->code());
  throw *failure;
}

}  // namespace furrow::apps
