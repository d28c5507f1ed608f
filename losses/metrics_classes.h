// Several classes: the confusion matrix and what follows from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/metric_ops.h"
#include "losses/metrics.h"

namespace furrow {

class ConfusionMatrix {
 public:
  // 1..256 classes (ErrorCode::internal).
  explicit ConfusionMatrix(int classes);

  // Class numbers per pixel. A pixel whose truth is no class is left out (an "ignore" label); a prediction that is none
  // is ErrorCode::malformed. `region`: 0 leaves a pixel out; empty: every pixel counts. Equal lengths
  // (ErrorCode::internal).
  void add(std::span<const uint8_t> predicted, std::span<const uint8_t> truth, std::span<const uint8_t> region);
  void add(const ConfusionMatrix& other);

  int classes() const { return classes_; }
  // Pixels of class `truth` that were predicted as `predicted`.
  PixelCount at(int truth, int predicted) const { return counts_[index(truth, predicted)]; }
  void add(int truth, int predicted, PixelCount pixels) { counts_[index(truth, predicted)] += pixels; }
  // Class k against all others.
  PixelCounts one_against_rest(int k) const;

 private:
  size_t index(int truth, int predicted) const { return static_cast<size_t>(truth * classes_ + predicted); }
  int classes_;
  std::vector<PixelCount> counts_;
};

// tp / (tp + fp + fn) of each class; undefined for a class that occurs in neither mask (torchmetrics' average=None: 0).
std::vector<std::optional<double>> class_iou(const ConfusionMatrix& matrix);
// All rates of each class against all others, by pooled_rates(); every one undefined for a class that occurs in neither
// mask. F1 is the class's Dice coefficient.
std::vector<Rates> class_rates(const ConfusionMatrix& matrix);
// Their means over the classes that are defined: torchmetrics' average="macro", which leaves out the same classes.
Rates mean_class_rates(const ConfusionMatrix& matrix);
// Mean over the classes that are defined: torchmetrics' MulticlassJaccardIndex(average="macro"). Undefined without
// pixels.
std::optional<double> mean_iou(const ConfusionMatrix& matrix);
// Pixels of the right class / all. Undefined without pixels.
std::optional<double> pixel_accuracy(const ConfusionMatrix& matrix);

}  // namespace furrow
