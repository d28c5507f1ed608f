#include "losses/metrics.h"

#include <vector>

#include "kernels/error.h"
#include "kernels/ref/metrics.h"

namespace furrow {
namespace {

struct Fraction {
  PixelCount over, under;
};

std::array<Fraction, kRates> fractions(const PixelCounts& c) {
  return {{{c.tp, c.tp + c.fp + c.fn},
           {2 * c.tp, 2 * c.tp + c.fp + c.fn},
           {c.tp, c.tp + c.fp},
           {c.tp, c.tp + c.fn},
           {c.tn, c.tn + c.fp},
           {c.tp + c.tn, c.tp + c.fp + c.fn + c.tn}}};
}

double value(const Fraction& f) {
  return f.under == 0 ? 0.0 : static_cast<double>(f.over) / static_cast<double>(f.under);
}

}  // namespace

PixelCounts& operator+=(PixelCounts& to, const PixelCounts& more) {
  to.tp += more.tp;
  to.fp += more.fp;
  to.fn += more.fn;
  to.tn += more.tn;
  return to;
}

bool operator==(const PixelCounts& a, const PixelCounts& b) {
  return a.tp == b.tp && a.fp == b.fp && a.fn == b.fn && a.tn == b.tn;
}

PixelCounts count(std::span<const float> scores, double threshold, std::span<const uint8_t> targets,
                  std::span<const uint8_t> region) {
  require(scores.size() == targets.size() && (region.empty() || region.size() == targets.size()), "count: lengths");
  PixelCounts counts;
  ref::count_pixels(std::vector<double>(scores.begin(), scores.end()), threshold, targets, region, counts);
  return counts;
}

Rates pooled_rates(const PixelCounts& counts) {
  Rates rates;
  const auto all = fractions(counts);
  for (size_t i = 0; i < kRates; ++i) rates[i] = value(all[i]);
  return rates;
}

Rates picture_rates(const PixelCounts& c) {
  Rates rates = pooled_rates(c);
  if (c.tp + c.fp + c.fn + c.tn == 0) return {};
  if (c.tn + c.fp == 0) rates[static_cast<size_t>(Rate::specificity)] = std::nullopt;
  if (c.tp + c.fp + c.fn > 0) return rates;
  for (const Rate rate : {Rate::iou, Rate::f1, Rate::precision, Rate::recall}) rates[static_cast<size_t>(rate)] = 1.0;
  return rates;
}

}  // namespace furrow
