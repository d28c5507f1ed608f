// Before the first step: is there enough of everything, and does the network learn at all?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/memory_estimate.h"
#include "train/setup.h"

namespace furrow::train {

struct Preflight {
  int64_t pairs = 0, train = 0, val = 0, test = 0, empty_masks = 0;
  std::optional<double> prevalence;  // share of target pixels that are wrinkle; none where no mask was looked at
  MemoryEstimate memory;
  uint64_t memory_held = 0;  // bytes of `memory` that this process has already, `process` among them
  int64_t neighbours = 0;    // processes of the run that take memory of the same machine beside this one
  uint64_t memory_free = 0, disk_needed = 0, disk_free = 0;  // bytes
  // Loss of one picture before, and the least of kOverfitSteps steps on a copy of the network.
  double loss_before = 0, loss_after = 0;
  std::string overfit_id;  // of that picture; "" where it was not tried
  std::vector<std::string> warnings;

  // What this process and its neighbours will yet take; each of those has taken as little as this one.
  uint64_t memory_needed() const;
  std::string text() const;  // some lines for people
  // Throws the first thing that would make the run fail: ErrorCode::limit for memory, ErrorCode::io for disk space,
  // ErrorCode::configuration where the loss of one picture does not fall.
  void require_ready() const;
};

inline constexpr int kOverfitSteps = 10;

// How a run is shared out.
struct Processes {
  int64_t all = 1, here = 1;  // `here`: on this machine, this one among them
};

// Counts, and sizes from shapes. `run`: where the run's folder will be.
Preflight preflight_counts(const TrainOptions& options, const Data& data, const Network& network, Backend& backend,
                           const Processes& processes, int loader_threads, const std::string& run);
// Adds the overfit check: the first training picture that has a wrinkle, by the run's own optimiser and learning rate.
// And what the program takes, which can be seen after it: neither step nor average of the run may be there yet.
void preflight_overfit(const TrainOptions& options, const Data& data, const Network& network, Backend& backend,
                       const LossFunction& loss, Preflight& into);

}  // namespace furrow::train
