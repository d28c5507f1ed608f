// Training in the benchmark: the U-Net, Dice + Focal, the gradient clipped, AdamW, on pictures with structure.
#pragma once

#include <memory>
#include <vector>

#include "kernels/device.h"
#include "nn/train_step.h"

namespace furrow::bench {

// What bench/peers/torch_gpu.py trains with.
constexpr double kLearningRate = 1e-3, kWeightDecay = 0.01, kMaxNorm = 1;

// structured_inputs() and their targets: 1 where a picture's red is bright and its blue is not. float32, in the host's
// memory.
std::vector<MicroBatch> training_batches(const Shape& shape, int sets);

// The first multiplier of the loss: fp16's gradients need one (docs/training.md).
float loss_scale_of(Precision precision);

class TrainingRun {
 public:
  // Every parameter times 1 + size * r, r uniform in [-1, 1).
  struct Noise {
    double size;
    uint64_t seed;
  };
  // A U-Net with initial values, the same on every back-end but for their rounding. Batches are copied to its
  // memory, in its type: steps then copy no pictures. `backend` outlives this.
  TrainingRun(Backend& backend, int64_t base, const std::vector<MicroBatch>& batches, float loss_scale,
              Noise noise = {0, 0});
  StepResult step();   // on the next of the batches
  size_t memory_bytes() const { return train_.memory_bytes(); }

 private:
  std::unique_ptr<Network> network_;
  Arena arena_;
  std::vector<MicroBatch> batches_;
  size_t next_ = 0;
  TrainStep train_;
};

}  // namespace furrow::bench
