// Optimiser steps, as kernels/optim_ops.h writes them.
#include "kernels/ref/optim.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace furrow::ref {
namespace {

// body(i, lr of i, weight decay of i) for every parameter.
template <class Body>
void for_each_parameter(double lr, std::span<const OptimSegment> segments, size_t count, const Body& body) {
  require(!segments.empty() && segments[0].first == 0, "optimiser: segments begin at 0");
  for (size_t k = 0; k < segments.size(); ++k) {
    const size_t end = k + 1 < segments.size() ? static_cast<size_t>(segments[k + 1].first) : count;
    for (auto i = static_cast<size_t>(segments[k].first); i < end; ++i)
      body(i, lr * static_cast<double>(segments[k].lr_scale), static_cast<double>(segments[k].weight_decay));
  }
}

}  // namespace

void optim_prepare(std::span<const double> gradient, double max_norm, const LossScaling& scaling, OptimState& state) {
  double squares = 0;
  for (const double g : gradient) squares += g * g;
  const double scale = static_cast<double>(state.loss_scale);
  state.norm = std::sqrt(squares) / scale;
  state.skip = std::isfinite(squares) ? 0 : 1;
  state.factor = 1 / scale * (max_norm > 0 ? std::min(1.0, max_norm / (state.norm + 1e-6)) : 1.0);
  state.step += state.skip == 0;
  state.skipped += state.skip;
  if (scaling.interval == 0) return;
  state.good_steps = state.skip == 0 ? state.good_steps + 1 : 0;
  const float less = state.loss_scale * scaling.backoff, more = state.loss_scale * scaling.growth;
  if (state.skip != 0 && less >= kLeastLossScale) state.loss_scale = less;
  if (state.good_steps == scaling.interval) {
    if (std::isfinite(more)) state.loss_scale = more;
    state.good_steps = 0;
  }
}

void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
           std::span<const double> gradient, std::span<double> m, std::span<double> v, std::span<double> p) {
  if (state.skip != 0) return;
  const auto t = static_cast<double>(state.step);
  const double correction1 = 1 - std::pow(options.beta1, t), correction2 = 1 - std::pow(options.beta2, t);
  for_each_parameter(lr, segments, p.size(), [&](size_t i, double lr_here, double decay) {
    const double g = state.factor * gradient[i];
    p[i] *= 1 - lr_here * decay;
    m[i] = options.beta1 * m[i] + (1 - options.beta1) * g;
    v[i] = options.beta2 * v[i] + (1 - options.beta2) * g * g;
    p[i] -= lr_here / correction1 * m[i] / (std::sqrt(v[i]) / std::sqrt(correction2) + options.eps);
  });
}

void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
         std::span<const double> gradient, std::span<double> buffer, std::span<double> p) {
  if (state.skip != 0) return;
  for_each_parameter(lr, segments, p.size(), [&](size_t i, double lr_here, double decay) {
    double g = state.factor * gradient[i] + decay * p[i];
    if (options.momentum != 0) {
      buffer[i] = options.momentum * buffer[i] + g;
      g = options.nesterov ? g + options.momentum * buffer[i] : buffer[i];
    }
    p[i] -= lr_here * g;
  });
}

}  // namespace furrow::ref
