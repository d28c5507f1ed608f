#include "train/scores.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "losses/metrics.h"
#include "losses/metrics_curve.h"
#include "nn/plan.h"

namespace furrow::train {
namespace {

double sigmoid(double z) { return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }

template <class T>
float probability(const T* z, int64_t channels, Reading reading) {
  switch (reading) {
    case Reading::sigmoid: return static_cast<float>(sigmoid(static_cast<double>(*z)));
    case Reading::double_sigmoid: return static_cast<float>(sigmoid(sigmoid(static_cast<double>(*z))));
    case Reading::plain: return static_cast<float>(std::clamp(static_cast<double>(*z), 0.0, 1.0));
    case Reading::softmax: break;
  }
  double top = static_cast<double>(z[0]), sum = 0;
  for (int64_t c = 1; c < channels; ++c) top = std::max(top, static_cast<double>(z[c]));
  for (int64_t c = 0; c < channels; ++c) sum += std::exp(static_cast<double>(z[c]) - top);
  return static_cast<float>(1 - std::exp(static_cast<double>(z[0]) - top) / sum);
}

template <class T>
std::vector<float> read(const Tensor& z, Reading reading) {
  const auto values = z.values<T>();
  const int64_t channels = reading == Reading::softmax ? z.shape().c : 1;
  std::vector<float> out(static_cast<size_t>(z.shape().elements() / channels));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = probability(values.data() + i * static_cast<size_t>(channels), channels, reading);
  return out;
}

double value(const Rates& rates, Rate rate) { return rates[static_cast<size_t>(rate)].value_or(0); }

// The plan of a validation; another size of batch, as the last one may have, takes its place and its packed weights.
class Plans {
 public:
  Plans(const Network& network, Backend& backend) : network_(network), backend_(backend) {}
  Tensor run(const Tensor& image) {
    if (plan_ && plan_->input_shape() != image.shape()) plan_.reset();  // before there is a second
    if (!plan_) plan_.emplace(network_, backend_, image.shape(), PlanOptions{.weights = weights_});
    return plan_->run(image);
  }

 private:
  const Network& network_;
  Backend& backend_;
  std::shared_ptr<PackedWeights> weights_ = std::make_shared<PackedWeights>();
  std::optional<Plan> plan_;
};

// What is added up over the batches.
struct Sums {
  LossValue loss;
  PixelCounts counts;
  ScoreHistogram histogram;
  double dice = 0;
  int64_t batches = 0, images = 0;

  void add(const LossValue& batch) {
    loss.total += batch.total;
    loss.dice += batch.dice;
    loss.focal += batch.focal;
    ++batches;
  }
  void add(std::span<const float> scores, std::span<const uint8_t> targets, double threshold) {
    const PixelCounts picture = count(scores, threshold, targets, {});
    counts += picture;
    histogram.add(scores, targets, {});
    dice += value(picture_rates(picture), Rate::f1);
    ++images;
  }
  Scores scores() const {
    Scores out;
    const double n = static_cast<double>(std::max<int64_t>(batches, 1));
    out.loss = loss.total / n;
    out.dice_loss = loss.dice / n;
    out.focal_loss = loss.focal / n;
    const Rates rates = pooled_rates(counts);
    out.iou = value(rates, Rate::iou);
    out.f1 = value(rates, Rate::f1);
    out.precision = value(rates, Rate::precision);
    out.recall = value(rates, Rate::recall);
    out.accuracy = value(rates, Rate::accuracy);
    out.dice = dice / static_cast<double>(std::max<int64_t>(images, 1));
    if (const auto area = auroc(histogram)) out.auc = area->value;
    out.predicted = counts.tp + counts.fp;
    out.positives = counts.tp + counts.fn;
    out.pixels = counts.tp + counts.fp + counts.fn + counts.tn;
    out.images = images;
    return out;
  }
};

}  // namespace

double Scores::of(Metric metric) const {
  switch (metric) {
    case Metric::loss: return loss;
    case Metric::iou: return iou;
    case Metric::f1: return f1;
    case Metric::dice: break;
  }
  return dice;
}

Reading reading_of(const TrainOptions& o) {
  if (o.loss == LossKind::squared_error) return Reading::plain;
  if (o.labelled()) return Reading::softmax;
  return o.dice_focal.double_sigmoid ? Reading::double_sigmoid : Reading::sigmoid;
}

std::vector<float> probabilities(const Tensor& z, Reading reading) {
  return z.dtype() == DType::f64 ? read<double>(z, reading) : read<float>(z, reading);
}

std::vector<uint8_t> target_bytes(const Tensor& target) {
  std::vector<uint8_t> out(static_cast<size_t>(target.shape().elements()));
  if (target.dtype() == DType::i32) {
    std::ranges::transform(target.values<int32_t>(), out.begin(), [](int32_t t) { return t > 0 ? 1 : 0; });
  } else {
    std::ranges::transform(target.values<float>(), out.begin(), [](float t) { return t >= 0.5f ? 1 : 0; });
  }
  return out;
}

std::optional<Scores> validate(const Network& network, Backend& backend, const LossFunction& loss, data::Loader& loader,
                               Reading reading, double threshold, const SeeBatch& see,
                               const std::function<bool()>& interrupted) {
  Plans plans(network, backend);
  Sums sums;
  while (const std::optional<data::Batch> batch = loader.next()) {
    if (interrupted && interrupted()) return std::nullopt;
    const DType type = backend.dtype();
    const Tensor z = plans.run(type == DType::f64 ? batch->image.to(type) : batch->image);
    const bool labels = batch->target.dtype() == DType::i32;
    sums.add(loss(backend, z, labels || type == DType::f32 ? batch->target : batch->target.to(type), nullptr));
    const std::vector<float> scores = probabilities(z, reading);
    const std::vector<uint8_t> targets = target_bytes(batch->target);
    const auto pixels = static_cast<size_t>(z.shape().h * z.shape().w);
    for (size_t at = 0; at < scores.size(); at += pixels)
      sums.add(std::span(scores).subspan(at, pixels), std::span(targets).subspan(at, pixels), threshold);
    if (!see) continue;
    std::vector<uint8_t> predicted(scores.size());
    std::ranges::transform(scores, predicted.begin(),
                           [&](float p) { return static_cast<double>(p) > threshold ? 1 : 0; });
    see(*batch, predicted, targets);
  }
  return sums.scores();
}

}  // namespace furrow::train
