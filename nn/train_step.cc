#include "nn/train_step.h"

#include <iterator>

#include "nn/step_peak.h"

namespace furrow {

LossFunction loss_of(const DiceFocal& form) {
  return [form](Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz) {
    const DiceFocalValue value = backend.dice_focal(form, z, target, dz);
    return LossValue{.total = value.total, .dice = value.dice, .focal = value.focal};
  };
}

LossFunction loss_of(const CrossEntropy& form) {
  return [form](Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz) {
    const CrossEntropyValue value = backend.cross_entropy(form, z, target, dz);
    return LossValue{.total = value.loss, .invalid = value.invalid, .weight = value.weight};
  };
}

LossFunction loss_of(const SoftDice& form) {
  return [form](Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz) {
    const SoftDiceValue value = backend.soft_dice(form, z, target, dz);
    return LossValue{.total = value.total, .dice = value.dice, .invalid = value.invalid};
  };
}

LossFunction squared_error_loss() {
  return [](Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz) {
    return LossValue{.total = backend.squared_error(z, target, dz)};
  };
}

namespace {

// The images of each part of a step's batch over all processes. Allocates nothing where this process is alone.
class PartCounts {
 public:
  PartCounts(std::span<const MicroBatch> batch, Peers* peers) : batch_(batch), peers_(peers) {
    if (peers != nullptr) {
      std::vector<double> own;
      for (const MicroBatch& part : batch) own.push_back(part.absent ? 0 : static_cast<double>(part.x.shape().n));
      every_.resize(own.size() * static_cast<size_t>(peers->size()));
      peers->gather(own, every_);
    }
    for (size_t part = 0; part < batch.size(); ++part) all_ += images(part);
  }
  int64_t all() const { return all_; }
  int64_t images(size_t part) const {
    return peers_ == nullptr ? batch_[part].x.shape().n : of_ranks(part, peers_->size());
  }
  // Of the processes before this one.
  int64_t before(size_t part) const { return peers_ == nullptr ? 0 : of_ranks(part, peers_->rank()); }

 private:
  int64_t of_ranks(size_t part, int end) const {
    double sum = 0;
    for (size_t rank = 0; rank < static_cast<size_t>(end); ++rank) sum += every_[rank * batch_.size() + part];
    return static_cast<int64_t>(sum);
  }

  std::span<const MicroBatch> batch_;
  Peers* peers_;
  std::vector<double> every_;
  int64_t all_ = 0;
};

}  // namespace

TrainStep::TrainStep(const Network& network, Backend& backend, TrainOptions options)
    : network_(network),
      backend_(backend),
      options_(std::move(options)),
      parameters_(network, backend, options_.peers != nullptr),
      memory_(backend, parameters_),
      tape_(backend, Mode::training, &memory_),
      segments_(parameters_.segments(options_.weight_decay, options_.decayed)) {
  require(options_.loss != nullptr, "TrainStep: no loss");
  state_.loss_scale = options_.loss_scale;
  const auto* sgd = std::get_if<Sgd>(&options_.optimiser);
  if (sgd == nullptr || sgd->momentum != 0) moments_[0] = parameters_.zeros();
  if (sgd == nullptr) moments_[1] = parameters_.zeros();
}

// `value` becomes the mean over every process's part; returns the share of this one's in it.
double TrainStep::shared_loss(LossValue& value, bool absent) const {
  Peers& peers = *options_.peers;
  const double own[] = {absent ? 0 : value.weight, value.total, value.dice, value.focal,
                        absent ? 0 : static_cast<double>(value.invalid)};
  constexpr size_t kNumbers = std::size(own);
  std::vector<double> every(kNumbers * static_cast<size_t>(peers.size()));
  peers.gather(own, every);
  double weight = 0;
  value = {};
  for (size_t at = 0; at < every.size(); at += kNumbers) {
    if (every[at] <= 0) continue;  // absent, or no pixel that counts
    weight += every[at];
    value.total += every[at] * every[at + 1];
    value.dice += every[at] * every[at + 2];
    value.focal += every[at] * every[at + 3];
  }
  for (size_t at = 0; at < every.size(); at += kNumbers) value.invalid += static_cast<int64_t>(every[at + 4]);
  value.weight = weight;
  if (weight <= 0) return 0;
  value.total /= weight, value.dice /= weight, value.focal /= weight;
  return own[0] / weight;
}

LossValue TrainStep::accumulate_one(const MicroBatch& batch, double weight, int64_t first_image) {
  tape_.clear();
  if (memory_.peak_bytes() == 0)
    memory_.expect(step_peak(network_, batch.x.shape(), backend_.dtype(), options_.peers != nullptr));
  memory_.reset();
  const auto step = static_cast<uint64_t>(state_.step + state_.skipped);  // what was skipped is not drawn again
  tape_.set_shared({.peers = options_.peers, .absent = batch.absent});
  tape_.set_draws({.seed = options_.seed, .step = step, .first_image = first_image});
  const Var z = network_.forward(tape_, tape_.input(batch.x));
  Tensor dz = memory_.take(z.shape(), backend_.dtype());
  LossValue value = options_.loss(backend_, z.value(), batch.target, &dz);
  if (value.weight < 0) value.weight = static_cast<double>(batch.x.shape().n);
  if (options_.peers != nullptr) weight *= shared_loss(value, batch.absent);
  if (batch.absent) backend_.zero(dz);  // whatever it was
  const double scale = weight * static_cast<double>(state_.loss_scale);
  if (scale != 1) backend_.scale(dz, scale);
  tape_.backward(z, dz);
  return value;
}

LossValue TrainStep::accumulate(std::span<const MicroBatch> batch, int64_t first_image) {
  const PartCounts counts(batch, options_.peers);
  require(counts.all() > 0, "TrainStep: an empty batch");
  parameters_.begin_gradients();
  LossValue sum;
  for (size_t i = 0; i < batch.size(); ++i) {
    const double weight = static_cast<double>(counts.images(i)) / static_cast<double>(counts.all());
    const LossValue value = accumulate_one(batch[i], weight, first_image + counts.before(i));
    sum.total += weight * value.total;
    sum.dice += weight * value.dice;
    sum.focal += weight * value.focal;
    sum.invalid += value.invalid;
    first_image += counts.images(i);
  }
  parameters_.complete_gradients();
  if (options_.peers != nullptr) options_.peers->sum(backend_, parameters_.gradients());
  return sum;
}

StepResult TrainStep::update(const LossValue& loss, double lr) {
  StepResult result{.loss = loss};
  const OptimStep step{.optimiser = options_.optimiser,
                       .lr = lr,
                       .segments = segments_,
                       .max_norm = options_.max_norm,
                       .scaling = options_.scaling};
  backend_.optim_step(step, parameters_.gradients(), state_, moments_[0], moments_[1], parameters_.values());
  result.gradient_norm = state_.norm;
  result.skipped = state_.skip != 0;
  if (result.skipped) result.bad = first_non_finite(parameters_);
  return result;
}

void TrainStep::release_memory() {
  tape_.clear();
  memory_.release();
}

StepResult TrainStep::run(std::span<const MicroBatch> batch, double lr, int64_t first_image) {
  return update(accumulate(batch, first_image), lr);
}

}  // namespace furrow
