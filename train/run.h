// One call of train(): its loop over epochs, and what it leaves in the run's folder. Private to train/.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/session.h"
#include "train/team.h"

namespace furrow::train {

// The parts are the caller's and outlive it.
class Run {
 public:
  // `from`: the checkpoint to go on from, or null. ErrorCode::usage where other processes wrote it than there are now.
  Run(const TrainJob& job, RunFolder& folder, CheckpointStore& store, Session& session, const Snapshot* from);
  // To the last epoch, or until it is interrupted. `fresh`: a run that has no checkpoint yet. Errors: train().
  TrainResult run(bool fresh);

 private:
  using Clock = std::chrono::steady_clock;

  // The rest of the epoch's batches. False where it was interrupted.
  bool train_epoch(data::Loader& loader);
  void one_step(const std::vector<MicroBatch>& parts, uint64_t positives, uint64_t pixels);
  void not_finite(const StepResult& step);
  void log_interval();
  // Validation, what follows from it, and the checkpoint. Where it is interrupted the epoch still owes it.
  void end_epoch();
  std::optional<Scores> measure();
  // A picture that cannot be written costs a note, as a line of a log does.
  void draw(const io::Image& image, int64_t number, const std::string& id);

  bool asked_to_stop() const { return job_.hooks.interrupted && job_.hooks.interrupted(); }
  bool interrupted() {
    if (asked_to_stop()) result_.interrupted = true;
    return result_.interrupted;
  }
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  // Files (run_files.cc).
  Snapshot snapshot();
  // The position counts batches of all processes together, and so does the schedule.
  void require_processes(const Snapshot& from) const;
  // One failure is passed over: the checkpoint before is still there, and the disk may have room again.
  void save(bool best = false);
  void save_or_retry();
  // Export, report, run.json: the run itself is safe by now.
  void finish();
  void fill_result();
  void write_text(const std::string& name, const std::string& text);
  void write_run_json();

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

}  // namespace furrow::train
