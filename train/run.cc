#include "train/run.h"

#include <algorithm>

#include "io/atomic_file.h"
#include "io/png_write.h"
#include "train/overlays.h"
#include "train/skipped_step.h"

namespace furrow::train {
namespace {

constexpr double kMostUnsavedSeconds = 600;  // epochs may last for hours

}  // namespace

Run::Run(const TrainJob& job, RunFolder& folder, CheckpointStore& store, Session& session, const Snapshot* from)
    : job_(job), folder_(folder), store_(store), session_(session), log_(folder, job.hooks, from != nullptr) {
  config_ = to_yaml(job.options);
  if (job.together != nullptr) team_.emplace(*job.together);
  if (from == nullptr) return;
  require_processes(*from);
  earlier_seconds_ = earlier_seconds(folder.file("run.json"));
  log_.cut_to(restore(*from, session_.state()));
  unsaved_ = false;
}

TrainResult Run::run(bool fresh) {
  write_text("config.yaml", config_);
  if (fresh) store_.save(snapshot());  // so that whatever happens, there is something to go on from
  write_run_json();
  if (team_) team_->share(session_);
  const TrainOptions& o = job_.options;
  data::Loader loader(*session_.data.set, session_.data.train, session_.loader_options(), augmentation(o, false),
                      {static_cast<uint32_t>(session_.position.epoch), session_.position.batch});
  while (session_.position.epoch < o.epochs && !session_.stopping.should_stop() && !result_.interrupted) {
    if (train_epoch(loader)) end_epoch();
  }
  if (team_) team_->tell({.order = Team::Order::end, .interrupted = result_.interrupted});
  result_.stopped_early = session_.stopping.should_stop() && session_.position.epoch < o.epochs;
  if (unsaved_) save_or_retry();
  finish();
  return result_;
}

bool Run::train_epoch(data::Loader& loader) {
  const auto most = static_cast<size_t>(job_.options.accumulate);
  for (bool more = true; more;) {
    if (interrupted()) return false;
    std::vector<MicroBatch> parts;
    uint64_t positives = 0, pixels = 0;
    while (more && parts.size() < most) {
      const std::optional<data::Batch> batch = loader.next();
      more = batch.has_value();
      waited_ = loader.seconds_waited();
      if (more) parts.push_back(session_.micro_batch(*batch, positives, pixels));
    }
    if (!parts.empty()) one_step(parts, positives, pixels);
  }
  return !interrupted();
}

void Run::one_step(const std::vector<MicroBatch>& parts, uint64_t positives, uint64_t pixels) {
  Position& at = session_.position;
  Interval& sums = session_.interval;
  const double lr = session_.schedule->lr();
  unsaved_ = true;
  const Clock::time_point begun = Clock::now();
  if (team_) team_->tell({.order = Team::Order::step, .parts = static_cast<int64_t>(parts.size()), .at = at, .lr = lr});
  const StepResult step = session_.step->run(parts, lr);
  if (team_) {
    const Team::Said all = team_->after_step({asked_to_stop(), positives, pixels});
    positives = all.positives, pixels = all.pixels;
    result_.interrupted |= all.interrupted;
  }
  step_seconds_ += seconds_since(begun);
  session_.schedule->after_step();
  if (session_.average && !step.skipped) {
    session_.step->parameters().publish();
    session_.average->update(session_.step->state().step);
  }
  ++at.step;
  at.batch += static_cast<int64_t>(parts.size());
  ++steps_;
  if (step.loss.invalid > 0)
    throw Error(ErrorCode::malformed, std::to_string(step.loss.invalid) + " targets are no class of the network")
        .hint("model.classes is less than masks.classes has");
  ++sums.steps;
  sums.lr = lr;
  sums.positives += positives;
  sums.pixels += pixels;
  if (step.skipped) {
    ++sums.skipped;
  } else {
    sums.loss.total += step.loss.total;
    sums.loss.dice += step.loss.dice;
    sums.loss.focal += step.loss.focal;
    sums.gradient_norm = step.gradient_norm;
  }
  log_.warning(session_.watch.targets(at.step, positives, pixels));
  log_.warning(session_.watch.gradient(at.step, step.gradient_norm));
  not_finite(step);
  if (sums.steps >= job_.options.log_every) log_interval();
  if (seconds_since(saved_) > kMostUnsavedSeconds) save();  // what is saved does not depend on when
  if (job_.hooks.progress)
    job_.hooks.progress({at.step, job_.options.epochs * session_.steps_per_epoch(), at.epoch + 1, job_.options.epochs,
                         step.loss.total});
}

void Run::not_finite(const StepResult& step) {
  const bool scaled = job_.options.precision == Precision::mixed;
  const std::string where = skipped_step_text(step, scaled ? session_.step->state().loss_scale : 0);
  log_.warning(session_.watch.not_finite(session_.position.step, where));
  skipped_in_a_row_ = step.skipped ? skipped_in_a_row_ + 1 : 0;
  if (skipped_in_a_row_ < kMostSkipped) return;
  throw Error(ErrorCode::malformed,
              std::to_string(kMostSkipped) + " steps in a row gave no finite gradient; the last one: " + where)
      .hint("a lower learning rate or loss_scale, gradient clipping, or float32; the checkpoints are from before");
}

void Run::log_interval() {
  log_.interval(session_.position, session_.interval, session_.step->state().loss_scale,
                step_seconds_ > 0 ? waited_ / step_seconds_ : 0);
  session_.interval = {};
}

void Run::end_epoch() {
  const TrainOptions& o = job_.options;
  Position& at = session_.position;
  const int64_t epoch = at.epoch + 1;
  const bool last = epoch == o.epochs;
  bool best = false;
  unsaved_ = true;
  if (session_.interval.steps > 0) log_interval();
  if (!session_.data.val.empty() && (epoch % o.validate_every == 0 || last)) {
    const std::optional<Scores> scores = measure();
    if (!scores) {
      result_.interrupted = true;
      return;
    }
    result_.last = *scores;
    best = session_.stopping.add(scores->of(o.watch));
    if (best) session_.best_epoch = epoch;
    log_.validation(at, *scores, session_.schedule->lr(), best);
    log_.warning(session_.watch.predictions(at.step, scores->predicted, scores->positives, scores->pixels));
    session_.schedule->after_epoch(scores->of(o.scheduler_watch));
  }
  if (team_) {
    team_->tell({.order = Team::Order::check, .at = at});
    team_->check(session_);
  }
  at.epoch = epoch;
  at.batch = 0;
  if (best || epoch % o.checkpoint_every == 0 || last) save(best);
  try {
    write_run_json();
  } catch (const Error& error) { log_.note(error.line()); }  // it is written again at the end
}

std::optional<Scores> Run::measure() {
  const TrainOptions& o = job_.options;
  const auto epoch = static_cast<uint32_t>(session_.position.epoch);
  session_.step->release_memory();
  data::Loader loader(*session_.data.set, session_.data.val, loader_options(o, true, session_.loader_threads),
                      augmentation(o, true), {epoch, 0});
  session_.step->parameters().publish();
  int64_t drawn = 0;
  const SeeBatch see = [&](const data::Batch& batch, const std::vector<uint8_t>& predicted,
                           const std::vector<uint8_t>& target) {
    for (int64_t i = 0; i < batch.image.shape().n && drawn < o.overlays; ++i, ++drawn)
      draw(validation_overlay(batch, i, predicted, target), drawn,
           session_.data.set->id(batch.items[static_cast<size_t>(i)]));
  };
  return validate(session_.judged(), *session_.backend, session_.loss, loader, reading_of(o), o.threshold, see,
                  job_.hooks.interrupted);
}

void Run::draw(const io::Image& image, int64_t number, const std::string& id) {
  const std::vector<std::byte> png = io::encode_png(image);
  try {
    io::write_file_atomically(folder_.overlays() + "/" + overlay_name(session_.position.epoch + 1, number, id), png);
  } catch (const Error& error) { log_.note(error.line()); }
  log_.picture(session_.position, "overlay/" + std::to_string(number), image, png);
}

}  // namespace furrow::train
