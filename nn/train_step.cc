#include "nn/train_step.h"

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
    return LossValue{.total = value.loss, .invalid = value.invalid};
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

TrainStep::TrainStep(const Network& network, Backend& backend, TrainOptions options)
    : network_(network),
      backend_(backend),
      options_(std::move(options)),
      parameters_(network, backend),
      memory_(backend, parameters_),
      tape_(backend, Mode::training, &memory_),
      segments_(parameters_.segments(options_.weight_decay, options_.decayed)) {
  require(options_.loss != nullptr, "TrainStep: no loss");
  const auto* sgd = std::get_if<Sgd>(&options_.optimiser);
  if (sgd == nullptr || sgd->momentum != 0) moments_[0] = parameters_.zeros();
  if (sgd == nullptr) moments_[1] = parameters_.zeros();
}

LossValue TrainStep::accumulate_one(const MicroBatch& batch, double weight, int64_t first_image) {
  tape_.clear();
  memory_.reset();
  const auto step = static_cast<uint64_t>(state_.step + state_.skipped);  // what was skipped is not drawn again
  tape_.set_draws({.seed = options_.seed, .step = step, .first_image = first_image});
  const Var z = network_.forward(tape_, tape_.input(batch.x));
  Tensor dz = memory_.take(z.shape(), backend_.dtype());
  const LossValue value = options_.loss(backend_, z.value(), batch.target, &dz);
  const double scale = weight * static_cast<double>(state_.loss_scale);
  if (scale != 1) backend_.scale(dz, scale);
  tape_.backward(z, dz);
  return value;
}

LossValue TrainStep::accumulate(std::span<const MicroBatch> batch, int64_t first_image) {
  int64_t images = 0;
  for (const MicroBatch& part : batch) images += part.x.shape().n;
  require(images > 0, "TrainStep: an empty batch");
  parameters_.begin_gradients();
  LossValue sum;
  for (const MicroBatch& part : batch) {
    const double weight = static_cast<double>(part.x.shape().n) / static_cast<double>(images);
    const LossValue value = accumulate_one(part, weight, first_image);
    sum.total += weight * value.total;
    sum.dice += weight * value.dice;
    sum.focal += weight * value.focal;
    sum.invalid += value.invalid;
    first_image += part.x.shape().n;
  }
  parameters_.complete_gradients();
  return sum;
}

StepResult TrainStep::update(const LossValue& loss, double lr) {
  StepResult result{.loss = loss};
  const Tensor& gradient = parameters_.gradients();
  backend_.optim_prepare(gradient, options_.max_norm, options_.scaling, state_);
  result.gradient_norm = state_.norm;
  result.skipped = state_.skip != 0;
  if (result.skipped) {
    result.bad = first_non_finite(parameters_);
  } else if (const auto* adamw = std::get_if<AdamW>(&options_.optimiser)) {
    backend_.adamw(*adamw, lr, segments_, state_, gradient, moments_[0], moments_[1], parameters_.values());
  } else {
    backend_.sgd(std::get<Sgd>(options_.optimiser), lr, segments_, state_, gradient, moments_[0], parameters_.values());
  }
  return result;
}

StepResult TrainStep::run(std::span<const MicroBatch> batch, double lr, int64_t first_image) {
  return update(accumulate(batch, first_image), lr);
}

}  // namespace furrow
