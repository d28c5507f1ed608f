#include "nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double number(const ScheduleState& state, const std::string& name) {
  const auto found = state.find(name);
  if (found == state.end() || !std::isfinite(found->second))
    throw Error(ErrorCode::malformed, "the schedule's state has no number \"" + name + "\"");
  return found->second;
}

int64_t count(const ScheduleState& state, const std::string& name) {
  const double value = number(state, name);
  if (value < 0 || value >= 0x1p53 || value != std::floor(value))
    throw Error(ErrorCode::malformed, "\"" + name + "\" in the schedule's state is no count");
  return static_cast<int64_t>(value);
}

class Constant : public Schedule {
 public:
  explicit Constant(double lr) : lr_(lr) {}
  double lr() const override { return lr_; }
  ScheduleState state() const override { return {}; }
  void restore(const ScheduleState&) override {}

 private:
  double lr_;
};

class ReduceOnPlateau : public Schedule {
 public:
  ReduceOnPlateau(double lr, const Plateau& options) : options_(options), lr_(lr) {}
  double lr() const override { return lr_; }

  void after_epoch(double metric) override {
    bad_epochs_ = improves(metric) ? 0 : bad_epochs_ + 1;
    if (bad_epochs_ == 0) best_ = metric;
    if (bad_epochs_ <= options_.patience) return;
    const double less = std::max(lr_ * options_.factor, options_.min_lr);
    if (lr_ - less > 1e-8) lr_ = less;
    bad_epochs_ = 0;
  }

  // No "best" before the first epoch. An infinite one, which can only be the best there is, stands under another name.
  ScheduleState state() const override {
    ScheduleState s{{"lr", lr_}, {"bad_epochs", static_cast<double>(bad_epochs_)}};
    if (best_ && std::isfinite(*best_)) s["best"] = *best_;
    if (best_ && !std::isfinite(*best_)) s["best_of_all"] = 1;
    return s;
  }
  void restore(const ScheduleState& state) override {
    const double lr = number(state, "lr");
    const int64_t bad_epochs = count(state, "bad_epochs");
    std::optional<double> best;
    if (state.contains("best")) best = number(state, "best");
    if (state.contains("best_of_all")) best = options_.maximise ? kInfinity : -kInfinity;
    lr_ = lr, bad_epochs_ = bad_epochs, best_ = best;
  }

 private:
  bool improves(double metric) const {
    if (!best_) return options_.maximise ? metric > -kInfinity : metric < kInfinity;
    return options_.maximise ? metric > *best_ * (1 + options_.threshold) : metric < *best_ * (1 - options_.threshold);
  }

  Plateau options_;
  double lr_;
  std::optional<double> best_;  // none: infinitely bad
  int64_t bad_epochs_ = 0;
};

class HalfCosine : public Schedule {
 public:
  HalfCosine(double lr, const Cosine& options) : options_(options), lr_(lr) {}
  double lr() const override {
    const auto s = static_cast<double>(step_), W = static_cast<double>(options_.warm_up),
               T = static_cast<double>(options_.steps);
    if (step_ < options_.warm_up) return lr_ * (s + 1) / W;
    if (step_ >= options_.steps) return options_.min_lr;
    return options_.min_lr + (lr_ - options_.min_lr) * (1 + std::cos(std::numbers::pi * (s - W) / (T - W))) / 2;
  }
  void after_step() override { ++step_; }
  ScheduleState state() const override { return {{"step", static_cast<double>(step_)}}; }
  void restore(const ScheduleState& state) override { step_ = count(state, "step"); }

 private:
  Cosine options_;
  double lr_;
  int64_t step_ = 0;
};

}  // namespace

std::unique_ptr<Schedule> constant_schedule(double lr) { return std::make_unique<Constant>(lr); }

std::unique_ptr<Schedule> plateau_schedule(double lr, const Plateau& options) {
  require(options.factor > 0 && options.factor < 1 && options.patience >= 0, "plateau_schedule: options");
  return std::make_unique<ReduceOnPlateau>(lr, options);
}

std::unique_ptr<Schedule> cosine_schedule(double lr, const Cosine& options) {
  require(options.warm_up >= 0 && options.warm_up <= options.steps, "cosine_schedule: options");
  return std::make_unique<HalfCosine>(lr, options);
}

}  // namespace furrow
