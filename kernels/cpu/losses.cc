// Losses of the Backend page with their gradients. Values are sums in double, of blocks whose size depends on nothing,
// in order.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kLossPixels = 4096;

const float* in(const Tensor& t) { return t.values<float>().data(); }

ClampedEnd end_of(double logit) {
  const double p = 1 / (1 + std::exp(-logit)), q = 1 / (1 + std::exp(logit));
  return {static_cast<float>(logit), static_cast<float>(p), static_cast<float>(q),
          static_cast<float>(std::log1p(std::exp(-logit))), static_cast<float>(std::log1p(std::exp(logit)))};
}

DiceFocalOptions options_of(const DiceFocal& form) {
  return {.positive = static_cast<float>(form.alpha_positive * form.pos_weight),
          .negative = static_cast<float>(form.alpha_negative),
          .gamma = static_cast<float>(form.gamma),
          .dice_map_weight = static_cast<float>(form.dice_map_weight),
          .low = end_of(kFocalClampLowLogit),
          .high = end_of(kFocalClampHighLogit),
          .clamp = form.clamp,
          .double_sigmoid = form.double_sigmoid};
}

// The batch's mean target at every pixel.
std::vector<float> mean_targets(const float* t, int64_t images, int64_t pixels) {
  std::vector<float> mean(static_cast<size_t>(pixels));
  for (int64_t i = 0; i < pixels; ++i) {
    double sum = 0;
    for (int64_t b = 0; b < images; ++b) sum += static_cast<double>(t[b * pixels + i]);
    mean[static_cast<size_t>(i)] = static_cast<float>(sum / static_cast<double>(images));
  }
  return mean;
}

struct Sums {
  double both = 0, different = 0, focal = 0;
};

// exp of what is at most 0 over a pixel's channels, as a sum without its largest term: logsumexp = top + log1p(others).
struct Spread {
  int64_t top;
  float others;
};
Spread spread_of(const float* row, int64_t channels) {
  const int64_t top = std::max_element(row, row + channels) - row;
  float others = 0;
  for (int64_t c = 0; c < channels; ++c) others += c == top ? 0 : std::exp(row[c] - row[top]);
  return {top, others};
}

}  // namespace

DiceFocalValue CpuBackend::dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.c == 1 && s.elements() > 0 && t.shape() == s && (dz == nullptr || dz->shape() == s), "dice_focal: shapes");
  if (scratch_.counts(s.elements())) return {};
  const int64_t images = s.n, pixels = s.h * s.w, blocks = ceil_div(pixels, kLossPixels);
  const float *output = in(z), *target = in(t);
  const std::vector<float> mean = form.batch_broadcast ? mean_targets(target, images, pixels) : std::vector<float>();
  const DiceFocalOptions options = options_of(form);
  float* gradient = dz != nullptr ? dz->values<float>().data() : nullptr;
  Scratch::Use use(scratch_, gradient != nullptr ? s.elements() : 0);
  float* dice_slope = use.take(gradient != nullptr ? s.elements() : 0);

  // The slopes of both terms, of which only the sums below are still missing, are kept: each pixel's exponential and
  // logarithm are computed once.
  std::vector<Sums> parts(static_cast<size_t>(images * blocks));
  for_tasks(pool_, images * blocks, [&](int64_t task, int) {
    const int64_t image = task / blocks, begin = task % blocks * kLossPixels, at = image * pixels + begin;
    DiceFocalRun run{.z = output + at, .t = target + at, .focal_t = mean.empty() ? target + at : mean.data() + begin};
    run.count = std::min(kLossPixels, pixels - begin);
    if (gradient != nullptr) run.focal_slope = gradient + at, run.dice_slope = dice_slope + at;
    losses_->dice_focal(options, run);
    parts[static_cast<size_t>(task)] = {run.both, run.different, run.focal};
  });

  const int64_t groups = form.dice_over_batch ? 1 : images;
  const auto B = static_cast<double>(groups), N = static_cast<double>(s.elements());
  std::vector<Sums> sums(static_cast<size_t>(groups));
  double focal = 0;
  for (int64_t part = 0; part < images * blocks; ++part) {
    const Sums& from = parts[static_cast<size_t>(part)];
    Sums& to = sums[form.dice_over_batch ? 0 : static_cast<size_t>(part / blocks)];
    to.both += from.both, to.different += from.different, focal += from.focal;
  }
  DiceFocalValue value{.focal = focal / N};
  for (const Sums& group : sums) value.dice += group.different / (group.different + 2 * group.both + form.eps) / B;
  value.total = form.dice_weight * value.dice + form.focal_weight * value.focal;
  if (gradient == nullptr) return value;

  const auto focal_scale = static_cast<float>(form.focal_weight / N);
  for_tasks(pool_, images * blocks, [&](int64_t task, int) {
    const int64_t image = task / blocks, begin = task % blocks * kLossPixels, at = image * pixels + begin;
    const Sums& group = sums[form.dice_over_batch ? 0 : static_cast<size_t>(image)];
    const double S = group.different + 2 * group.both;
    const auto D = static_cast<float>((2 * group.both + form.eps) / (S + form.eps));
    const auto dice_scale = static_cast<float>(-form.dice_weight / (S + form.eps) / B);
    losses_->dice_focal_gradient({.t = target + at,
                                  .dice_slope = dice_slope + at,
                                  .dz = gradient + at,
                                  .count = std::min(kLossPixels, pixels - begin),
                                  .D = D,
                                  .dice_scale = dice_scale,
                                  .focal_scale = focal_scale});
  });
  return value;
}

