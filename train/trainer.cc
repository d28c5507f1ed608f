#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "io/atomic_file.h"
#include "io/png_write.h"
#include "parallel/launch.h"
#include "train/export.h"
#include "train/overlays.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/session.h"
#include "train/skipped_step.h"
#include "train/team.h"

namespace furrow::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kProcesses = "processes";  // of a checkpoint; absent: one
constexpr double kMostUnsavedSeconds = 600;      // epochs may last for hours

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string metric_name(Metric metric) {
  switch (metric) {
    case Metric::loss: return "loss";
    case Metric::iou: return "iou";
    case Metric::f1: return "f1";
    case Metric::dice: break;
  }
  return "dice";
}

// One call of train(): a session with its folder.
class Run {
 public:
  Run(const TrainJob& job, RunFolder& folder, CheckpointStore& store, Session& session, const Snapshot* from)
      : job_(job), folder_(folder), store_(store), session_(session), log_(folder, job.hooks, from != nullptr) {
    config_ = to_yaml(job.options);
    if (job.together != nullptr) team_.emplace(*job.together);
    if (from == nullptr) return;
    require_processes(*from);
    earlier_seconds_ = earlier_seconds(folder.file("run.json"));
    log_.cut_to(restore(*from, session_.state()));
    unsaved_ = false;
  }

