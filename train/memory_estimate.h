// How much memory a run will take, computed from shapes before anything is allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nn/network.h"

namespace furrow::train {

struct MemoryQuestion {
  Shape input;                     // of one micro-batch: {B,H,W,C}
  int moments = 2;                 // buffers of the optimiser
  int64_t processes = 1;           // that share every batch (step_peak())
  bool averaged = false;           // a second network holds the average of the weights
  bool labelled = false;           // masks of two values become class numbers for the loss
  int64_t accumulate = 1;          // micro-batches of a step, all of them in hand
  int64_t prefetch = 4;            // batches that a loader makes ahead
  std::optional<Shape> validated;  // a batch of validation, for which inference is planned
  bool drawn = false;              // validation draws pictures of it
  uint64_t cache_bytes = 0;        // of decoded items, at most
  uint64_t decoding_bytes = 0;     // that the loader's threads work in
};

// Bytes of this process that are in memory at the moment of a run when they are most (VmHWM in /proc/PID/status): what
// is computed on device `cpu`, `ref` or the emulator. On device `cuda`, activations, parameters, scratch and a
// validation's plan lie in the device's memory and the rest in the host's; the sum is over both.
//
// Some of it is there at all times, and of the rest only what one phase needs: TrainStep::release_memory() gives the
// activations back before a validation or a checkpoint, and Arena::resident_bytes() says what a block takes of the
// system. Nothing is counted that the system alone decides: pages of files that it has read ahead, its page tables.
struct MemoryEstimate {
  // At all times.
  uint64_t process = 0;     // the program, its libraries, lists of files, the network but for what is trained of it:
                            // measured (Preflight); 0 where it was not
  uint64_t parameters = 0;  // trained values, their gradients, the optimiser's moments, the average of the weights
  uint64_t scratch = 0;     // what the kernels keep: step_scratch()
  uint64_t data = 0;        // decoded items, batches made ahead, what decoding works in
  // In turn.
  uint64_t activations = 0;  // a step: what its StepMemory holds, by its own rules (step_peak()), and batches in hand
  uint64_t validation = 0;   // a plan and its packed weights (plan_size()), histogram of scores, batches of its own
  uint64_t checkpoint = 0;   // the weights in PyTorch's order
  uint64_t trial = 0;        // the pre-flight's step on one picture, before there is `data`: beyond `parameters`

  uint64_t total() const;
  // Of a process that shares the batches but neither validates nor writes: every rank but 0.
  uint64_t follower() const { return process + parameters + scratch + data + activations; }
};
MemoryEstimate estimate_memory(const Network& network, Backend& backend, const MemoryQuestion& question);

// Bytes of the values that are trained, as they lie in the flat buffers.
uint64_t trained_bytes(const Network& network, DType type);

// Bytes that this process may still take: the least of the system's MemAvailable and what each control group that it is
// in leaves (memory.max, or memory.limit_in_bytes of version 1; pages of files that can be given up do not count).
// UINT64_MAX where the system does not say. `root`: of the file system in which /proc and /sys lie.
uint64_t available_memory(const std::string& root = "");
// Bytes of this process that are in memory now, and the most that ever were; 0 where the system does not say.
uint64_t resident_memory();
uint64_t peak_memory();

}  // namespace furrow::train