CrossEntropyValue CpuBackend::cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels,
                                            Tensor* dz) {
  const Shape& s = z.shape();
  require(s.c >= 1 && labels.shape() == Shape{s.n, s.h, s.w, 1} && (dz == nullptr || dz->shape() == s),
          "cross_entropy: shapes");
  require(form.class_weights.empty() || static_cast<int64_t>(form.class_weights.size()) == s.c,
          "cross_entropy: a weight per class");
  const float* logits = in(z);
  const int32_t* label = labels.values<int32_t>().data();
  const int64_t pixels = s.pixels(), tasks = ceil_div(pixels, kLossPixels);
  const auto counts = [&](int32_t y) { return y != form.ignore_index && y >= 0 && y < s.c; };
  const auto weight_of = [&](int32_t y) {
    return form.class_weights.empty() ? 1.0f : form.class_weights[static_cast<size_t>(y)];
  };
  std::vector<CrossEntropyValue> parts(static_cast<size_t>(tasks));
  for_tasks(pool_, tasks, [&](int64_t task, int) {
    CrossEntropyValue& part = parts[static_cast<size_t>(task)];
    for (int64_t i = task * kLossPixels; i < std::min((task + 1) * kLossPixels, pixels); ++i) {
      if (!counts(label[i])) {
        part.invalid += label[i] != form.ignore_index;
        continue;
      }
      const float* row = logits + i * s.c;
      const Spread spread = spread_of(row, s.c);
      const auto weight = static_cast<double>(weight_of(label[i]));
      part.loss += weight * static_cast<double>((row[spread.top] - row[label[i]]) + std::log1p(spread.others));
      part.weight += weight;
    }
  });
  CrossEntropyValue value;
  for (const CrossEntropyValue& part : parts)
    value.loss += part.loss, value.weight += part.weight, value.invalid += part.invalid;
  value.loss = value.weight > 0 ? value.loss / value.weight : 0;
  if (dz == nullptr) return value;

  float* gradient = dz->values<float>().data();
  for_tasks(pool_, tasks, [&](int64_t task, int) {
    for (int64_t i = task * kLossPixels; i < std::min((task + 1) * kLossPixels, pixels); ++i) {
      const float* row = logits + i * s.c;
      float* to = gradient + i * s.c;
      if (!counts(label[i]) || value.weight <= 0) {
        std::fill_n(to, s.c, 0.0f);
        continue;
      }
      const Spread spread = spread_of(row, s.c);
      const auto scale = static_cast<float>(static_cast<double>(weight_of(label[i])) / value.weight);
      const float all = 1 + spread.others;
      for (int64_t c = 0; c < s.c; ++c) {
        const float share = std::exp(row[c] - row[spread.top]) / all;
        // Of the largest: softmax - 1 without the difference of two numbers near 1.
        const float less_one = c == spread.top ? -spread.others / all : share - 1;
        to[c] = scale * (c == label[i] ? less_one : share);
      }
    }
  });
  return value;
}

double CpuBackend::squared_error(const Tensor& z, const Tensor& t, Tensor* dz) {
  const int64_t elements = z.shape().elements(), tasks = ceil_div(elements, kLossPixels);
  require(elements > 0 && t.shape() == z.shape() && (dz == nullptr || dz->shape() == z.shape()),
          "squared_error: shapes");
  const float *output = in(z), *target = in(t);
  float* gradient = dz != nullptr ? dz->values<float>().data() : nullptr;
  const auto scale = static_cast<float>(2 / static_cast<double>(elements));
  std::vector<double> parts(static_cast<size_t>(tasks));
  for_tasks(pool_, tasks, [&](int64_t task, int) {
    double sum = 0;
    for (int64_t i = task * kLossPixels; i < std::min((task + 1) * kLossPixels, elements); ++i) {
      const float difference = output[i] - target[i];
      sum += static_cast<double>(difference) * static_cast<double>(difference);
      if (gradient != nullptr) gradient[i] = scale * difference;
    }
    parts[static_cast<size_t>(task)] = sum;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum / static_cast<double>(elements);
}

}  // namespace furrow::cpu
