#include "apps/evaluate/classes.h"

#include <algorithm>
#include <cmath>

#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/evaluate/contents.h"
#include "apps/evaluate/groups.h"
#include "apps/evaluate/merge.h"
#include "apps/evaluate/network.h"
#include "apps/evaluate/results.h"
#include "apps/evaluate/setup.h"
#include "apps/evaluate/shard.h"
#include "apps/evaluate/text.h"
#include "io/picture.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

struct ClassMaps {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> predicted, truth;
  std::vector<uint8_t> region;  // 0: not compared; empty: everything is
};

// A pair, decoded.
struct ClassInput {
  io::Image photo, truth;
  std::optional<io::LabelMap> labels;
};

// The classes of a photo by a network: argmax over the channels of its output.
class ClassModel {
 public:
  ClassModel(const std::shared_ptr<const Model>& model, const EvaluateJob& job)
      : network_(model, job), flip_(job.flip), side_(network_.side()) {}
  std::string device() const { return network_.device(); }

  ClassMaps run(const ClassInput& input, const KeptPixels& kept) {
    const int64_t w = input.photo.width, h = input.photo.height;
    const Prepared picture = network_.prepare(input.photo, kept, input.labels ? &*input.labels : nullptr);
    const Grid& grid = picture.grid;
    ClassMaps out{.width = side_, .height = side_, .predicted = predict(picture), .truth = {}, .region = {}};
    out.truth.resize(out.predicted.size());
    if (kept.limited() || grid.crop != inside(grid.crop, w, h)) out.region.resize(out.predicted.size());
    for (int64_t j = 0; j < side_; ++j)
      for (int64_t i = 0; i < side_; ++i) {
        const int64_t x = grid.photo_x(i), y = grid.photo_y(j);
        if (x < 0 || x >= w || y < 0 || y >= h) continue;
        const auto at = static_cast<size_t>(j * side_ + i);
        out.truth[at] = input.truth.row(y)[x];
        if (!out.region.empty()) out.region[at] = kept(x, y) ? 1 : 0;
      }
    return out;
  }

 private:
  std::vector<uint8_t> predict(const Prepared& picture) {
    const auto pixels = static_cast<size_t>(side_ * side_);
    std::vector<double> scores = values(picture, false);
    const size_t classes = scores.size() / pixels;
    if (flip_) {
      softmax(scores, classes);
      std::vector<double> mirrored = values(picture, true);
      softmax(mirrored, classes);
      const auto side = static_cast<size_t>(side_);
      for (size_t j = 0; j < side; ++j)
        for (size_t i = 0; i < side; ++i)
          for (size_t c = 0; c < classes; ++c)
            scores[(j * side + i) * classes + c] += mirrored[(j * side + side - 1 - i) * classes + c];
    }
    std::vector<uint8_t> out(pixels);
    for (size_t at = 0; at < pixels; ++at) {
      const auto z = std::span(scores).subspan(at * classes, classes);
      out[at] = static_cast<uint8_t>(std::ranges::max_element(z) - z.begin());
    }
    return out;
  }

  std::vector<double> values(const Prepared& picture, bool mirrored) {
    const Tensor logits = network_.logits(picture, mirrored).to(DType::f64);
    const auto z = logits.values<double>();
    // Infinities are refused too: what softmax makes of one is no number.
    if (!std::ranges::all_of(z, [](double v) { return std::isfinite(v); })) network_.refuse_output();
    return {z.begin(), z.end()};
  }

  static void softmax(std::span<double> scores, size_t classes) {
    for (size_t at = 0; at < scores.size(); at += classes) {
      const auto z = scores.subspan(at, classes);
      const double top = *std::ranges::max_element(z);
      double sum = 0;
      for (double& v : z) sum += v = std::exp(v - top);
      for (double& v : z) v /= sum;
    }
  }

  NetworkRunner network_;
  bool flip_;
  int64_t side_;
};

void check_size(const io::Image& map, const io::Image& photo, const char* what) {
  if (map.width != photo.width || map.height != photo.height)
    throw Error(ErrorCode::malformed, std::string("the ") + what + " is " + std::to_string(map.width) + "x" +
                                          std::to_string(map.height) + ", the photo is " + std::to_string(photo.width) +
                                          "x" + std::to_string(photo.height));
}

io::Image class_map(const std::string& path, const io::Image& photo, const EvaluateJob& job,
                    const data::MaskTable& table, const char* what) {
  io::Image map = data::read_mask(path, job.mask_rule, job.limits);
  with_file(path, [&] {
    check_size(map, photo, what);
    data::to_target(map, table);
  });
  return map;
}

ClassMaps on_photo(const ClassInput& input, const KeptPixels& kept, io::Image predicted) {
  const int64_t w = input.photo.width, h = input.photo.height;
  ClassMaps out{
      .width = w, .height = h, .predicted = std::move(predicted.pixels), .truth = input.truth.pixels, .region = {}};
  if (!kept.limited()) return out;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) out.region.push_back(kept(x, y) ? 1 : 0);
  return out;
}

ClassMaps compare(const EvaluateJob& job, const Setup& setup, const data::MaskTable& table, const data::PairFiles& pair,
                  ClassModel* model) {
  ClassInput input;
  input.photo = io::read_picture(pair.image, io::Background::drop, job.limits).image;
  input.truth = class_map(pair.mask, input.photo, job, table, "mask");
  if (!job.labels.empty()) input.labels = io::read_labels(labels_path(job, pair.id), job.limits);
  const KeptPixels kept = with_file(job.labels.empty() ? "" : labels_path(job, pair.id), [&] {
    return KeptPixels(input.labels ? &*input.labels : nullptr, kept_labels(job, setup), input.photo.width,
                      input.photo.height);
  });
  return with_file(pair.image, [&] {
    if (model != nullptr) return model->run(input, kept);
    return on_photo(input, kept, class_map(prediction_path(job, pair.id), input.photo, job, table, "prediction"));
  });
}

