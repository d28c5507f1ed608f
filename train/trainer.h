// A training run from options to result: the loop, its validations, its checkpoints and its logs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "io/limits.h"
#include "train/options.h"
#include "train/preflight.h"
#include "train/scores.h"

namespace furrow::parallel {
class Communicator;
}

namespace furrow::train {

// After every optimiser step.
struct TrainProgress {
  int64_t step = 0, steps = 0;  // done, of all epochs
  int64_t epoch = 0, epochs = 0;
  double loss = 0;
};

// How a run speaks and is spoken to. Any may be empty.
struct TrainHooks {
  std::function<void(const std::string&)> note;  // one line that a person should see once: warnings among them
  std::function<void(const std::string&)> log;   // one terse line per logging interval and per validation
  std::function<void(const TrainProgress&)> progress;
  std::function<bool()> interrupted;  // asked after every step; true: save and return
};

struct TrainJob {
  TrainOptions options;
  std::string run;      // the run's folder
  bool resume = false;  // go on from its newest checkpoint; the data, network and optimiser must be the same
  std::string version;  // of the program, for run.json
  io::Limits limits;
  TrainHooks hooks;
  // The processes that train together, each by the same call with the same job; null: this one alone. Rank 0 speaks,
  // validates and writes (of the others each notes what is of it alone); batches of the configuration are each one's.
  parallel::Communicator* together = nullptr;
  bool nccl = false;  // gradients go from GPU to GPU
  // preflight(): the run will be one of all processes that a launcher has started with this one.
  bool launched = false;
};

struct TrainResult {
  int64_t epochs = 0, steps = 0;  // done, those of earlier sessions counted
  int64_t best_epoch = 0;         // 0: none was validated
  double best_score = 0;          // of options.watch
  Scores last;                    // the last validation of this session
  bool interrupted = false, stopped_early = false;
};

// Same options and data, same weights, bit for bit: for any number of threads, and however often the run was
// interrupted and resumed. What it leaves behind: train/run_folder.h.
//
// Errors: those of every part, before the first step where they can be known then. A step whose gradient is not finite
// is left out with a warning; kMostSkipped of them in a row end the run: ErrorCode::malformed. A log that cannot be
// written costs a warning. A checkpoint that cannot be written costs one too, and the second in a row the run:
// ErrorCode::io; the last one is tried twice.
TrainResult train(const TrainJob& job);
inline constexpr int64_t kMostSkipped = 20;

// What train() would find before its first step; nothing is written.
Preflight preflight(const TrainJob& job);

// Writes training pictures as the network will see them, a sheet each: as loaded, then as augmentation makes them in the
// first three epochs, their targets outlined (data/preview.h); what was changed goes into changes.txt. They are the first
// kPreviewed of the first epoch. Returns how many; ErrorCode::io.
int64_t write_preview(const TrainJob& job, const std::string& folder);
inline constexpr int64_t kPreviewed = 24;

// The configuration that the newest checkpoint of a run folder was saved with, as text (to_yaml() of its options).
std::string saved_config(const std::string& run, const io::Limits& limits = {});

}  // namespace furrow::train
