// The losses with their gradients, as kernels/losses.h writes them.
#include "kernels/ref/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace furrow::ref {
namespace {

double softplus(double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))); }
double sigmoid(double z) { return z < 0 ? std::exp(z) / (1 + std::exp(z)) : 1 / (1 + std::exp(-z)); }

// A pixel's logit as the loss sees it, and its derivative with respect to the network's output.
struct Logit {
  double z, slope;
};
Logit logit_of(const DiceFocal& form, double output) {
  if (!form.double_sigmoid) return {output, 1};
  return {sigmoid(output), sigmoid(output) * sigmoid(-output)};
}

struct ValueAndSlope {
  double value, slope;  // d value / dz
};
ValueAndSlope focal_of(const DiceFocal& form, double z, double t) {
  const bool outside = form.clamp && (z < kFocalClampLowLogit || z > kFocalClampHighLogit);
  if (form.clamp) z = std::clamp(z, kFocalClampLowLogit, kFocalClampHighLogit);
  const double p = sigmoid(z), q = sigmoid(-z), ln_p = -softplus(-z), ln_q = -softplus(z), gamma = form.gamma;
  const double positive = t * form.alpha_positive * form.pos_weight, negative = (1 - t) * form.alpha_negative;
  const double value = positive * std::pow(q, gamma) * -ln_p + negative * std::pow(p, gamma) * -ln_q;
  const double slope =
      positive * std::pow(q, gamma) * (gamma * p * ln_p - q) + negative * std::pow(p, gamma) * (p - gamma * q * ln_q);
  return {value, outside ? 0 : slope};
}

}  // namespace

DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.c == 1 && s.elements() > 0 && t.shape() == s && (dz == nullptr || dz->shape() == s), "dice_focal: shapes");
  const int64_t images = s.n, pixels = s.h * s.w;
  const auto B = static_cast<double>(form.dice_over_batch ? 1 : images), N = static_cast<double>(s.elements());
  const double *output = z.values<double>().data(), *target = t.values<double>().data();
  const auto focal_target = [&](int64_t image, int64_t pixel) {
    if (!form.batch_broadcast) return target[image * pixels + pixel];
    double sum = 0;
    for (int64_t b = 0; b < images; ++b) sum += target[b * pixels + pixel];
    return sum / static_cast<double>(images);
  };

  // Sums I and X of each image, or of all in place of the first.
  std::vector<double> both(static_cast<size_t>(images)), different(static_cast<size_t>(images));
  double focal = 0;
  for (int64_t b = 0; b < images; ++b)
    for (int64_t i = 0; i < pixels; ++i) {
      const double logit = logit_of(form, output[b * pixels + i]).z, target_here = target[b * pixels + i];
      const double p = sigmoid(logit), q = sigmoid(-logit), m = 1 + form.dice_map_weight * target_here;
      const size_t sums = form.dice_over_batch ? 0 : static_cast<size_t>(b);
      both[sums] += m * p * target_here;
      different[sums] += m * (p * (1 - target_here) + q * target_here);
      focal += focal_of(form, logit, focal_target(b, i)).value;
    }

  DiceFocalValue value{.focal = focal / N};
  for (size_t b = 0; b < static_cast<size_t>(B); ++b)
    value.dice += different[b] / (different[b] + 2 * both[b] + form.eps) / B;
  value.total = form.dice_weight * value.dice + form.focal_weight * value.focal;
  if (dz == nullptr) return value;

  double* gradient = dz->values<double>().data();
  for (int64_t b = 0; b < images; ++b) {
    const size_t sums = form.dice_over_batch ? 0 : static_cast<size_t>(b);
    const double S = different[sums] + 2 * both[sums], D = (2 * both[sums] + form.eps) / (S + form.eps);
    for (int64_t i = 0; i < pixels; ++i) {
      const Logit logit = logit_of(form, output[b * pixels + i]);
      const double target_here = target[b * pixels + i], m = 1 + form.dice_map_weight * target_here;
      const double dice = -m * (2 * target_here - D) / (S + form.eps) * sigmoid(logit.z) * sigmoid(-logit.z) / B;
      const double focal_slope = focal_of(form, logit.z, focal_target(b, i)).slope / N;
      gradient[b * pixels + i] = (form.dice_weight * dice + form.focal_weight * focal_slope) * logit.slope;
    }
  }
  return value;
}

CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.c >= 1 && labels.shape() == Shape{s.n, s.h, s.w, 1} && (dz == nullptr || dz->shape() == s),
          "cross_entropy: shapes");
  require(form.class_weights.empty() || static_cast<int64_t>(form.class_weights.size()) == s.c,
          "cross_entropy: a weight per class");
  const double* logits = z.values<double>().data();
  const auto label = labels.values<int32_t>();
  const auto counts = [&](int64_t pixel) {
    const int32_t y = label[static_cast<size_t>(pixel)];
    return y != form.ignore_index && y >= 0 && y < s.c;
  };
  const auto weight_of = [&](int64_t pixel) {
    const auto y = static_cast<size_t>(label[static_cast<size_t>(pixel)]);
    return form.class_weights.empty() ? 1.0 : static_cast<double>(form.class_weights[y]);
  };
  // logsumexp = z_top + log1p(others), so that a right and certain pixel keeps its digits.
  struct Spread {
    int64_t top;
    double others;
  };
  const auto spread_of = [&](const double* row) {
    const int64_t top = std::max_element(row, row + s.c) - row;
    double others = 0;
    for (int64_t c = 0; c < s.c; ++c) others += c == top ? 0 : std::exp(row[c] - row[top]);
    return Spread{top, others};
  };

  CrossEntropyValue value;
  for (int64_t i = 0; i < s.pixels(); ++i) {
    const int32_t y = label[static_cast<size_t>(i)];
    if (!counts(i)) {
      value.invalid += y != form.ignore_index;
      continue;
    }
    const Spread spread = spread_of(logits + i * s.c);
    value.loss += weight_of(i) * (logits[i * s.c + spread.top] - logits[i * s.c + y] + std::log1p(spread.others));
    value.weight += weight_of(i);
  }
  value.loss = value.weight > 0 ? value.loss / value.weight : 0;
  if (dz == nullptr) return value;

  double* gradient = dz->values<double>().data();
  for (int64_t i = 0; i < s.pixels(); ++i) {
    const double* row = logits + i * s.c;
    const Spread spread = spread_of(row);
    for (int64_t c = 0; c < s.c; ++c) {
      double& to = gradient[i * s.c + c];
      if (!counts(i) || value.weight <= 0) {
        to = 0;
        continue;
      }
      const int64_t y = label[static_cast<size_t>(i)];
      const double share = std::exp(row[c] - row[spread.top]) / (1 + spread.others);
      const double softmax_less_one = c == spread.top ? -spread.others / (1 + spread.others) : share - 1;
      to = weight_of(i) / value.weight * (c == y ? softmax_less_one : share);
    }
  }
  return value;
}

SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  const Shape& s = z.shape();
  require(form.first_class >= 0 && form.first_class < s.c, "soft_dice: no class is left");
  const CrossEntropyValue entropy = cross_entropy(form.entropy, z, labels, dz);
  const double* logits = z.values<double>().data();
  const auto label = labels.values<int32_t>();
  const auto counts = [&](int64_t pixel) {
    const int32_t y = label[static_cast<size_t>(pixel)];
    return y != form.entropy.ignore_index && y >= 0 && y < s.c;
  };
  std::vector<double> p(static_cast<size_t>(s.c));
  const auto softmax = [&](int64_t pixel) {  // into p
    const double* row = logits + pixel * s.c;
    const double top = *std::max_element(row, row + s.c);
    double sum = 0;
    for (size_t c = 0; c < p.size(); ++c) sum += p[c] = std::exp(row[c] - top);
    for (double& value : p) value /= sum;
  };

  const int64_t classes = s.c - form.first_class, of_class = form.classes_together ? 1 : classes,
                of_image = form.over_batch ? 1 : s.n, groups = of_class * of_image, per_image = s.h * s.w;
  const auto group_of = [&](int64_t pixel, int64_t c) {
    const int64_t image = form.over_batch ? 0 : pixel / per_image;
    return static_cast<size_t>(image * of_class + (form.classes_together ? 0 : c - form.first_class));
  };
  std::vector<double> both(static_cast<size_t>(groups)), different(both.size());
  for (int64_t i = 0; i < s.pixels(); ++i) {
    if (!counts(i)) continue;
    softmax(i);
    for (int64_t c = form.first_class; c < s.c; ++c) {
      const double here = p[static_cast<size_t>(c)];
      if (c != label[static_cast<size_t>(i)]) {
        different[group_of(i, c)] += here;
        continue;
      }
      both[group_of(i, c)] += here;
      for (int64_t k = 0; k < s.c; ++k) different[group_of(i, c)] += k == c ? 0 : p[static_cast<size_t>(k)];  // 1 - p
    }
  }
  const auto G = static_cast<double>(groups);
  SoftDiceValue value{.entropy = entropy.loss, .weight = entropy.weight, .invalid = entropy.invalid};
  for (size_t g = 0; g < both.size(); ++g) value.dice += different[g] / (different[g] + 2 * both[g] + form.eps) / G;
  value.total = form.dice_weight * value.dice + form.entropy_weight * value.entropy;
  if (dz == nullptr) return value;

  double* gradient = dz->values<double>().data();  // holds that of the cross-entropy
  std::vector<double> a(p.size());                 // d dice / dp
  for (int64_t i = 0; i < s.pixels(); ++i) {
    if (!counts(i)) continue;
    softmax(i);
    for (int64_t c = form.first_class; c < s.c; ++c) {
      const size_t g = group_of(i, c);
      const double S = different[g] + 2 * both[g], D = (2 * both[g] + form.eps) / (S + form.eps);
      a[static_cast<size_t>(c)] = (D - 2 * (c == label[static_cast<size_t>(i)])) / ((S + form.eps) * G);
    }
    for (size_t c = 0; c < p.size(); ++c) {
      double dice = 0;
      for (size_t k = 0; k < p.size(); ++k) dice += p[c] * p[k] * (a[c] - a[k]);
      double& to = gradient[i * s.c + static_cast<int64_t>(c)];
      to = form.dice_weight * dice + form.entropy_weight * to;
    }
  }
  return value;
}

}  // namespace furrow::ref
