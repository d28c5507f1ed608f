// What is worth a warning while a network trains, and when to stop.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace furrow::train {

enum class WarningKind : uint8_t { masks_empty, predictions_collapsed, gradient_spike, not_finite };
// "masks-empty", "predictions-collapsed", "gradient-spike", "not-finite": how logs and docs call them.
std::string_view name(WarningKind kind);

struct Warning {
  WarningKind kind;
  int64_t step = 0;
  std::string text;  // one sentence with the numbers
};

// Looks at numbers that the run has anyway. Each kind is reported when it begins and again only after it has ended, so
// that a run that stays bad says so once.
class Watch {
 public:
  // A step's share of target pixels that are positive, over everything since the last call. All empty for kEmptySteps
  // steps in a row: the masks are the wrong ones, or their values are not what the configuration says.
  std::optional<Warning> targets(int64_t step, uint64_t positives, uint64_t pixels);
  // Of a validation: predicted positives among `pixels`, while the targets do hold some.
  std::optional<Warning> predictions(int64_t step, uint64_t predicted, uint64_t positives, uint64_t pixels);
  // A step's gradient norm before clipping: over kSpike times the median of the last kWindow of them.
  std::optional<Warning> gradient(int64_t step, double norm);
  // A step whose loss or gradient was not finite. `where` names the first bad tensor and element, or is "".
  std::optional<Warning> not_finite(int64_t step, const std::string& where);

  static constexpr int64_t kEmptySteps = 20;
  static constexpr size_t kWindow = 101, kFewest = 20;  // no median of fewer norms
  static constexpr double kSpike = 100;

  // For a checkpoint: a resumed run warns as the unbroken one.
  struct State {
    std::vector<double> norms;  // oldest first
    int64_t empty_steps = 0;
    bool empty = false, collapsed = false, spike = false, broken = false;
  };
  State state() const;
  void restore(const State& state);

 private:
  std::deque<double> norms_;
  int64_t empty_steps_ = 0;
  bool empty_ = false, collapsed_ = false, spike_ = false, broken_ = false;
};

// Ends a run that improves no more, and says which epoch is the best one.
class EarlyStopping {
 public:
  enum class Mode : uint8_t { max, min };
  struct Options {
    Mode mode = Mode::max;
    int64_t patience = 0;  // epochs without improvement after which to stop; 0: never
    double min_delta = 0;  // an improvement is more than this
  };
  explicit EarlyStopping(Options options) : options_(options) {}

  // The value of one more epoch (a NaN is no improvement). True where it is the best so far.
  bool add(double value);
  bool should_stop() const { return options_.patience > 0 && since_best_ >= options_.patience; }
  // NaN before the first value.
  double best() const { return best_; }
  int64_t since_best() const { return since_best_; }
  void restore(double best, int64_t since_best);

 private:
  Options options_;
  double best_ = std::numeric_limits<double>::quiet_NaN();
  int64_t since_best_ = 0;
};

}  // namespace furrow::train
