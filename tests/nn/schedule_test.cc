// Learning rates, against PyTorch's (tests/data/make_training_golden.py) and against the formulas.
#include "nn/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/error.h"
#include "tests/kernels/golden.h"

namespace furrow {
namespace {

Plateau plateau_of(const Golden& golden, const std::string& one) {
  return {.maximise = golden.option(one, 0) != 0,
          .factor = golden.option(one, 1),
          .patience = static_cast<int>(golden.option(one, 2)),
          .threshold = golden.option(one, 3),
          .min_lr = golden.option(one, 4)};
}

// A copy through its state at every epoch: what a resumed run does.
TEST(Plateau, IsPyTorchsRuleAlsoWhereItResumes) {
  const Golden golden("training");
  for (const std::string& one : golden.cases("plateau")) {
    const double lr = golden.option(one, 5);
    auto schedule = plateau_schedule(lr, plateau_of(golden, one));
    const auto metrics = golden.get(one + "/metrics").values<double>(),
               rates = golden.get(one + "/rates").values<double>();
    int changes = 0;
    for (size_t epoch = 0; epoch < metrics.size(); ++epoch) {
      changes += epoch > 0 && rates[epoch] != rates[epoch - 1];
      auto resumed = plateau_schedule(lr, plateau_of(golden, one));
      resumed->restore(schedule->state());
      schedule = std::move(resumed);
      schedule->after_epoch(metrics[epoch]);
      EXPECT_DOUBLE_EQ(schedule->lr(), rates[epoch]) << one << " epoch " << epoch;
    }
    if (!one.ends_with("tiny")) { EXPECT_GT(changes, 0) << one << " tests nothing"; }
  }
}

// As in PyTorch, whose best so far starts there.
TEST(Plateau, TheWorstNumberThereIsIsNoImprovement) {
  for (const bool maximise : {false, true}) {
    const double worst = maximise ? -INFINITY : INFINITY;
    const auto schedule = plateau_schedule(1, {.maximise = maximise, .factor = 0.5, .patience = 1});
    for (const double rate : {1.0, 0.5, 0.5, 0.25}) {
      schedule->after_epoch(worst);
      EXPECT_EQ(schedule->lr(), rate);
    }
    schedule->after_epoch(3);
    EXPECT_EQ(schedule->state(), (ScheduleState{{"lr", 0.25}, {"bad_epochs", 0}, {"best", 3}}));
  }
}

TEST(Plateau, TheBestNumberThereIsSurvivesResuming) {
  for (const bool maximise : {false, true}) {
    const Plateau options{.maximise = maximise, .factor = 0.5, .patience = 0};
    const auto schedule = plateau_schedule(1, options), resumed = plateau_schedule(1, options);
    schedule->after_epoch(maximise ? INFINITY : -INFINITY);
    resumed->restore(schedule->state());
    EXPECT_EQ(resumed->state(), schedule->state());
    for (const auto& [name, value] : schedule->state()) EXPECT_TRUE(std::isfinite(value)) << name;
    for (const auto& one : {schedule.get(), resumed.get()}) {
      one->after_epoch(maximise ? 1e300 : -1e300);  // no improvement: the rate falls
      EXPECT_EQ(one->lr(), 0.5);
    }
  }
}

TEST(Cosine, WarmsUpAndComesDown) {
  const auto schedule = cosine_schedule(0.1, {.steps = 110, .warm_up = 10, .min_lr = 0.01});
  std::vector<double> rates;
  for (int step = 0; step < 120; ++step, schedule->after_step()) rates.push_back(schedule->lr());
  for (size_t s = 0; s < 10; ++s) EXPECT_DOUBLE_EQ(rates[s], 0.01 * static_cast<double>(s + 1));
  EXPECT_DOUBLE_EQ(rates[10], 0.1);
  EXPECT_DOUBLE_EQ(rates[60], 0.055);  // half way
  EXPECT_DOUBLE_EQ(rates[35], 0.01 + 0.09 * (1 + std::sqrt(0.5)) / 2);
  for (size_t s = 110; s < 120; ++s) EXPECT_EQ(rates[s], 0.01);
  const auto resumed = cosine_schedule(0.1, {.steps = 110, .warm_up = 10, .min_lr = 0.01});
  resumed->restore({{"step", 60}});
  EXPECT_EQ(resumed->lr(), rates[60]);
  EXPECT_EQ(cosine_schedule(0.1, {.steps = 5, .warm_up = 5})->lr(), 0.02);
}

TEST(Constant, Stays) {
  const auto schedule = constant_schedule(0.25);
  schedule->after_step();
  schedule->after_epoch(NAN);
  EXPECT_EQ(schedule->lr(), 0.25);
  EXPECT_TRUE(schedule->state().empty());
}

TEST(Schedule, RefusesAStateThatIsNone) {
  const auto plateau = plateau_schedule(0.1, {});
  plateau->after_epoch(3);
  const ScheduleState before = plateau->state();
  for (const ScheduleState& bad :
       {ScheduleState{}, ScheduleState{{"lr", 0.1}}, ScheduleState{{"lr", NAN}, {"bad_epochs", 1}},
        ScheduleState{{"lr", 0.1}, {"bad_epochs", 0.5}}, ScheduleState{{"lr", 0.1}, {"bad_epochs", -1}},
        ScheduleState{{"lr", 0.1}, {"bad_epochs", 1}, {"best", INFINITY}}}) {
    try {
      plateau->restore(bad);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::malformed); }
    EXPECT_EQ(plateau->state(), before);
  }
  EXPECT_THROW(cosine_schedule(0.1, {})->restore({{"step", 1e300}}), Error);
}

}  // namespace
}  // namespace furrow
