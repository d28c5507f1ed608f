// Optimiser steps over flat buffers, as kernels/optim_ops.h writes them: in float32, what depends on the step alone in
// double.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTaskElements = 16384;

int64_t count_of(const Tensor& t) {
  require((t.shape() == Shape{1, 1, 1, t.shape().c}), "optimiser: a flat buffer is {1,1,1,COUNT}");
  return t.shape().c;
}

// body(begin, end, lr, weight decay) for runs of one segment each.
template <class Body>
void for_each_run(ThreadPool* pool, double lr, std::span<const OptimSegment> segments, int64_t count,
                  const Body& body) {
  require(!segments.empty() && segments[0].first == 0 &&
              std::ranges::is_sorted(segments, {}, [](const OptimSegment& s) { return s.first; }),
          "optimiser: segments begin at 0 and are sorted");
  for_tasks(pool, ceil_div(count, kTaskElements), [&](int64_t task, int) {
    const int64_t end = std::min((task + 1) * kTaskElements, count);
    int64_t at = task * kTaskElements;
    size_t k =
        static_cast<size_t>(std::ranges::upper_bound(segments, at, {}, &OptimSegment::first) - segments.begin()) - 1;
    for (; at < end; ++k) {
      const int64_t stop = k + 1 < segments.size() ? std::min(segments[k + 1].first, end) : end;
      body(at, stop, lr * static_cast<double>(segments[k].lr_scale), static_cast<double>(segments[k].weight_decay));
      at = stop;
    }
  });
}

}  // namespace

void CpuBackend::optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) {
  const int64_t count = count_of(gradient), tasks = ceil_div(count, kTaskElements);
  const float* g = gradient.values<float>().data();
  std::vector<double> parts(static_cast<size_t>(tasks));
  for_tasks(pool_, tasks, [&](int64_t task, int) {
    constexpr int64_t kSide = 8;  // sums side by side, so that one need not wait for another
    double sums[kSide] = {};
    int64_t i = task * kTaskElements;
    const int64_t end = std::min(i + kTaskElements, count);
    for (; i + kSide <= end; i += kSide)
      for (int64_t j = 0; j < kSide; ++j) sums[j] += static_cast<double>(g[i + j]) * static_cast<double>(g[i + j]);
    for (; i < end; ++i) sums[0] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    for (const double sum : sums) parts[static_cast<size_t>(task)] += sum;
  });
  double squares = 0;
  for (const double part : parts) squares += part;

  const auto scale = static_cast<double>(state.loss_scale);
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

void CpuBackend::adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                       const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) {
  const int64_t count = count_of(p);
  require(count_of(gradient) == count && count_of(m) == count && count_of(v) == count, "adamw: sizes");
  if (state.skip != 0) return;
  const auto t = static_cast<double>(state.step);
  const double correction1 = 1 - std::pow(options.beta1, t), correction2 = 1 - std::pow(options.beta2, t);
  const auto factor = static_cast<float>(state.factor), eps = static_cast<float>(options.eps),
             root = static_cast<float>(1 / std::sqrt(correction2)), beta1 = static_cast<float>(options.beta1),
             beta2 = static_cast<float>(options.beta2), rest1 = static_cast<float>(1 - options.beta1),
             rest2 = static_cast<float>(1 - options.beta2);
  const float* from = gradient.values<float>().data();
  float *first = m.values<float>().data(), *second = v.values<float>().data(), *to = p.values<float>().data();
  for_each_run(pool_, lr, segments, count, [&](int64_t begin, int64_t end, double lr_here, double decay) {
    const auto keep = static_cast<float>(1 - lr_here * decay), step = static_cast<float>(lr_here / correction1);
    for (int64_t i = begin; i < end; ++i) {
      const float g = factor * from[i];
      first[i] = beta1 * first[i] + rest1 * g;
      second[i] = beta2 * second[i] + rest2 * g * g;
      to[i] = to[i] * keep - step * first[i] / (std::sqrt(second[i]) * root + eps);
    }
  });
}

void CpuBackend::sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                     const Tensor& gradient, Tensor& buffer, Tensor& p) {
  const int64_t count = count_of(p);
  require(count_of(gradient) == count && (options.momentum == 0 || count_of(buffer) == count), "sgd: sizes");
  if (state.skip != 0) return;
  const auto factor = static_cast<float>(state.factor), momentum = static_cast<float>(options.momentum);
  const float* from = gradient.values<float>().data();
  float* kept = options.momentum != 0 ? buffer.values<float>().data() : nullptr;
  float* to = p.values<float>().data();
  for_each_run(pool_, lr, segments, count, [&](int64_t begin, int64_t end, double lr_here, double weight_decay) {
    const auto step = static_cast<float>(lr_here), decay = static_cast<float>(weight_decay);
    for (int64_t i = begin; i < end; ++i) {
      float g = factor * from[i] + decay * to[i];
      if (kept != nullptr) {
        kept[i] = momentum * kept[i] + g;
        g = options.nesterov ? g + momentum * kept[i] : kept[i];
      }
      to[i] -= step * g;
    }
  });
}

}  // namespace furrow::cpu