  TrainResult run(bool fresh) {
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

 private:
  // The rest of the epoch's batches. False where it was interrupted.
  bool train_epoch(data::Loader& loader) {
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

  void one_step(const std::vector<MicroBatch>& parts, uint64_t positives, uint64_t pixels) {
    Position& at = session_.position;
    Interval& sums = session_.interval;
    const double lr = session_.schedule->lr();
    unsaved_ = true;
    const Clock::time_point begun = Clock::now();
    if (team_)
      team_->tell({.order = Team::Order::step, .parts = static_cast<int64_t>(parts.size()), .at = at, .lr = lr});
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

  void not_finite(const StepResult& step) {
    const bool scaled = job_.options.precision == Precision::mixed;
    const std::string where = skipped_step_text(step, scaled ? session_.step->state().loss_scale : 0);
    log_.warning(session_.watch.not_finite(session_.position.step, where));
    skipped_in_a_row_ = step.skipped ? skipped_in_a_row_ + 1 : 0;
    if (skipped_in_a_row_ < kMostSkipped) return;
    throw Error(ErrorCode::malformed,
                std::to_string(kMostSkipped) + " steps in a row gave no finite gradient; the last one: " + where)
        .hint("a lower learning rate or loss_scale, gradient clipping, or float32; the checkpoints are from before");
  }

  void log_interval() {
    log_.interval(session_.position, session_.interval, session_.step->state().loss_scale,
                  step_seconds_ > 0 ? waited_ / step_seconds_ : 0);
    session_.interval = {};
  }

  // Validation, what follows from it, and the checkpoint. Where it is interrupted the epoch still owes it.
  void end_epoch() {
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

  std::optional<Scores> measure() {
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

  // A picture that cannot be written costs a note, as a line of a log does.
  void draw(const io::Image& image, int64_t number, const std::string& id) {
    const std::vector<std::byte> png = io::encode_png(image);
    try {
      io::write_file_atomically(folder_.overlays() + "/" + overlay_name(session_.position.epoch + 1, number, id), png);
    } catch (const Error& error) { log_.note(error.line()); }
    log_.picture(session_.position, "overlay/" + std::to_string(number), image, png);
  }

  Snapshot snapshot() {
    Snapshot out = capture(session_.state(), log_.sizes(), config_);
    if (session_.processes() > 1) out.values[kProcesses] = std::to_string(session_.processes());
    return out;
  }

  // The position counts batches of all processes together, and so does the schedule.
  void require_processes(const Snapshot& from) const {
    const int64_t were = from.values.contains(kProcesses) ? integer_value(from, kProcesses) : 1;
    if (were != session_.processes())
      throw Error(ErrorCode::usage, "this run was trained by " + std::to_string(were) +
                                        " processes, and now there are " + std::to_string(session_.processes()))
          .hint("go on with as many: mpirun -n " + std::to_string(were) + " furrow train --resume RUN");
  }

  // One failure is passed over: the checkpoint before is still there, and the disk may have room again.
  void save(bool best = false) {
    session_.step->release_memory();
    try {
      const Snapshot now = snapshot();
      store_.save(now);
      save_failed_ = unsaved_ = false;
      saved_ = Clock::now();
      if (best) store_.mark_best(now);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::io || save_failed_) throw;
      save_failed_ = true;
      saved_ = Clock::now();
      log_.note("a checkpoint could not be saved, and training goes on: " + error.line());
    }
  }

  void save_or_retry() {
    save_failed_ = false;
    save();
    if (save_failed_) store_.save(snapshot());
  }

  bool interrupted() {
    if (asked_to_stop()) result_.interrupted = true;
    return result_.interrupted;
  }
  bool asked_to_stop() const { return job_.hooks.interrupted && job_.hooks.interrupted(); }

  // Export, report, run.json: the run itself is safe by now.
  void finish() {
    const TrainOptions& o = job_.options;
    fill_result();
    const bool has_best = session_.best_epoch > 0;
    session_.step->release_memory();
    std::optional<Snapshot> best;
    if (has_best) {
      try {
        best = read_snapshot(store_.best_path(), job_.limits);
      } catch (const Error& error) { log_.note("the last weights are exported, not the best: " + error.line()); }
    }
    const std::string name = std::filesystem::path(folder_.path()).filename().string();
    export_model(folder_.path(), best ? *best : snapshot(), model_info(o, name.empty() ? "furrow" : name),
                 metric_name(o.watch));
    write_run_json();
    write_report(folder_.path(), "Training run " + printable(name));
  }

  void fill_result() {
    result_.epochs = session_.position.epoch;
    result_.steps = session_.position.step;
    result_.best_epoch = session_.best_epoch;
    result_.best_score = session_.stopping.best();
  }

  void write_text(const std::string& name, const std::string& text) {
    io::write_file_atomically(folder_.file(name), std::as_bytes(std::span(text)));
  }

  void write_run_json() {
    fill_result();
    const SessionTimes times{earlier_seconds_, seconds_since(start_), waited_, step_seconds_, steps_};
    write_text("run.json", run_json(session_, job_, times, result_));
  }

  const TrainJob& job_;
  RunFolder& folder_;
  CheckpointStore& store_;
  Session& session_;
  RunLog log_;
  std::optional<Team> team_;
  TrainResult result_;
  std::string config_;
  Clock::time_point start_ = Clock::now(), saved_ = Clock::now();
  double earlier_seconds_ = 0, waited_ = 0, step_seconds_ = 0;
  int64_t steps_ = 0, skipped_in_a_row_ = 0;
  bool save_failed_ = false, unsaved_ = true;
};

Preflight preflight_of(Session& session, const TrainJob& job, const Processes& processes) {
  Preflight out = preflight_counts(job.options, session.data, *session.network, *session.backend, processes,
                                   session.loader_threads, job.run);
  preflight_overfit(job.options, session.data, *session.network, *session.backend, session.loss, out);
  return out;
}

void note(const TrainJob& job, const std::string& text) {
  if (job.hooks.note) job.hooks.note(text);
}

void note(const TrainJob& job, const Preflight& check) {
  std::istringstream lines(check.text());
  for (std::string line; std::getline(lines, line);) note(job, line);
  for (const std::string& warning : check.warnings) note(job, "warning: " + warning);
}

void note(const TrainJob& job, const Session& session) {
  for (const std::string& text : session.notes) note(job, text);
  if (!session.own_note.empty()) note(job, session.own_note);
}

TrainResult start(const TrainJob& job) {
  refuse_existing_run(job.run);  // before the work of looking at the data; RunFolder asks again
  Session session(job, nullptr);
  note(job, session);
  const Processes processes{.all = session.processes(), .here = session.here};
  if (job.options.preflight) {
    const Preflight check = preflight_of(session, job, processes);
    note(job, check);
    check.require_ready();
    session.memory_foretold = check.memory.total();
  }
  if (job.together != nullptr) job.together->barrier();  // others must not take their memory while it is measured here
  session.make_step();
  RunFolder folder(job.run, RunFolder::Start::fresh);
  CheckpointStore store(folder.checkpoints());
  return Run(job, folder, store, session, nullptr).run(true);
}

TrainResult resume(const TrainJob& job) {
  RunFolder folder(job.run, RunFolder::Start::resume);
  CheckpointStore store(folder.checkpoints());
  CheckpointStore::Found found = store.newest(job.limits);
  for (const std::string& warning : found.warnings) note(job, warning);
  Session session(job, &found.snapshot);
  note(job, session);
  session.remember_memory(folder.file("run.json"));
  if (job.together != nullptr) job.together->barrier();
  session.make_step();
  Run run = with_file(found.path, [&] { return Run(job, folder, store, session, &found.snapshot); });
  found.snapshot = {};  // and with it the mapped file
  return run.run(false);
}

}  // namespace

TrainResult train(const TrainJob& job) {
  if (job.together != nullptr && job.together->rank() != 0) return follow(job);
  return job.resume ? resume(job) : start(job);
}

Preflight preflight(const TrainJob& job) {
  Session session(job, nullptr);
  Processes processes;  // what a launcher says, since nobody else is there to ask
  if (const auto launch = parallel::launched(); launch && job.launched)
    processes = {.all = launch->size, .here = launch->local_size};
  return preflight_of(session, job, processes);
}

std::string saved_config(const std::string& run, const io::Limits& limits) {
  const Snapshot snapshot = CheckpointStore(run + "/checkpoints").newest(limits).snapshot;
  const auto config = snapshot.values.find("config");
  if (config == snapshot.values.end())
    throw Error(ErrorCode::malformed, "the checkpoint holds no configuration").file(run);
  return config->second;
}

}  // namespace furrow::train
