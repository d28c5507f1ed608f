#include "apps/evaluate/job.h"

#include <algorithm>
#include <future>
#include <memory>
#include <new>

#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/evaluate/classes.h"
#include "apps/evaluate/contents.h"
#include "apps/evaluate/groups.h"
#include "apps/evaluate/merge.h"
#include "apps/evaluate/overlay.h"
#include "apps/evaluate/predict.h"
#include "apps/evaluate/record.h"
#include "apps/evaluate/results.h"
#include "apps/evaluate/setup.h"
#include "apps/evaluate/shard.h"
#include "apps/evaluate/text.h"
#include "io/picture.h"
#include "kernels/error.h"
#include "kernels/threads.h"

namespace furrow::apps {
namespace {

constexpr int64_t kOverlaySide = 384;

// A pair on its way; an Error in place of pictures travels on to be listed.
struct Decoded {
  EvaluateInput input;
  std::optional<Error> failure;
};

Decoded decode(const EvaluateJob& job, const data::MaskTable& table, const data::PairFiles& pair) {
  Decoded out;
  out.input.id = pair.id;
  try {
    EvaluateInput& input = out.input;
    input.photo = io::read_picture(pair.image, io::Background::drop, job.limits).image;
    input.target = data::read_mask(pair.mask, job.mask_rule, job.limits);
    with_file(pair.mask, [&] {
      if (input.target.width != input.photo.width || input.target.height != input.photo.height)
        throw Error(ErrorCode::malformed, "the mask is " + std::to_string(input.target.width) + "x" +
                                              std::to_string(input.target.height) + ", the photo is " +
                                              std::to_string(input.photo.width) + "x" +
                                              std::to_string(input.photo.height));
      data::to_target(input.target, table);
      return 0;
    });
    if (!job.labels.empty()) input.labels = io::read_labels(labels_path(job, pair.id), job.limits);
    if (!job.predictions.empty())
      input.prediction = read_scores(prediction_path(job, pair.id), input.photo.width, input.photo.height, job.limits);
  } catch (const Error& error) { out.failure = error; } catch (const std::bad_alloc&) {
    out.failure = Error(ErrorCode::limit, "out of memory").file(pair.image);
  }
  return out;
}

// Counts one picture into the record.
class Counter {
 public:
  Counter(const EvaluateJob& job, const Setup& setup, Record& record)
      : setup_(setup), record_(record), pool_(job.compute.threads), cut_(setup.predictor->cut(record.threshold)) {}

  void add(const EvaluateInput& input, const std::string& path) {
    const Compared compared = with_file(path, [&] { return setup_.predictor->run(input); });
    PictureRow row;
    row.id = shown_name(input.id);
    row.width = compared.width;
    row.height = compared.height;
    std::vector<uint8_t> predicted(compared.scores.size());
    std::ranges::transform(compared.scores, predicted.begin(),
                           [&](float p) { return static_cast<double>(p) > cut_ ? 255 : 0; });
    row.counts = count(compared.scores, cut_, compared.target, compared.region);
    row.near.resize(record_.radii.size());
    // The last task is the curves of this picture.
    parallel_for(&pool_, static_cast<int64_t>(record_.radii.size()) + 1, [&](int64_t task, int) {
      const auto k = static_cast<size_t>(task);
      if (k < record_.radii.size())
        row.near[k] =
            count_near(predicted, compared.target, compared.region, compared.width, compared.height, record_.radii[k]);
      else
        own_.clear(), own_.add(compared.scores, compared.target, compared.region);
    });
    if (const auto area = auroc(own_)) row.auroc = area->value;
    if (const auto area = average_precision(own_)) row.ap = area->value;
    for (const std::string& by : record_.by) {
      auto value = setup_.attributes.value(input.id, parse_group(by).field);
      row.attributes.push_back(value ? std::optional(shown_name(*value, 60)) : std::nullopt);
    }
    // Nothing fails from here on: a picture is counted whole or not at all.
    record_.histogram.add(own_);
    record_.sweep.add(compared.scores, compared.target, compared.region);
    if (const double iou = row.iou(); row.has_truth() && record_.overlays.wants(row.id, iou))
      record_.overlays.add({row.id, iou, overlay_base64(compared, predicted, kOverlaySide)});
    record_.rows.push_back(std::move(row));
  }

