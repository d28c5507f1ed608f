// How much memory a run will take, computed from shapes before anything is allocated.
#pragma once

#include <cstdint>
#include <optional>

#include "nn/network.h"

namespace furrow::train {

struct MemoryQuestion {
  Shape input;  // of one micro-batch: {B,H,W,C}
  DType type = DType::f32;
  int moments = 2;                             // buffers of the optimiser
  bool shared = false;                         // one of several processes (step_peak())
  bool averaged = false;                       // a second network holds the average of the weights
  std::optional<Shape> validated;              // a batch of validation, for which inference is planned beside it
  uint64_t loader_bytes = 0, cache_bytes = 0;  // at most: batches made ahead, decoded items
};

// Bytes. `activations` is what StepMemory of the training step will hold (nn/step_memory.h), by its own rules: every
// value of the tape until its gradient has been computed, first fit. `parameters`: the flat buffers. `extra`: what a
// checkpoint copies or a validation plans, whichever is more, since both come between steps. `process`: what the
// program has already, measured after a step on one picture, so that the scratch of the kernels is in it; 0 where none
// was tried.
struct MemoryEstimate {
  uint64_t activations = 0, parameters = 0, extra = 0, data = 0, process = 0;
  uint64_t total() const { return activations + parameters + extra + data + process; }
};
MemoryEstimate estimate_memory(const Network& network, const MemoryQuestion& question);

// Bytes that this process may still take: the least of the system's MemAvailable and what the control group leaves.
// UINT64_MAX where the system does not say.
uint64_t available_memory();
// Bytes of this process that are in memory now; 0 where the system does not say.
uint64_t resident_memory();

}  // namespace furrow::train
