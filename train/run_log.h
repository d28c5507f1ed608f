// What a run writes while it goes: lines, events, warnings. Private to train/.
#pragma once

#include <optional>
#include <string>

#include "train/event_file.h"
#include "train/log_file.h"
#include "train/run_folder.h"
#include "train/run_state.h"
#include "train/scores.h"
#include "train/trainer.h"
#include "train/watch.h"

namespace furrow::train {

class RunLog {
 public:
  // Opens the logs of the folder; a fresh run's are emptied.
  RunLog(const RunFolder& folder, const TrainHooks& hooks, bool resume);

  // Back to what they held at a checkpoint; a note where they hold less than that.
  void cut_to(const LogSizes& sizes);
  // After a sync, so that a checkpoint never knows of lines that a power cut took.
  LogSizes sizes();

  void note(const std::string& text) const;
  // `waited`: time that this session has waited for data, as a share of the time of its steps; for people alone, since
  // equal runs leave equal files.
  void interval(const Position& position, const Interval& interval, float loss_scale, double waited);
  void validation(const Position& position, const Scores& scores, double lr, bool best);
  void warning(const std::optional<Warning>& warning);
  void picture(const Position& position, const std::string& tag, const io::Image& image,
               std::span<const std::byte> png);

 private:
  void line(const LogFields& fields);
  void say(const std::string& text) const;

  const TrainHooks& hooks_;
  LogFile metrics_;
  EventFile events_;
  bool lost_ = false;  // said so
};

}  // namespace furrow::train
