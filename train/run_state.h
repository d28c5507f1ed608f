// Everything that changes while a network trains, and how it becomes a checkpoint and back.
#pragma once

#include <cstdint>

#include "nn/network.h"
#include "nn/schedule.h"
#include "nn/train_step.h"
#include "train/average.h"
#include "train/checkpoint.h"
#include "train/watch.h"

namespace furrow::train {

// Where a run stands. All counts from 0: `batch` is the next one of epoch `epoch`. An epoch whose batches are all done
// still owes its validation.
struct Position {
  int64_t epoch = 0, batch = 0;
  int64_t step = 0;  // optimiser steps begun, those left out counted
};

// What the next line of the log will be the mean of.
struct Interval {
  LossValue loss;  // sums over `steps`
  int64_t steps = 0, skipped = 0;
  uint64_t positives = 0, pixels = 0;
  double gradient_norm = 0;  // of the last step that was not left out
  double lr = 0;             // of the last step
};

// Lengths of the logs when the checkpoint was saved.
struct LogSizes {
  uint64_t metrics = 0, events = 0;
};

// References to the live objects. Tensors of a checkpoint: "model." + key as PyTorch's state_dict() has them;
// "average." + key likewise;
// "adam.m.", "adam.v." or "sgd.buffer." + key in memory order (FlatParameters::named); "watch.norms".
struct RunState {
  const Network& network;
  TrainStep& step;
  WeightAverage* average;  // or null
  Schedule& schedule;
  EarlyStopping& stopping;
  Watch& watch;
  Position& position;
  Interval& interval;
  int64_t& best_epoch;  // counted from 1; 0: none yet
};

Snapshot capture(const RunState& state, const LogSizes& logs, const std::string& config);

// The trained weights of a snapshot under their keys; before a TrainStep is made of the network, its load() takes them.
NamedTensors model_tensors(const Snapshot& snapshot);
// What is exported: the average of the weights where the snapshot has one, otherwise the trained weights.
NamedTensors exported_tensors(const Snapshot& snapshot);
// Everything else. ErrorCode::malformed or ErrorCode::unsupported where the checkpoint does not fit the run.
LogSizes restore(const Snapshot& snapshot, const RunState& state);

}  // namespace furrow::train
