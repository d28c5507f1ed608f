#include "bench/gpu/training_run.h"

#include "bench/gpu/inputs.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

std::unique_ptr<Network> fresh_unet(int64_t base, DType type, TrainingRun::Noise noise) {
  std::unique_ptr<Network> network = build({.base = base});
  network->initialise(1, DType::f64);
  for (const Module::Keyed& k : network->parameters()) {
    Tensor& value = k.parameter->value;
    if (value.dtype() != DType::f64) continue;   // a counter
    const Tensor random = cases::random_values(k.parameter->shape(), ++noise.seed, DType::f64);
    for (size_t i = 0; noise.size > 0 && i < value.values<double>().size(); ++i)
      value.values<double>()[i] *= 1 + noise.size * random.values<double>()[i];
    value = value.to(type);
  }
  return network;
}

}  // namespace

std::vector<MicroBatch> training_batches(const Shape& shape, int sets) {
  std::vector<MicroBatch> out;
  for (Tensor& x : structured_inputs(shape, sets)) {
    Tensor target({shape.n, shape.h, shape.w, 1});
    const auto values = x.values<float>();
    for (size_t i = 0; i < target.values<float>().size(); ++i)
      target.values<float>()[i] = values[3 * i] > 0.3f && values[3 * i + 2] < 0.3f ? 1.0f : 0.0f;
    out.push_back({std::move(x), std::move(target)});
  }
  return out;
}

float loss_scale_of(Precision precision) { return precision == Precision::fp16 ? 65536.0f : 1.0f; }

TrainingRun::TrainingRun(Backend& backend, int64_t base, const std::vector<MicroBatch>& batches, float loss_scale,
                         Noise noise)
    : network_(fresh_unet(base, backend.dtype(), noise)),
      train_(*network_, backend,
             {.loss = loss_of(dice_focal_form("L6")),
              .weight_decay = kWeightDecay,
              .max_norm = kMaxNorm,
              .loss_scale = loss_scale}) {
  if (backend.in_host_memory()) {
    for (const MicroBatch& b : batches) batches_.push_back({b.x.to(backend.dtype()), b.target.to(backend.dtype())});
    return;
  }
  size_t bytes = 0;
  for (const MicroBatch& b : batches) bytes += b.x.bytes() + b.target.bytes() + 2 * Arena::kAlignment;
  arena_ = backend.reserve(bytes);
  for (const MicroBatch& b : batches) {
    batches_.push_back({arena_.take(b.x.shape(), DType::f32), arena_.take(b.target.shape(), DType::f32)});
    backend.put(b.x, batches_.back().x);
    backend.put(b.target, batches_.back().target);
  }
}

StepResult TrainingRun::step() {
  const MicroBatch& batch = batches_[next_];
  next_ = (next_ + 1) % batches_.size();
  return train_.run({&batch, 1}, kLearningRate);
}

}  // namespace furrow::bench
