// Validation: what a network is worth on examples it was not trained on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "nn/network.h"
#include "nn/train_step.h"
#include "train/options.h"

namespace furrow::train {

// Over a whole set. Losses are means over batches and rates are pooled over all pixels, as the seed's program has them
// (seed-system.md E.4); `dice` is the mean over pictures, 1 where a picture has neither target nor prediction.
struct Scores {
  double loss = 0, dice_loss = 0, focal_loss = 0;
  double iou = 0, f1 = 0, precision = 0, recall = 0, accuracy = 0, dice = 0;
  std::optional<double> auc;  // of the ROC curve; none where one of the classes is missing
  uint64_t predicted = 0, positives = 0, pixels = 0;
  int64_t images = 0;
  double of(Metric metric) const;
};

// How an output becomes a probability of being a wrinkle. One channel: sigmoid(z), or sigmoid(sigmoid(z)) where the
// loss took the output for a logit twice; several: 1 - softmax(z)[0]. Weak targets learned by squared error: z itself,
// cut to [0, 1].
enum class Reading : uint8_t { sigmoid, double_sigmoid, softmax, plain };
Reading reading_of(const TrainOptions& options);
// z {B,H,W,C} of f32 or f64 -> B*H*W probabilities.
std::vector<float> probabilities(const Tensor& z, Reading reading);
// Targets as bytes, 0 where there is no wrinkle: float targets from 0.5 on, class numbers but 0.
std::vector<uint8_t> target_bytes(const Tensor& target);

// Each batch once measured, with one byte per pixel where probability > threshold: for pictures of it.
using SeeBatch = std::function<void(const data::Batch& batch, const std::vector<uint8_t>& predicted,
                                    const std::vector<uint8_t>& target)>;

// Runs the network over the rest of the loader's epoch by inference plans. A function of weights and data alone.
// Nothing where `interrupted` said so between two batches.
std::optional<Scores> validate(const Network& network, Backend& backend, const LossFunction& loss, data::Loader& loader,
                               Reading reading, double threshold, const SeeBatch& see,
                               const std::function<bool()>& interrupted);

}  // namespace furrow::train
