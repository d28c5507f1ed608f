#include "apps/evaluate/setup.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "apps/embedded_model.h"
#include "apps/evaluate/contents.h"
#include "apps/evaluate/groups.h"
#include "apps/evaluate/text.h"
#include "data/strict_json.h"
#include "io/sha256.h"
#include "kernels/error.h"
#include "kernels/threads.h"
#include "segment/network_picture.h"

namespace furrow::apps {
namespace {

constexpr size_t kIdBytes = 4096, kIdsBytes = size_t{64} << 20, kShownWarnings = 3;

std::set<std::string> read_ids(const std::string& path) {
  return with_file(path, [&] {
    std::istringstream text(data::read_text_within(path, kIdsBytes, "a list of names of this size"));
    std::set<std::string> ids;
    std::string line;
    for (size_t number = 1; std::getline(text, line); ++number) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.size() > kIdBytes || line.find('\0') != std::string::npos)
        throw Error(ErrorCode::malformed, "not a list of names")
            .in("line " + std::to_string(number))
            .limit(kIdBytes, line.size());
      if (!line.empty()) ids.insert(line);
    }
    if (ids.empty()) throw Error(ErrorCode::malformed, "the list of names is empty");
    return ids;
  });
}

void keep_listed(const std::string& path, std::vector<data::PairFiles>& pairs) {
  std::set<std::string> ids = read_ids(path);
  std::erase_if(pairs, [&](const data::PairFiles& pair) { return !ids.contains(pair.id); });
  for (const data::PairFiles& pair : pairs) ids.erase(pair.id);
  if (ids.empty()) return;
  std::vector<std::string> missing;
  for (const std::string& id : ids) missing.push_back(printable(id) + ": no photo and mask of this name");
  const std::string count = std::to_string(missing.size());
  throw Error(ErrorCode::malformed, count + " of the names have no pair").file(path).details(std::move(missing));
}

}  // namespace

std::vector<data::PairFiles> pairs_of(const EvaluateJob& job, const cli::Common& common) {
  data::PairOptions options;
  options.images = job.images;
  options.masks = job.masks;
  options.rule = job.mask_rule;
  options.stem = job.first_dot ? data::Stem::first_dot : data::Stem::whole;
  if (job.skip_unpaired) options.photo_without_mask = options.mask_without_photo = data::Policy::warn;
  if (!job.ids.empty()) options.photo_without_mask = options.mask_without_photo = data::Policy::accept;
  options.limits = job.limits;
  ThreadPool pool(job.compute.threads);
  data::Pairing pairing = data::find_pairs(options, &pool);
  for (size_t i = 0; i < std::min(kShownWarnings, pairing.warnings.size()); ++i) cli::note(common, pairing.warnings[i]);
  if (pairing.warnings.size() > kShownWarnings)
    cli::note(common, "... and " + std::to_string(pairing.warnings.size() - kShownWarnings) + " more files left out");
  if (!job.ids.empty()) keep_listed(job.ids, pairing.pairs);
  return std::move(pairing.pairs);
}