 private:
  const Setup& setup_;
  Record& record_;
  ThreadPool pool_;
  double cut_;
  ScoreHistogram own_;
};

// False where a signal ended it.
bool count_all(const EvaluateJob& job, const Setup& setup, const cli::Common& common, Record& record) {
  PartKeeper keeper(job);
  const size_t first = go_on(keeper, common, setup.pairs.size(), read_record, record);
  const data::MaskTable table(job.mask_rule);
  cli::Progress progress(static_cast<int64_t>(setup.pairs.size()), "pictures", !common.quiet && !common.json);
  Counter counter(job, setup, record);
  const auto start = [&](size_t i) {
    return std::async(std::launch::async, [&, i] { return decode(job, table, setup.pairs[i]); });
  };
  std::future<Decoded> next;
  if (first < setup.pairs.size()) next = start(first);
  for (size_t i = first; i < setup.pairs.size(); ++i) {
    if (cli::interrupted() != 0) {
      keeper.save([&] { return record_json(record); });
      return false;
    }
    Decoded decoded = next.get();
    if (i + 1 < setup.pairs.size()) next = start(i + 1);
    if (!decoded.failure) {
      try {
        counter.add(decoded.input, setup.pairs[i].image);
      } catch (const DeviceLost&) {
        throw;  // no other picture would fare better
      } catch (const Error& error) { decoded.failure = error; } catch (const std::bad_alloc&) {
        decoded.failure = Error(ErrorCode::limit, "out of memory").file(setup.pairs[i].image);
      }
    }
    if (decoded.failure) record.failures.push_back({shown_name(decoded.input.id), decoded.failure->line()});
    keeper.after_picture([&] { return record_json(record); });
    progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(record.failures.size()));
  }
  sort_rows(record);
  return true;
}

int merge(const EvaluateJob& job, const cli::Common& common) {
  const std::vector<std::string> files = files_to_merge(job.merge);
  if (is_classes_record(files.front())) return merge_evaluate_classes(job, common, files);
  refuse_overwriting(job);
  const ResultFolder folder(job.out);
  std::vector<Record> shards;
  for (const std::string& path : files) shards.push_back(read_record(path));
  return write_results(job, common, merge_records(std::move(shards)), nullptr);
}

}  // namespace

int run_evaluate(const EvaluateJob& job, const cli::Common& common) {
  if (!job.merge.empty()) return merge(job, common);
  if (job.mask_rule.kind == data::MaskKind::classes) return run_evaluate_classes(job, common);
  // A shard that is there is finished, if it is the one that is asked for.
  const bool finished = finished_before(job);
  if (!finished) refuse_overwriting(job);
  const ResultFolder folder(job.out, job.shards > 1);
  const Setup setup = set_up(job, common);
  Record record = new_record(job, setup);
  if (finished) {
    if (is_classes_record(shard_file(job))) refuse_overwriting(job);
    const Record found = read_record(shard_file(job));
    if (!same_shard(found, record)) refuse_overwriting(job);
    if (found.contents == record.contents) {
      cli::note(common, shard_file(job) + ": finished before");
      return write_results(job, common, found, nullptr);  // the same again, with what failed
    }
    forget_shard(job, common);
  }
  if (!count_all(job, setup, common, record)) {
    cli::note(common,
              job.shards > 1 ? "interrupted; run the same command again to go on" : "interrupted; nothing was written");
    return cli::interrupted();
  }
  return write_results(job, common, record, setup.model.get());
}

}  // namespace furrow::apps
