#include "apps/segment_origin.h"

#include <sys/stat.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// UTC with all digits that the system keeps: as a number of nanoseconds it would not survive readers that hold doubles.
std::string time_text(const timespec& time) {
  std::tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  char day[64], text[96];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%09ldZ", day, static_cast<long>(time.tv_nsec));
  return text;
}

// The path is that from the folder of results: it says nothing of the machine, and holds where both are moved.
Json file_json(const std::string& path, const std::string& results) {
  std::error_code error, other;
  const fs::path real = fs::weakly_canonical(path, error), from = fs::weakly_canonical(results, other);
  const std::string name = error || other ? path : real.lexically_relative(from).string();
  Json out = {{"path", printable(name, 4 * name.size())}};
  if (struct stat found{}; stat(path.c_str(), &found) == 0) {
    out["bytes"] = static_cast<uint64_t>(found.st_size);
    out["modified"] = time_text(found.st_mtim);
  }
  return out;
}

const char* background_name(io::Background background) {
  if (background == io::Background::drop) return "drop";
  return background == io::Background::black ? "black" : "white";
}

constexpr const char* kCropNames[] = {"face", "none", "ffhq-uv"};  // in the order of CropMode

// `labels`: the label map, null without one.
Json settings_json(const SegmentJob& job, const ModelInfo& model, const Json& labels) {
  const SegmentOptions& o = job.options;
  Json settings = {{"numerics", kNumerics},
                   {"model", model.sha256},
                   {"threshold", o.threshold.value_or(model.threshold)},
                   {"size", o.size.value_or(model.size)},
                   {"crop", kCropNames[static_cast<size_t>(o.crop)]},
                   {"faces", o.faces == FaceChoice::largest ? "largest" : "all"},
                   {"tile", o.tile},
                   {"tta", o.flip ? "flip" : "none"},
                   {"background", background_name(job.background)}};
  settings["labels"] = labels;
  if (job.labels == "auto") settings["labels"] = {{"parser", job.parser_sha256}};
  settings["keep"] = settings["labels"].is_null() ? Json(nullptr) : Json(o.kept_labels.value_or(model.kept_labels));
  // As given: `auto` may become another device on another machine, and a run that is moved there goes on.
  settings["device"] = job.compute.device;
  settings["precision"] = job.compute.precision ? Json(*job.compute.precision) : Json(nullptr);
  settings["kernels"] = job.compute.kernels;
  settings["memory"] = job.compute.memory;
  settings["tune"] = printable(job.compute.tuning, 4096);
  return settings;
}

}  // namespace

bool Origin::same_photo(const Origin& other) const {
  const Json a = Json::parse(input)["path"];
  return a != "-" && a == Json::parse(other.input)["path"];
}

bool Origin::same_result(const Origin& other) const {
  return same_photo(other) && input == other.input && settings == other.settings;
}

std::string labels_path(const SegmentJob& job, const cli::Input& input) {
  if (job.labels == "none" || job.labels == "auto") return "";
  std::error_code error;
  return fs::is_directory(job.labels, error) ? job.labels + "/" + input.base + ".png" : job.labels;
}

Origin origin_of(const SegmentJob& job, const cli::Input& input, const ModelInfo& model) {
  const std::string labels = labels_path(job, input);
  const Json settings = settings_json(job, model, labels.empty() ? Json(nullptr) : file_json(labels, job.out));
  return {(input.path == "-" ? Json{{"path", "-"}} : file_json(input.path, job.out)).dump(), settings.dump()};
}

std::string shared_settings(const SegmentJob& job, const ModelInfo& model) {
  return settings_json(job, model, job.labels == "none" ? Json(nullptr) : Json(printable(job.labels, 4096))).dump();
}

}  // namespace furrow::apps
