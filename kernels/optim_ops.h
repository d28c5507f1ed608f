// Optimiser steps over flat buffers: what they compute. The float64 oracle is kernels/ref/optim.h, the kernels are
// kernels/cuda/optim.h.
//
// All parameters of a network lie in one flat buffer, their gradients in a second of the same layout, an optimiser's
// moments in further ones. A table of segments says where options change. One step is
//
//   norm  = || gradient / loss_scale ||_2 over everything
//   skip  = the norm is not finite (an infinity or NaN anywhere in the gradient); nothing is updated then
//   factor = 1 / loss_scale * min(1, max_norm / (norm + 1e-6))          source: torch.nn.utils.clip_grad_norm_
//   step += 1
//   update with g = factor * gradient
//
// and leaves all of that in an OptimState beside the buffers, so that a host need not wait for any of it.
#pragma once

#include <cstdint>
#include <span>
#include <variant>

namespace furrow {

// A run of parameters with options of its own: it ends where the next begins.
struct OptimSegment {
  int64_t first = 0;
  float lr_scale = 1;      // 0 freezes
  float weight_decay = 0;  // 0 for biases and normalisations, where they are to be left out
};

// AdamW with decoupled decay, in the order of torch.optim.AdamW, for step number t = 1, 2, ... and a segment's lr:
//   p -= lr * weight_decay * p
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
struct AdamW {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};

// Stochastic gradient descent in the order of torch.optim.SGD without dampening; `buffer` starts as zeros:
//   g += weight_decay * p;  buffer = momentum * buffer + g;  p -= lr * (nesterov ? g + momentum * buffer : buffer)
struct Sgd {
  double momentum = 0;
  bool nesterov = false;
};

// What a loss scale becomes: multiplied by `backoff` where a step is skipped, by `growth` after `interval` steps in a
// row that were not. interval 0: it stays. So it does where it would fall below kLeastLossScale or grow past the
// largest float: neither 0 nor an infinity could ever be left again. Source: torch.cuda.amp.GradScaler, but for the
// floor.
constexpr float kLeastLossScale = 0x1p-14f;
struct LossScaling {
  int32_t interval = 0;
  float growth = 2, backoff = 0.5f;
};

// What one step is told, beside the buffers.
struct OptimStep {
  std::variant<AdamW, Sgd> optimiser = AdamW{};
  double lr = 0;
  std::span<const OptimSegment> segments = {};  // begin at 0, sorted
  double max_norm = 0;                          // 0: no clipping
  LossScaling scaling = {};
};

// Lives beside the buffers. A new run starts from a default one; a resumed run from the saved step, skipped, loss_scale
// and good_steps.
struct OptimState {
  double norm = 0;         // of the last gradient, unscaled, before clipping
  int64_t step = 0;        // updates done, the one under way counted
  int64_t skipped = 0;     // updates left out
  double factor = 0;       // what the update multiplies a gradient by
  float loss_scale = 1;    // for the next gradient
  int32_t good_steps = 0;  // since loss_scale last changed
  int32_t skip = 0;        // 1: the last update was left out
};

}  // namespace furrow
