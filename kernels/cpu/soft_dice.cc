// Soft Dice beside cross-entropy (kernels/losses.h), in two passes over the pixels: sums, then gradients.
//
// With e_c = exp(z_c - z_top), `others` the sum of all but the largest and all = 1 + others: p_c = e_c / all, and 1 -
// p_c is others / all of the largest channel, (all - e_c) / all of another, which cancels nothing. The first pass
// leaves e_c in dz, so that each exponential is computed once. The Dice's gradient is taken with a_c less that of the
// largest channel: then a certain pixel's sum has small terms alone. Values are sums in double, of blocks whose size
// depends on nothing, in order: the same bits for any number of threads.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kSoftPixels = 4096;

// A pixel's exponentials, and what they add up to without the largest.
struct SoftSpread {
  int64_t top;
  float others;
};
SoftSpread exponentials(const float* row, int64_t channels, float* e) {
  const int64_t top = std::max_element(row, row + channels) - row;
  float others = 0;
  for (int64_t c = 0; c < channels; ++c) {
    e[c] = c == top ? row[c] - row[c] + 1 : std::exp(row[c] - row[top]);  // NaN where the largest is not finite
    others += c == top ? 0 : e[c];
  }
  return {top, others};
}

// SoftSums of a block of pixels, or of all: I and X of every class, then the cross-entropy's.
struct SoftSums {
  std::vector<double> both, different;
  double entropy = 0, weight = 0;
  int64_t invalid = 0;
};

// What the gradient needs of a class of an image: D, and dice_weight / ((S + eps) G).
struct Group {
  float D = 0, scale = 0;
};

class SoftDiceRun {
 public:
  SoftDiceRun(const SoftDice& form, const Tensor& z, const Tensor& labels)
      : form_(form),
        s_(z.shape()),
        logits_(z.values<float>().data()),
        label_(labels.values<int32_t>().data()),
        per_image_(s_.h * s_.w),
        blocks_(ceil_div(per_image_, kSoftPixels)) {}

  int64_t tasks() const { return s_.n * blocks_; }
  // e, where not null, receives the exponentials of the pixels that count.
  void sum(int64_t task, float* e, SoftSums& to) const {
    std::vector<float> aside(static_cast<size_t>(s_.c));
    to.both.resize(aside.size()), to.different.resize(aside.size());
    for_pixels(task, [&](int64_t i, int32_t y) {
      if (!counts(y)) {
        to.invalid += y != form_.entropy.ignore_index;
        return;
      }
      const float* row = logits_ + i * s_.c;
      float* exponential = e != nullptr ? e + i * s_.c : aside.data();
      const SoftSpread spread = exponentials(row, s_.c, exponential);
      const float all = 1 + spread.others;
      const double w = static_cast<double>(weight_of(y));
      // Two logits may be further apart than float32 reaches.
      const double apart = static_cast<double>(row[spread.top]) - static_cast<double>(row[y]);
      to.entropy += w * (apart + static_cast<double>(std::log1p(spread.others)));
      to.weight += w;
      for (int64_t c = form_.first_class; c < s_.c; ++c) {
        const float p = exponential[c] / all;
        if (c == y) to.both[static_cast<size_t>(c)] += static_cast<double>(p);
        const float rest = (c == spread.top ? spread.others : all - exponential[c]) / all;
        to.different[static_cast<size_t>(c)] += static_cast<double>(c == y ? rest : p);
      }
    });
  }

  // dz of a block of pixels, in place of the exponentials.
  void gradient(int64_t task, const std::vector<Group>& groups, double entropy_scale, float* dz) const {
    const Group* of_image = groups.data() + task / blocks_ * s_.c;
    for_pixels(task, [&](int64_t i, int32_t y) {
      float* e = dz + i * s_.c;
      if (!counts(y)) {
        std::fill_n(e, s_.c, 0.0f);
        return;
      }
      const float* row = logits_ + i * s_.c;
      const int64_t top = std::max_element(row, row + s_.c) - row;
      float others = 0;
      for (int64_t c = 0; c < s_.c; ++c) others += c == top ? 0 : e[c];
      const float all = 1 + others, entropy = static_cast<float>(entropy_scale * static_cast<double>(weight_of(y)));
      const auto a = [&](int64_t c) { return of_image[c].scale * (of_image[c].D - (c == y ? 2.0f : 0.0f)); };
      const float a_top = a(top);
      float mean = 0;
      for (int64_t c = 0; c < s_.c; ++c) mean += c == top ? 0 : e[c] / all * (a(c) - a_top);
      for (int64_t c = 0; c < s_.c; ++c) {
        const float p = e[c] / all, dice = p * ((c == top ? 0 : a(c) - a_top) - mean);
        // Of the largest: softmax - 1 without the difference of two numbers near 1.
        const float slope = c != y ? p : c == top ? -others / all : p - 1;
        e[c] = dice + entropy * slope;
      }
    });
  }

