#include "losses/metrics_classes.h"

#include "kernels/error.h"

namespace furrow {

ConfusionMatrix::ConfusionMatrix(int classes) : classes_(classes) {
  require(classes >= 1 && classes <= 256, "ConfusionMatrix: 1 to 256 classes");
  counts_.resize(static_cast<size_t>(classes * classes));
}

void ConfusionMatrix::add(std::span<const uint8_t> predicted, std::span<const uint8_t> truth,
                          std::span<const uint8_t> region) {
  require(predicted.size() == truth.size() && (region.empty() || region.size() == truth.size()),
          "ConfusionMatrix: lengths");
  for (size_t i = 0; i < truth.size(); ++i) {
    if ((!region.empty() && region[i] == 0) || truth[i] >= classes_) continue;
    if (predicted[i] >= classes_)
      throw Error(ErrorCode::malformed, "a predicted class is " + std::to_string(predicted[i]) + ", of " +
                                            std::to_string(classes_) + " classes counted from 0");
    ++counts_[index(truth[i], predicted[i])];
  }
}

void ConfusionMatrix::add(const ConfusionMatrix& other) {
  require(classes_ == other.classes_, "ConfusionMatrix: the same classes");
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

PixelCounts ConfusionMatrix::one_against_rest(int k) const {
  PixelCounts c;
  PixelCount all = 0;
  for (const PixelCount count : counts_) all += count;
  c.tp = at(k, k);
  for (int other = 0; other < classes_; ++other) {
    if (other == k) continue;
    c.fp += at(other, k);
    c.fn += at(k, other);
  }
  c.tn = all - c.tp - c.fp - c.fn;
  return c;
}

std::vector<std::optional<double>> class_iou(const ConfusionMatrix& matrix) {
  std::vector<std::optional<double>> values;
  for (int k = 0; k < matrix.classes(); ++k) {
    const PixelCount both = matrix.at(k, k);
    PixelCount either = both;
    for (int other = 0; other < matrix.classes(); ++other)
      if (other != k) either += matrix.at(other, k) + matrix.at(k, other);
    values.push_back(either == 0 ? std::optional<double>() : static_cast<double>(both) / static_cast<double>(either));
  }
  return values;
}

std::vector<Rates> class_rates(const ConfusionMatrix& matrix) {
  std::vector<Rates> all;
  for (int k = 0; k < matrix.classes(); ++k) {
    const PixelCounts c = matrix.one_against_rest(k);
    all.push_back(c.tp + c.fp + c.fn == 0 ? Rates() : pooled_rates(c));
  }
  return all;
}

Rates mean_class_rates(const ConfusionMatrix& matrix) {
  Rates mean;
  const std::vector<Rates> all = class_rates(matrix);
  for (size_t r = 0; r < kRates; ++r) {
    double sum = 0;
    int defined = 0;
    for (const Rates& one : all) {
      if (!one[r]) continue;
      sum += *one[r];
      ++defined;
    }
    if (defined > 0) mean[r] = sum / defined;
  }
  return mean;
}

std::optional<double> mean_iou(const ConfusionMatrix& matrix) {
  double sum = 0;
  int defined = 0;
  for (const std::optional<double>& iou : class_iou(matrix)) {
    if (!iou) continue;
    sum += *iou;
    ++defined;
  }
  return defined == 0 ? std::optional<double>() : sum / defined;
}

std::optional<double> pixel_accuracy(const ConfusionMatrix& matrix) {
  PixelCount right = 0, all = 0;
  for (int truth = 0; truth < matrix.classes(); ++truth) {
    right += matrix.at(truth, truth);
    for (int predicted = 0; predicted < matrix.classes(); ++predicted) all += matrix.at(truth, predicted);
  }
  return all == 0 ? std::optional<double>() : static_cast<double>(right) / static_cast<double>(all);
}

}  // namespace furrow
