// What lives as long as a call of train(). Private to train/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "train/average.h"
#include "train/checkpoint.h"
#include "train/run_state.h"
#include "train/setup.h"
#include "train/trainer.h"

namespace furrow::train {

// The parts in the order in which they are made, later ones from earlier ones.
struct Session {
  // `from`: the checkpoint to go on from, or null. Processes that train together must agree (Team::agree).
  Session(const TrainJob& job, const Snapshot* from);
  // `step` and `average`, which are null before: after the pre-flight, which has a step of its own, so that the two are
  // never there together.
  void make_step();

  const TrainOptions& options;
  const io::Limits& limits;
  Peers* peers;                    // null: this process alone
  std::vector<std::string> notes;  // what making them had to say; rank 0 says it
  std::string own_note;            // what each process has to say of itself, or ""
  ThreadPool pool;
  std::string device;  // in words
  std::unique_ptr<Backend> backend;
  int64_t here = 1;             // of the processes: those on this one's machine
  std::unique_ptr<Peers> nccl;  // what `peers` then is
  Data data;
  int loader_threads;
  LossFunction loss;
  std::unique_ptr<Network> network;
  std::unique_ptr<TrainStep> step;
  std::unique_ptr<WeightAverage> average;  // null where options.average_decay is 0
  std::unique_ptr<Schedule> schedule;
  EarlyStopping stopping;
  Watch watch;
  Position position;
  Interval interval;
  int64_t best_epoch = 0;
  // Bytes: by the pre-flight, 0 where there was none; and the most of the run's earlier sessions.
  uint64_t memory_foretold = 0, memory_before = 0;
  // Both from the run.json of those sessions; they stay as they are where it does not say.
  void remember_memory(const std::string& run_json);

  // Of training: this process's part of every batch.
  data::LoaderOptions loader_options() const;
  // For a step; adds the pixels of its targets, and those that are wrinkles, unless it counts for nothing.
  MicroBatch micro_batch(const data::Batch& batch, uint64_t& positives, uint64_t& pixels) const;
  int64_t batches() const;  // of an epoch
  int64_t processes() const { return peers != nullptr ? peers->size() : 1; }
  int64_t steps_per_epoch() const;  // optimiser steps
  // What is validated: the average where there is one. After a step on a device, publish() comes first.
  const Network& judged() const { return average ? average->network() : *network; }
  RunState state() {
    return {*network, *step, average.get(), *schedule, stopping, watch, position, interval, best_epoch};
  }
};

// Files of a run that are not checkpoints or logs.
struct SessionTimes {
  double earlier_seconds = 0, seconds = 0;
  double waited_seconds = 0, step_seconds = 0;  // of `seconds`: training waited for the loader, and computed steps
  int64_t steps = 0;                            // of this session
};
std::string run_json(const Session& session, const TrainJob& job, const SessionTimes& times, const TrainResult& result);
// "timing.seconds" of an earlier session's run.json; 0 where there is none.
double earlier_seconds(const std::string& path);

}  // namespace furrow::train
