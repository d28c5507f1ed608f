// What a run writes: checkpoints, the exported model, run.json, the report.
#include <filesystem>

#include "io/atomic_file.h"
#include "train/export.h"
#include "train/report.h"
#include "train/run.h"

namespace furrow::train {
namespace {

constexpr const char* kProcesses = "processes";  // of a checkpoint; absent: one

std::string metric_name(Metric metric) {
  switch (metric) {
    case Metric::loss: return "loss";
    case Metric::iou: return "iou";
    case Metric::f1: return "f1";
    case Metric::dice: break;
  }
  return "dice";
}

}  // namespace

Snapshot Run::snapshot() {
  Snapshot out = capture(session_.state(), log_.sizes(), config_);
  if (session_.processes() > 1) out.values[kProcesses] = std::to_string(session_.processes());
  return out;
}

void Run::require_processes(const Snapshot& from) const {
  const int64_t were = from.values.contains(kProcesses) ? integer_value(from, kProcesses) : 1;
  if (were != session_.processes())
    throw Error(ErrorCode::usage, "this run was trained by " + std::to_string(were) + " processes, and now there are " +
                                      std::to_string(session_.processes()))
        .hint("go on with as many: mpirun -n " + std::to_string(were) + " furrow train --resume RUN");
}

void Run::save(bool best) {
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

void Run::save_or_retry() {
  save_failed_ = false;
  save();
  if (save_failed_) store_.save(snapshot());
}

void Run::finish() {
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

void Run::fill_result() {
  result_.epochs = session_.position.epoch;
  result_.steps = session_.position.step;
  result_.best_epoch = session_.best_epoch;
  result_.best_score = session_.stopping.best();
}

void Run::write_text(const std::string& name, const std::string& text) {
  io::write_file_atomically(folder_.file(name), std::as_bytes(std::span(text)));
}

void Run::write_run_json() {
  fill_result();
  const SessionTimes times{earlier_seconds_, seconds_since(start_), waited_, step_seconds_, steps_};
  write_text("run.json", run_json(session_, job_, times, result_));
}

}  // namespace furrow::train
