// TrainStep: one optimiser step of a network, from a batch to new parameters. It owns what lives as long as a run: the
// flat buffers, the tape, the memory of a step and the optimiser's state. On a device with memory of its own all of
// that lies there, and so does what the network computes with beside it (FlatParameters); pictures and targets come
// from the host, if they are not there already. The host then waits for the device once for each micro-batch, to learn
// its loss, and once at the end of the step; a skipped step waits once more, to say why; and with peers, so does every
// batch norm. From the second step on nothing is allocated there, while no micro-batch is larger than those before.
//
//   TrainStep train(*network, *backend, {.loss = loss_of(dice_focal_form("L6")), .weight_decay = 1e-5, .max_norm = 1});
//   for (std::vector<MicroBatch> batch : ...) {
//     const StepResult result = train.run(batch, schedule->lr());
//     schedule->after_step();
//   }
#pragma once

#include <functional>
#include <span>
#include <string>
#include <variant>

#include "nn/network.h"
#include "nn/step_memory.h"

namespace furrow {

// A loss and its parts, each a mean over the batch; `total` is what is differentiated. Parts that a loss does not have
// are 0. invalid: labels that are no class (CrossEntropyValue).
// weight: what the means were taken over where that is not the images (of a cross-entropy, sum w_y); negative: it is.
struct LossValue {
  double total = 0, dice = 0, focal = 0;
  int64_t invalid = 0;
  double weight = -1;
};

// Value of a loss for logits z {B,H,W,C} and its targets, and its gradient into dz (like z).
using LossFunction = std::function<LossValue(Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz)>;
LossFunction loss_of(const DiceFocal& form);     // targets like z, of its type, in [0,1]
LossFunction loss_of(const SoftDice& form);      // labels {B,H,W,1} int32; its cross-entropy is part of `total` alone
LossFunction loss_of(const CrossEntropy& form);  // labels {B,H,W,1} int32
LossFunction squared_error_loss();               // targets like z, of its type

struct TrainOptions {
  LossFunction loss;
  std::variant<AdamW, Sgd> optimiser = AdamW{};
  double weight_decay = 0;
  Decayed decayed = Decayed::all;
  double max_norm = 0;   // the whole gradient is scaled down to this L2 norm; 0: it is not
  LossScaling scaling;   // for half-precision gradients; the default leaves the scale at OptimState::loss_scale
  float loss_scale = 1;  // the first
  uint64_t seed = 0;     // of dropouts
  // Processes that make the same calls, each with its part of every micro-batch: losses, batch norms and gradients are
  // those of the whole, and so are the new parameters, the same bits in each. The loss must be a mean over images or
  // weights: not one that sums a Dice over the batch or pairs its images. Null: this process alone.
  Peers* peers = nullptr;
};

// A batch, or as much of it as fits in memory at once: images {n,H,W,C} of the back-end's type, and the loss's targets.
// absent: this process has nothing of the micro-batch that its peers work on; x and target are of any image, and
// nothing comes of them.
struct MicroBatch {
  Tensor x, target;
  bool absent = false;
};

struct StepResult {
  LossValue loss;            // mean over the batch, each micro-batch weighed by its images
  double gradient_norm = 0;  // before clipping; an infinity or NaN where skipped
  bool skipped = false;      // the gradient was not finite: parameters, moments and step number stayed as they were
  NonFinite bad;             // where skipped: the first bad gradient
};

class TrainStep {
 public:
  // The network is loaded or initialised, in the back-end's type, and frozen as it is to be (nn/freeze.h); its
  // parameters' values become windows (FlatParameters). Both must outlive this.
  TrainStep(const Network& network, Backend& backend, TrainOptions options);
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  // Forward, loss and backward for each micro-batch, in order; their gradients add up to that of the mean over all
  // images. Then norm, clip and update, where the gradient is finite. Batch norms see one micro-batch at a time, and
  // move their statistics even where the update is skipped, both as PyTorch's do. `first_image`: where this batch's
  // images stand in a batch that several processes share, for the dropouts. A function of parameters, state, batch and
  // seed: the same bits on the same device for any number of threads.
  StepResult run(std::span<const MicroBatch> batch, double lr, int64_t first_image = 0);

  // The two halves of run(), for who has something to do with the gradient in between (summing it over processes).
  LossValue accumulate(std::span<const MicroBatch> batch, int64_t first_image = 0);
  StepResult update(const LossValue& loss, double lr);

  // parameters().publish() before anyone reads the network's own tensors.
  FlatParameters& parameters() { return parameters_; }
  const FlatParameters& parameters() const { return parameters_; }
  OptimState& state() { return state_; }
  const OptimState& state() const { return state_; }
  // AdamW: both moments. SGD with momentum: the first is its buffer, the second empty. Layout of parameters().
  Tensor& moment(int which) { return moments_[which]; }
  const Tensor& moment(int which) const { return moments_[which]; }
  // Gives the memory of the steps back until the next one: for what comes between them and wants memory of its own.
  void release_memory();
  size_t memory_bytes() const { return memory_.peak_bytes(); }  // activations and their gradients, largest step so far

 private:
  LossValue accumulate_one(const MicroBatch& batch, double weight, int64_t first_image);
  double shared_loss(LossValue& value, bool absent) const;

  const Network& network_;
  Backend& backend_;
  TrainOptions options_;
  FlatParameters parameters_;
  StepMemory memory_;
  Tape tape_;
  std::vector<OptimSegment> segments_;
  OptimState state_;
  Tensor moments_[2];
};

}  // namespace furrow
