// The optimisers' oracle against three steps of PyTorch, and the parts of a step that PyTorch keeps elsewhere.
#include "kernels/ref/optim.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/compare.h"
#include "tests/kernels/golden.h"

namespace furrow {
namespace {

const Golden& golden() {
  static const Golden instance("losses");
  return instance;
}

std::vector<double> values_of(const std::string& name) {
  const auto v = golden().get(name).values<double>();
  return {v.begin(), v.end()};
}

// Runs a case's three steps; `update` gets the state, the gradient and the parameters.
template <class Update>
void expect_three_steps(const std::string& one, const Update& update) {
  const std::vector<double> options = values_of(one + "/options");
  // Two groups of 12 and 7; the decay is a float32 in the table, so its rounding (6e-8 of decay * lr) is seen below.
  const OptimSegment segments[] = {{.first = 0, .weight_decay = static_cast<float>(options[1])},
                                   {.first = 12, .weight_decay = 0}};
  std::vector<double> p = values_of(one + "/p");
  OptimState state;
  for (int step = 0; step < 3; ++step) {
    const std::vector<double> g = values_of(one + "/g" + std::to_string(step)),
                              want = values_of(one + "/p" + std::to_string(step + 1));
    ref::optim_prepare(g, options[3], {}, state);
    update(options, segments, state, g, p);
    for (size_t i = 0; i < p.size(); ++i) {
      const double decay_rounding = i < 12 ? 3 * options[0] * options[1] * 0x1p-24 : 0;
      EXPECT_NEAR(p[i], want[i], 1e-14 + decay_rounding) << one << ", step " << step << ", parameter " << i;
    }
  }
  EXPECT_EQ(state.step, 3);
}

TEST(Optimisers, AdamWAgreesWithPyTorch) {
  for (const std::string& one : golden().cases("adamw")) {
    std::vector<double> m(19), v(19);
    expect_three_steps(one, [&](const std::vector<double>& o, auto& segments, const OptimState& state, auto& g,
                                std::vector<double>& p) {
      ref::adamw({.beta1 = o[4], .beta2 = o[5], .eps = o[6]}, o[0], segments, state, g, m, v, p);
    });
  }
}

TEST(Optimisers, SgdAgreesWithPyTorch) {
  for (const std::string& one : golden().cases("sgd")) {
    std::vector<double> buffer(19);
    expect_three_steps(one, [&](const std::vector<double>& o, auto& segments, const OptimState& state, auto& g,
                                std::vector<double>& p) {
      ref::sgd({.momentum = o[4], .nesterov = o[5] != 0}, o[0], segments, state, g, buffer, p);
    });
  }
}

TEST(Optimisers, UnscalesClipsSkipsAndMovesTheLossScale) {
  OptimState state{.loss_scale = 8};
  const LossScaling scaling{.interval = 2};
  const double gradient[] = {24, 32};  // 3 and 4 scaled by 8: norm 5
  ref::optim_prepare(gradient, 1, scaling, state);
  EXPECT_EQ(state.norm, 5);
  EXPECT_DOUBLE_EQ(state.factor, 1 / (5 + 1e-6) / 8);
  EXPECT_EQ(state.step, 1);
  EXPECT_EQ(state.loss_scale, 8);
  ref::optim_prepare(gradient, 0, scaling, state);
  EXPECT_EQ(state.factor, 0.125) << "without clipping";
  EXPECT_EQ(state.loss_scale, 16) << "two good steps";
  for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const double before = state.loss_scale, broken[] = {1, bad};
    ref::optim_prepare(broken, 1, scaling, state);
    EXPECT_EQ(state.skip, 1);
    EXPECT_EQ(state.step, 2);
    EXPECT_EQ(state.loss_scale, before / 2);
    double p[] = {7, 8}, m[2] = {}, v[2] = {};
    const OptimSegment all[] = {{}};
    ref::adamw({}, 0.1, all, state, broken, m, v, p);
    ref::sgd({}, 0.1, all, state, broken, m, p);
    EXPECT_EQ(p[0], 7);
    EXPECT_EQ(m[0], 0);
  }
  EXPECT_EQ(state.skipped, 2);
  ref::optim_prepare(gradient, 100, scaling, state);
  EXPECT_EQ(state.skip, 0);
  EXPECT_EQ(state.factor, 0.25) << "a norm below the limit is left alone";
}

}  // namespace
}  // namespace furrow
