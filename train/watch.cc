#include "train/watch.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace furrow::train {
namespace {

std::string terse(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

// Reports a condition when it begins.
std::optional<Warning> begin(bool& active, bool now, WarningKind kind, int64_t step, std::string text) {
  const bool fresh = now && !active;
  active = now;
  if (!fresh) return std::nullopt;
  return Warning{kind, step, std::move(text)};
}

}  // namespace

std::string_view name(WarningKind kind) {
  switch (kind) {
    case WarningKind::masks_empty: return "masks-empty";
    case WarningKind::predictions_collapsed: return "predictions-collapsed";
    case WarningKind::gradient_spike: return "gradient-spike";
    case WarningKind::not_finite: break;
  }
  return "not-finite";
}

std::optional<Warning> Watch::targets(int64_t step, uint64_t positives, uint64_t pixels) {
  if (pixels == 0) return std::nullopt;
  empty_steps_ = positives == 0 ? empty_steps_ + 1 : 0;
  return begin(empty_, empty_steps_ >= kEmptySteps, WarningKind::masks_empty, step,
               "every mask of the last " + std::to_string(empty_steps_) +
                   " steps is empty: are these the masks, and do their values mean what the configuration says?");
}

std::optional<Warning> Watch::predictions(int64_t step, uint64_t predicted, uint64_t positives, uint64_t pixels) {
  const bool none = predicted == 0 && positives > 0, all = predicted == pixels && positives < pixels;
  return begin(
      collapsed_, none || all, WarningKind::predictions_collapsed, step,
      std::string("the network predicts ") + (none ? "no wrinkle" : "a wrinkle") + " at every pixel, while " +
          terse(100 * static_cast<double>(positives) / static_cast<double>(std::max<uint64_t>(pixels, 1))) +
          " % of the targets are wrinkles");
}

std::optional<Warning> Watch::gradient(int64_t step, double norm) {
  if (!std::isfinite(norm)) return std::nullopt;  // not_finite() reports those
  double median = 0;
  if (norms_.size() >= kFewest) {
    std::vector<double> sorted(norms_.begin(), norms_.end());
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::ranges::nth_element(sorted, middle);
    median = *middle;
  }
  norms_.push_back(norm);
  if (norms_.size() > kWindow) norms_.pop_front();
  return begin(spike_, median > 0 && norm > kSpike * median, WarningKind::gradient_spike, step,
               "the gradient norm " + terse(norm) + " is " + terse(median > 0 ? norm / median : 0) +
                   " times the median of the steps before");
}

std::optional<Warning> Watch::not_finite(int64_t step, const std::string& where) {
  const bool bad = !where.empty();
  return begin(broken_, bad, WarningKind::not_finite, step,
               "not a finite number: " + where + "; the step was left out");
}

Watch::State Watch::state() const {
  return {{norms_.begin(), norms_.end()}, empty_steps_, empty_, collapsed_, spike_, broken_};
}

void Watch::restore(const State& state) {
  norms_.assign(state.norms.begin(), state.norms.end());
  empty_steps_ = state.empty_steps;
  empty_ = state.empty;
  collapsed_ = state.collapsed;
  spike_ = state.spike;
  broken_ = state.broken;
}

bool EarlyStopping::add(double value) {
  const bool first = std::isnan(best_) && !std::isnan(value);
  const bool better =
      first || (options_.mode == Mode::max ? value > best_ + options_.min_delta : value < best_ - options_.min_delta);
  if (better) best_ = value;
  since_best_ = better ? 0 : since_best_ + 1;
  return better;
}

void EarlyStopping::restore(double best, int64_t since_best) {
  best_ = best;
  since_best_ = since_best;
}

}  // namespace furrow::train