namespace {

std::string list_text(const std::vector<int>& numbers) {
  std::string text;
  for (const int n : numbers) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

std::string rule_text(const data::MaskRule& rule) {
  std::string text;
  switch (rule.kind) {
    case data::MaskKind::binary: text = "255 is wrinkle, 0 is not"; break;
    case data::MaskKind::unit: text = "1 is wrinkle, 0 is not"; break;
    case data::MaskKind::threshold: text = "above 127 is wrinkle"; break;
    default:
      for (const uint8_t value : rule.wrinkle) text += (text.empty() ? "" : ",") + std::to_string(value);
      text += " is wrinkle, other values are not";
  }
  return rule.luma ? text + "; of the picture's luma" : text;
}

std::string compared_on(const EvaluateJob& job, const Setup& setup) {
  if (setup.model == nullptr) return "the photos' pixels";
  const std::string side = std::to_string(job.size.value_or(setup.model->info().size));
  const std::string model = side + "x" + side + " model pixels";
  return job.at == CompareAt::photo ? "the photos' pixels, from " + model : model;
}

}  // namespace

Setup set_up(const EvaluateJob& job, const cli::Common& common) {
  Setup setup;
  setup.pairs = pairs_of(job, common);
  setup.all_pairs = setup.pairs.size();
  std::string ids;
  std::set<std::string> names;
  for (const data::PairFiles& pair : setup.pairs) {
    ids += pair.id + "\n";
    names.insert(pair.id);
  }
  setup.pairs_sha256 = io::sha256_hex(std::as_bytes(std::span(ids)));
  std::vector<data::PairFiles> own;
  for (size_t i = 0; i < setup.pairs.size(); ++i)
    if (i % static_cast<size_t>(job.shards) == static_cast<size_t>(job.shard - 1))
      own.push_back(std::move(setup.pairs[i]));
  setup.pairs = std::move(own);
  if (!job.by.empty()) {
    setup.attributes = read_attributes(job.attributes, names, job.limits);
    for (const std::string& by : job.by) setup.attributes.require_field(parse_group(by).field);
  }
  if (job.predictions.empty()) {
    const bool wrinkles = job.mask_rule.kind != data::MaskKind::classes;
    setup.model = std::make_shared<const Model>((wrinkles ? load_wrinkle_model : load_model)(job.weights, job.limits));
    if (wrinkles) setup.predictor = model_predictor(setup.model, job);
    for (const std::string& note : setup.model->info().notes) cli::note(common, note);
    if (const std::string note = missing_labels_note(*setup.model); job.labels.empty() && !note.empty())
      cli::note(common, note);
  } else if (job.mask_rule.kind != data::MaskKind::classes) {
    setup.predictor = file_predictor(job);
  }
  return setup;
}

Record new_record(const EvaluateJob& job, const Setup& setup) {
  Record record;
  record.radii = job.radii;
  record.by = job.by;
  record.resamples = job.resamples;
  record.seed = job.seed;
  record.threshold = job.threshold.value_or(setup.predictor->default_threshold());
  record.shard = job.shard;
  record.shards = job.shards;
  record.contents = contents_of(job, setup);
  std::vector<double> cuts;
  for (int i = 1; i < 100; ++i) {
    record.thresholds.push_back(i / 100.0);
    cuts.push_back(setup.predictor->cut(record.thresholds.back()));
  }
  record.sweep = ThresholdSweep(std::move(cuts));
  record.overlays = OverlayChoice(static_cast<size_t>(job.overlays));

  Settings& s = record.settings;
  add_source(job, setup, setup.predictor->device(), s);
  s.emplace_back("threshold", shortest(record.threshold));
  s.emplace_back("masks", rule_text(job.mask_rule));
  add_pairs(job, setup, s);
  s.emplace_back("tolerances (px)", list_text(job.radii));
  add_sampling(job, s);
  s.emplace_back("pictures shown", std::to_string(job.overlays));
  return record;
}

void add_source(const EvaluateJob& job, const Setup& setup, const std::string& device, Settings& settings) {
  if (setup.model != nullptr) {
    const ModelInfo& info = setup.model->info();
    settings.emplace_back("source", "model " + info.name + " on " + device);
    settings.emplace_back("model sha256", info.sha256);
    settings.emplace_back("model licence", info.licence);
    if (setup.model->takes_texture()) settings.emplace_back("texture maps", texture_text(info));
    settings.emplace_back("crop", job.crop == CropMode::face ? "the largest face" : "none: photos are face crops");
    settings.emplace_back("test-time augmentation", job.flip ? "mirror image" : "none");
  } else {
    settings.emplace_back("source", "predictions from files");
  }
  settings.emplace_back("compared on", compared_on(job, setup));
}

void add_pairs(const EvaluateJob& job, const Setup& setup, Settings& settings) {
  settings.emplace_back("region",
                        job.labels.empty() ? "every pixel" : "pixels with label " + list_text(kept_labels(job, setup)));
  settings.emplace_back("pairs", std::to_string(setup.all_pairs));
  settings.emplace_back("pairs sha256", setup.pairs_sha256);
}

void add_sampling(const EvaluateJob& job, Settings& settings) {
  std::string by;
  for (const std::string& field : job.by) by += (by.empty() ? "" : "; ") + printable(field);
  settings.emplace_back("groups", by);
  settings.emplace_back("resamples", std::to_string(job.resamples));
  settings.emplace_back("seed", std::to_string(job.seed));
}

std::string contents_of(const EvaluateJob& job, const Setup& setup) {
  if (job.shards <= 1) return "";
  ThreadPool pool(job.compute.threads);
  return contents_sha256(job, setup.pairs, setup.attributes, &pool);
}

std::vector<int> kept_labels(const EvaluateJob& job, const Setup& setup) {
  return job.kept_labels.value_or(setup.model ? setup.model->info().kept_labels : ModelInfo{}.kept_labels);
}

}  // namespace furrow::apps
