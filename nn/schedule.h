// Learning rates over a run. A schedule is asked for lr() before every optimiser step and told of every step and epoch;
// its state is a few numbers, which a checkpoint keeps.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace furrow {

// Numbers by name; all of them finite.
using ScheduleState = std::map<std::string, double>;

class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual double lr() const = 0;                  // for the next optimiser step
  virtual void after_step() {}                    // an optimiser step was done (or skipped for a bad gradient)
  virtual void after_epoch(double /*metric*/) {}  // validation gave this; NaN is never an improvement
  virtual ScheduleState state() const = 0;
  // The state of a schedule made with the same options. Throws ErrorCode::malformed naming what is missing or no number
  // it could hold; nothing changes then.
  virtual void restore(const ScheduleState& state) = 0;
};

// Always `lr`.
std::unique_ptr<Schedule> constant_schedule(double lr);

// ReduceLROnPlateau: after `patience` epochs in a row without an improvement, one more multiplies the rate by `factor`,
// not below min_lr, and the count starts over. An improvement is more than `threshold` of the best so far (relative). A
// change of at most 1e-8 is not made. Source: torch.optim.lr_scheduler.ReduceLROnPlateau with threshold_mode "rel",
// cooldown 0.
struct Plateau {
  bool maximise = false;  // the metric is better the larger (IoU) or the smaller (a loss)
  double factor = 0.1;
  int patience = 10;
  double threshold = 1e-4;
  double min_lr = 0;
};
std::unique_ptr<Schedule> plateau_schedule(double lr, const Plateau& options);

// Linear warm-up over the first W = `warm_up` steps, then half a cosine down to min_lr at step T = `steps`, and min_lr
// from there on. For step s = 0, 1, ...: lr * (s+1)/W where s < W, else min_lr + (lr - min_lr) * (1 + cos(pi
// (s-W)/(T-W))) / 2. Source: Loshchilov and Hutter, "SGDR" (2017), formula 5, one cycle.
struct Cosine {
  int64_t steps = 1, warm_up = 0;  // warm_up <= steps
  double min_lr = 0;
};
std::unique_ptr<Schedule> cosine_schedule(double lr, const Cosine& options);

}  // namespace furrow
