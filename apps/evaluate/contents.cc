#include "apps/evaluate/contents.h"

#include <filesystem>

#include "apps/evaluate/groups.h"
#include "io/mapped_file.h"
#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

std::string sum_of(const std::string& path) {
  try {
    return io::sha256_hex(io::MappedFile::open(path, io::MappedFile::Access::copy)->bytes());
  } catch (const Error&) { return "unreadable"; } catch (const std::bad_alloc&) {
    return "unreadable";
  }
}

std::string sums_of(const EvaluateJob& job, const data::PairFiles& pair) {
  std::string sums = "photo " + sum_of(pair.image) + "\nmask " + sum_of(pair.mask) + "\n";
  if (!job.labels.empty()) sums += "labels " + sum_of(labels_path(job, pair.id)) + "\n";
  if (job.predictions.empty()) return sums;
  try {
    return sums + "prediction " + sum_of(prediction_path(job, pair.id)) + "\n";
  } catch (const Error&) { return sums + "no prediction\n"; }
}

}  // namespace

std::string prediction_path(const EvaluateJob& job, const std::string& id) {
  const std::string base = job.predictions + "/" + id;
  std::error_code error;
  if (job.mask_rule.kind == data::MaskKind::classes) {
    if (fs::exists(base + ".png", error)) return base + ".png";
    throw Error(ErrorCode::io, "no prediction").file(base + ".png").hint("of several classes predictions are NAME.png");
  }
  for (const char* ending : {".png", ".prob.png", ".mask.png"})
    if (fs::exists(base + ending, error)) return base + ending;
  throw Error(ErrorCode::io, "no prediction")
      .file(base + ".png")
      .hint("predictions are NAME.png, NAME.prob.png or NAME.mask.png");
}

std::string labels_path(const EvaluateJob& job, const std::string& id) { return job.labels + "/" + id + ".png"; }

std::string contents_sha256(const EvaluateJob& job, const std::vector<data::PairFiles>& pairs,
                            const AttributeTable& attributes, ThreadPool* pool) {
  std::vector<std::string> sums(pairs.size());
  parallel_for(pool, static_cast<int64_t>(pairs.size()),
               [&](int64_t i, int) { sums[static_cast<size_t>(i)] = sums_of(job, pairs[static_cast<size_t>(i)]); });
  io::Sha256 whole;
  const auto add = [&](const std::string& text) {  // with its length, so that no two lists of texts are alike
    const std::string whole_text = std::to_string(text.size()) + ":" + text;
    whole.update(std::as_bytes(std::span(whole_text)));
  };
  for (size_t i = 0; i < pairs.size(); ++i) {
    add(pairs[i].id);
    add(sums[i]);
    for (const std::string& by : job.by)
      add(attributes.value(pairs[i].id, parse_group(by).field).value_or("\x01 unknown"));
  }
  return whole.hex();
}

}  // namespace furrow::apps