 private:
  bool counts(int32_t y) const { return y != form_.entropy.ignore_index && y >= 0 && y < s_.c; }
  float weight_of(int32_t y) const {
    return form_.entropy.class_weights.empty() ? 1.0f : form_.entropy.class_weights[static_cast<size_t>(y)];
  }
  template <class Body>
  void for_pixels(int64_t task, const Body& body) const {
    const int64_t image = task / blocks_ * per_image_, begin = task % blocks_ * kSoftPixels;
    for (int64_t i = begin; i < std::min(begin + kSoftPixels, per_image_); ++i) body(image + i, label_[image + i]);
  }

  const SoftDice& form_;
  Shape s_;
  const float* logits_;
  const int32_t* label_;
  int64_t per_image_, blocks_;
};

}  // namespace

SoftDiceValue CpuBackend::soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.elements() > 0 && labels.shape() == Shape{s.n, s.h, s.w, 1} && (dz == nullptr || dz->shape() == s),
          "soft_dice: shapes");
  require(form.first_class >= 0 && form.first_class < s.c, "soft_dice: no class is left");
  require(form.entropy.class_weights.empty() || static_cast<int64_t>(form.entropy.class_weights.size()) == s.c,
          "soft_dice: a weight per class");
  const SoftDiceRun run(form, z, labels);
  float* gradient = dz != nullptr ? dz->values<float>().data() : nullptr;
  std::vector<SoftSums> parts(static_cast<size_t>(run.tasks()));
  for_tasks(pool_, run.tasks(), [&](int64_t task, int) { run.sum(task, gradient, parts[static_cast<size_t>(task)]); });

  const int64_t first = form.first_class, of_class = form.classes_together ? 1 : s.c - first,
                images = form.over_batch ? 1 : s.n, blocks = run.tasks() / s.n;
  const auto G = static_cast<double>(images * of_class);
  const auto group_of = [&](int64_t image, int64_t c) {
    return static_cast<size_t>((form.over_batch ? 0 : image) * of_class + (form.classes_together ? 0 : c - first));
  };
  std::vector<double> both(static_cast<size_t>(images * of_class)), different(both.size());
  SoftDiceValue value;
  for (int64_t task = 0; task < run.tasks(); ++task) {
    const SoftSums& part = parts[static_cast<size_t>(task)];
    for (int64_t c = first; c < s.c; ++c) {
      const size_t group = group_of(task / blocks, c);
      both[group] += part.both[static_cast<size_t>(c)], different[group] += part.different[static_cast<size_t>(c)];
    }
    value.entropy += part.entropy, value.weight += part.weight, value.invalid += part.invalid;
  }
  value.entropy = value.weight > 0 ? value.entropy / value.weight : 0;
  for (size_t g = 0; g < both.size(); ++g) value.dice += different[g] / (different[g] + 2 * both[g] + form.eps) / G;
  value.total = form.dice_weight * value.dice + form.entropy_weight * value.entropy;
  if (gradient == nullptr) return value;

  std::vector<Group> groups(static_cast<size_t>(s.n * s.c));  // of a class in no group: 0
  for (int64_t image = 0; image < s.n; ++image)
    for (int64_t c = first; c < s.c; ++c) {
      const size_t g = group_of(image, c);
      const double bottom = different[g] + 2 * both[g] + form.eps;
      groups[static_cast<size_t>(image * s.c + c)] = {static_cast<float>((2 * both[g] + form.eps) / bottom),
                                                      static_cast<float>(form.dice_weight / (bottom * G))};
    }
  const double entropy_scale = value.weight > 0 ? form.entropy_weight / value.weight : 0;
  for_tasks(pool_, run.tasks(), [&](int64_t task, int) { run.gradient(task, groups, entropy_scale, gradient); });
  return value;
}

}  // namespace furrow::cpu