void count_classes(const ClassMaps& maps, const EvaluateJob& job, const Setup& setup, const std::string& id,
                   ClassesRecord& record) {
  ConfusionMatrix own(record.classes());
  own.add(maps.predicted, maps.truth, maps.region);
  ClassRow row{
      .id = shown_name(id), .width = maps.width, .height = maps.height, .counts = cells_of(own), .attributes = {}};
  for (const std::string& by : job.by) {
    const auto value = setup.attributes.value(id, parse_group(by).field);
    row.attributes.push_back(value ? std::optional(shown_name(*value, 60)) : std::nullopt);
  }
  record.rows.push_back(std::move(row));
}

ClassesRecord new_record(const EvaluateJob& job, int classes, const Setup& setup, const std::string& device) {
  ClassesRecord record;
  record.values.resize(static_cast<size_t>(classes));
  for (const auto& [value, number] : job.mask_rule.classes) {
    std::string& text = record.values[number];
    text += (text.empty() ? "" : ",") + std::to_string(value);
  }
  record.by = job.by;
  record.resamples = job.resamples;
  record.seed = job.seed;
  record.shard = job.shard;
  record.shards = job.shards;
  record.contents = contents_of(job, setup);
  add_source(job, setup, device, record.settings);
  std::string masks;
  for (size_t k = 0; k < record.values.size(); ++k)
    masks += (k == 0 ? "" : "; ") + record.values[k] + " is class " + std::to_string(k);
  record.settings.emplace_back("masks", masks + (job.mask_rule.luma ? "; of the picture's luma" : ""));
  add_pairs(job, setup, record.settings);
  add_sampling(job, record.settings);
  return record;
}

// False where a signal ended it.
bool count_all(const EvaluateJob& job, const Setup& setup, const data::MaskTable& table, const cli::Common& common,
               ClassModel* model, ClassesRecord& record) {
  PartKeeper keeper(job);
  const size_t first = go_on(keeper, common, setup.pairs.size(), read_classes_record, record);
  cli::Progress progress(static_cast<int64_t>(setup.pairs.size()), "pictures", !common.quiet && !common.json);
  for (size_t i = first; i < setup.pairs.size(); ++i) {
    const data::PairFiles& pair = setup.pairs[i];
    if (cli::interrupted() != 0) {
      keeper.save([&] { return classes_record_json(record); });
      return false;
    }
    const auto failed = [&](const Error& error) { record.failures.push_back({shown_name(pair.id), error.line()}); };
    try {
      count_classes(compare(job, setup, table, pair, model), job, setup, pair.id, record);
    } catch (const DeviceLost&) {
      throw;  // no other picture would fare better
    } catch (const Error& error) { failed(error); } catch (const std::bad_alloc&) {
      failed(Error(ErrorCode::limit, "out of memory").file(pair.image));
    }
    keeper.after_picture([&] { return classes_record_json(record); });
    progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(record.failures.size()));
  }
  sort_rows(record);
  return true;
}

}  // namespace

int run_evaluate_classes(const EvaluateJob& job, const cli::Common& common) {
  const bool finished = finished_before(job);
  if (!finished) refuse_overwriting(job);
  const ResultFolder folder(job.out, job.shards > 1);
  const data::MaskTable table(job.mask_rule);
  const Setup setup = set_up(job, common);
  std::optional<ClassModel> model;
  if (setup.model != nullptr) {
    if (setup.model->classes() != table.classes())
      throw Error(ErrorCode::usage, "--mask-classes has " + std::to_string(table.classes()) + " classes, the model " +
                                        std::to_string(setup.model->classes()))
          .hint("classes are counted from 0; furrow model show tells the model's");
    model.emplace(setup.model, job);
  }
  ClassesRecord record = new_record(job, table.classes(), setup, model ? model->device() : "");
  if (finished) {
    if (!is_classes_record(shard_file(job))) refuse_overwriting(job);
    const ClassesRecord found = read_classes_record(shard_file(job));
    if (!same_shard(found, record)) refuse_overwriting(job);
    if (found.contents == record.contents) {
      cli::note(common, shard_file(job) + ": finished before");
      return write_results(job, common, found);  // the same again, with what failed
    }
    forget_shard(job, common);
  }
  if (!count_all(job, setup, table, common, model ? &*model : nullptr, record)) {
    cli::note(common,
              job.shards > 1 ? "interrupted; run the same command again to go on" : "interrupted; nothing was written");
    return cli::interrupted();
  }
  return write_results(job, common, record);
}

int merge_evaluate_classes(const EvaluateJob& job, const cli::Common& common, const std::vector<std::string>& files) {
  if (job.sweep || !job.write_threshold.empty())
    throw Error(ErrorCode::usage, std::string(job.sweep ? "--sweep" : "--write-threshold") +
                                      ": shards of several classes have no threshold")
        .hint("leave it out");
  if (!job.weights.empty())
    throw Error(ErrorCode::usage, "--weights: a merge runs no model, and no threshold is chosen for one here")
        .hint("leave it out");
  EvaluateJob merged = job;
  merged.mask_rule.kind = data::MaskKind::classes;
  refuse_overwriting(merged);
  const ResultFolder folder(job.out);
  std::vector<ClassesRecord> shards;
  for (const std::string& path : files) shards.push_back(read_classes_record(path));
  return write_results(merged, common, merge_records(std::move(shards)));
}

}  // namespace furrow::apps
