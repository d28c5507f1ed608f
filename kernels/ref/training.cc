// The page's losses and optimiser steps: losses.h and optim.h on tensors.
#include "kernels/ref/loops.h"
#include "kernels/ref/losses.h"
#include "kernels/ref/optim.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {
namespace {

// A flat buffer of `count` values.
std::span<double> flat(Tensor& t, int64_t count) {
  require(t.shape() == ref::vector_shape(count), "optimiser: buffers of one length");
  return t.values<double>();
}
std::span<const double> flat(const Tensor& t, int64_t count) {
  require(t.shape() == ref::vector_shape(count), "optimiser: buffers of one length");
  return t.values<double>();
}

}  // namespace

DiceFocalValue RefBackend::dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) {
  return ref::dice_focal(form, z, t, dz);
}

CrossEntropyValue RefBackend::cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels,
                                            Tensor* dz) {
  return ref::cross_entropy(form, z, labels, dz);
}

SoftDiceValue RefBackend::soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  return ref::soft_dice(form, z, labels, dz);
}

double RefBackend::squared_error(const Tensor& z, const Tensor& t, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.elements() > 0 && t.shape() == s && (dz == nullptr || dz->shape() == s), "squared_error: shapes");
  const auto output = z.values<double>(), target = t.values<double>();
  const auto N = static_cast<double>(s.elements());
  double sum = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    const double difference = output[i] - target[i];
    sum += difference * difference;
    if (dz != nullptr) dz->values<double>()[i] = 2 * difference / N;
  }
  return sum / N;
}

void RefBackend::optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) {
  ref::optim_prepare(flat(gradient, gradient.shape().c), max_norm, scaling, state);
}

void RefBackend::adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                       const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) {
  const int64_t count = p.shape().c;
  ref::adamw(options, lr, segments, state, flat(gradient, count), flat(m, count), flat(v, count), flat(p, count));
}

void RefBackend::sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                     const Tensor& gradient, Tensor& buffer, Tensor& p) {
  const int64_t count = p.shape().c;
  const bool kept = options.momentum != 0;
  ref::sgd(options, lr, segments, state, flat(gradient, count), kept ? flat(buffer, count) : std::span<double>(),
           flat(p, count));
}

}  // namespace furrow
