// Gradients of batch norm, the elementwise operations and resampling in `ref`, against finite differences; kinks by
// hand.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/ref/ref_backend.h"
#include "tests/kernels/gradient_check.h"

namespace furrow {
namespace {

using cases::random_values;

const Shape kShapes[] = {{1, 2, 1, 1}, {2, 3, 5, 3}, {2, 1, 1, 5}, {1, 5, 3, 17}};

Tensor row(std::initializer_list<double> values) {
  Tensor t({1, 1, 1, static_cast<int64_t>(values.size())}, DType::f64);
  std::ranges::copy(values, t.values<double>().begin());
  return t;
}

// Random values that keep away from zero and from each other by 1e-3 or more: a shuffled ladder.
Tensor spread_values(const Shape& shape) {
  Tensor t = random_values(shape, 9);
  std::vector<size_t> order(t.values<double>().size());
  std::iota(order.begin(), order.end(), size_t{0});
  const Tensor keys = random_values(shape, 10);
  std::ranges::sort(order, {}, [&](size_t i) { return keys.values<double>()[i]; });
  for (size_t rank = 0; rank < order.size(); ++rank)
    t.values<double>()[order[rank]] = (static_cast<double>(rank) + 0.5 - static_cast<double>(order.size() / 2)) * 2e-3;
  return t;
}

struct NormProblem {
  Tensor x, gamma, beta, mean, var;
  explicit NormProblem(const Shape& s)
      : x(random_values(s, 1)),
        gamma(random_values({1, 1, 1, s.c}, 2)),
        beta(random_values({1, 1, 1, s.c}, 3)),
        mean(random_values({1, 1, 1, s.c}, 4)),
        var(random_values({1, 1, 1, s.c}, 5)) {
    for (double& v : var.values<double>()) v = 0.2 + v * v;
  }
};

// All three gradients, each alone in either mode.
void check_norm(RefBackend& ref, const NormProblem& p, const Tensor& mean, const Tensor& rstd, bool fixed,
                const std::function<Tensor()>& forward) {
  const Tensor dy = random_values(p.x.shape(), 6);
  const std::string what = to_string(p.x.shape()) + (fixed ? " given" : " of the batch");
  const auto gradient = [&](Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) {
    ref.batch_norm_grad(p.x, p.gamma, mean, rstd, fixed, dy, dx, dgamma, dbeta, mode);
  };
  const Tensor dx = both_modes(p.x.shape(), [&](Tensor& t, Grad mode) { gradient(&t, nullptr, nullptr, mode); });
  const Tensor dgamma =
      both_modes(p.gamma.shape(), [&](Tensor& t, Grad mode) { gradient(nullptr, &t, nullptr, mode); });
  const Tensor dbeta = both_modes(p.beta.shape(), [&](Tensor& t, Grad mode) { gradient(nullptr, nullptr, &t, mode); });
  expect_gradient(dx, p.x, dy, forward, fixed ? kLinear : kSmooth, "dx " + what);
  expect_gradient(dgamma, p.gamma, dy, forward, kLinear, "dgamma " + what);
  expect_gradient(dbeta, p.beta, dy, forward, kLinear, "dbeta " + what);
}

TEST(Gradient, BatchNormWithGivenStatistics) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const NormProblem p(s);
    Tensor rstd(p.var.shape(), DType::f64);
    for (size_t c = 0; c < rstd.values<double>().size(); ++c)
      rstd.values<double>()[c] = 1 / std::sqrt(p.var.values<double>()[c] + 1e-5);
    check_norm(ref, p, p.mean, rstd, true, [&] {
      Tensor y(s, DType::f64);
      ref.batch_norm(p.x, p.gamma, p.beta, {.mean = &p.mean, .var = &p.var, .eps = 1e-5}, y);
      return y;
    });
  }
}

TEST(Gradient, BatchNormWithStatisticsOfTheBatch) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const NormProblem p(s);
    // An eps of 0.1 keeps the curvature near one where a channel has only two values.
    const auto forward = [&](Tensor& mean, Tensor& rstd) {
      Tensor y(s, DType::f64);
      ref.batch_norm_train(p.x, p.gamma, p.beta, {.eps = 0.1}, y, mean, rstd);
      return y;
    };
    Tensor mean(p.gamma.shape(), DType::f64), rstd(p.gamma.shape(), DType::f64);
    forward(mean, rstd);
    check_norm(ref, p, mean, rstd, false, [&] {
      Tensor other_mean(p.gamma.shape(), DType::f64), other_rstd(p.gamma.shape(), DType::f64);
      return forward(other_mean, other_rstd);
    });
  }
}

TEST(Gradient, Relu) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const Tensor x = spread_values(s), dy = random_values(s, 2);
    const auto forward = [&] {
      Tensor y(s, DType::f64);
      ref.relu(x, y);
      return y;
    };
    const Tensor y = forward();
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.relu_grad(y, dy, t, mode); }), x, dy, forward,
                    kKinked, to_string(s));
  }
}

TEST(Gradient, ReluIsFlatAtZeroAndKeepsNaN) {
  RefBackend ref(nullptr);
  const Tensor x = row({0, -0.0, 5e-324, -5e-324, INFINITY, -INFINITY, NAN}), dy = row({1, 2, 3, 4, 5, 6, 7});
  Tensor y(x.shape(), DType::f64), dx(x.shape(), DType::f64);
  ref.relu(x, y);
  EXPECT_TRUE(close(y, row({0, 0, 5e-324, 0, INFINITY, 0, NAN}), {}));
  ref.relu_grad(y, dy, dx, Grad::overwrite);
  EXPECT_TRUE(close(dx, row({0, 0, 3, 0, 5, 0, 7}), {}));
}

TEST(Gradient, Sigmoid) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    Tensor x = random_values(s, 1);
    for (double& value : x.values<double>()) value *= 4;
    const Tensor dy = random_values(s, 2);
    const auto forward = [&] {
      Tensor y(s, DType::f64);
      ref.sigmoid(x, y);
      return y;
    };
    const Tensor y = forward();
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.sigmoid_grad(y, dy, t, mode); }), x, dy, forward,
                    kSmooth, to_string(s));
  }
}

TEST(Gradient, SigmoidSaturatesWithoutOverflow) {
  RefBackend ref(nullptr);
  const Tensor x = row({0, 1000, -1000, INFINITY, -INFINITY, -740, NAN}), dy = row({1, 1, 1, 1, 1, 1, 1});
  Tensor y(x.shape(), DType::f64), dx(x.shape(), DType::f64);
  ref.sigmoid(x, y);
  EXPECT_TRUE(close(y, row({0.5, 1, 0, 1, 0, std::exp(-740.0), NAN}), {}));
  EXPECT_GT(y.values<double>()[5], 0) << "a denormal, not nothing";
  ref.sigmoid_grad(y, dy, dx, Grad::overwrite);
  EXPECT_TRUE(close(dx, row({0.25, 0, 0, 0, 0, std::exp(-740.0), NAN}), {}));
}

TEST(Gradient, AddGivesEachInputTheWholeGradient) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const Tensor a = random_values(s, 1), b = random_values(s, 2), dy = random_values(s, 3);
    const auto forward = [&] {
      Tensor y(s, DType::f64);
      ref.add(a, b, y);
      return y;
    };
    const Tensor dx = both_modes(s, [&](Tensor& t, Grad mode) { ref.pad(dy, 0, 0, t, mode); });  // a padding by nothing
    expect_gradient(dx, a, dy, forward, kLinear, "da");
    expect_gradient(dx, b, dy, forward, kLinear, "db");
  }
}

TEST(Gradient, DropoutDrawsTheSameNumbersAgain) {
  RefBackend ref(nullptr);
  const Dropout draw{.p = 0.4, .seed = 3, .stream = 9, .first = 2};
  for (const Shape& s : kShapes) {
    const Tensor x = random_values(s, 1), dy = random_values(s, 2);
    const auto forward = [&] {
      Tensor y(s, DType::f64);
      ref.dropout(x, draw, y, Grad::overwrite);
      return y;
    };
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.dropout(dy, draw, t, mode); }), x, dy, forward,
                    kLinear, to_string(s));
  }
}

// The share that is kept, and that nothing depends on how a batch is cut into calls.
TEST(Gradient, DropoutKeepsOneMinusPAndCountsElementsOfTheWholeBatch) {
  RefBackend ref(nullptr);
  Tensor ones({4, 25, 25, 8}, DType::f64), whole(ones.shape(), DType::f64);
  for (double& value : ones.values<double>()) value = 1;
  for (const double p : {0.0, 0.2, 0.5}) {
    const Dropout draw{.p = p, .seed = 1, .stream = 2};
    ref.dropout(ones, draw, whole, Grad::overwrite);
    double kept = 0;
    for (const double value : whole.values<double>()) {
      EXPECT_TRUE(value == 0 || value == 1 / (1 - p));
      kept += value != 0;
    }
    const double N = 20000;  // draws: the share is within four standard deviations
    EXPECT_NEAR(kept / N, 1 - p, 4 * std::sqrt(p * (1 - p) / N));
    Tensor one({1, 25, 25, 8}, DType::f64), third(one.shape(), DType::f64);
    for (double& value : one.values<double>()) value = 1;
    ref.dropout(one, {.p = p, .seed = 1, .stream = 2, .first = 3 * 5000}, third, Grad::overwrite);
    EXPECT_TRUE(std::ranges::equal(third.values<double>(), whole.values<double>().subspan(3 * 5000)));
  }
  EXPECT_THROW(ref.dropout(ones, {.p = 1}, whole, Grad::overwrite), Error);
  EXPECT_THROW(ref.dropout(ones, {.p = -0.1}, whole, Grad::overwrite), Error);
}

TEST(Gradient, SquaredError) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const Tensor z = random_values(s, 1), t = random_values(s, 2), one = row({1});
    Tensor dz(s, DType::f64);
    ref.squared_error(z, t, &dz);
    expect_gradient(
        dz, z, one, [&] { return row({ref.squared_error(z, t, nullptr)}); }, kSmooth, to_string(s));
  }
  EXPECT_EQ(ref.squared_error(row({1, 2, 3}), row({1, 4, 6}), nullptr), 13.0 / 3);
}

TEST(Gradient, MaxPool2x2) {
  RefBackend ref(nullptr);
  for (const Shape& s : {Shape{1, 2, 2, 1}, {2, 5, 7, 3}, {1, 3, 2, 17}, {1, 6, 4, 5}}) {
    const Tensor x = spread_values(s);
    const auto forward = [&] {
      Tensor y({s.n, s.h / 2, s.w / 2, s.c}, DType::f64);
      ref.max_pool2x2(x, y);
      return y;
    };
    const Tensor dy = random_values(forward().shape(), 2);
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.max_pool2x2_grad(x, dy, t, mode); }), x, dy, forward,
                    kKinked, to_string(s));
  }
}

TEST(Gradient, MaxPoolTiesGoToTheFirstAndNaNWins) {
  RefBackend ref(nullptr);
  struct Window {
    double values[4];
    int winner;
  };
  const Window windows[] = {{{1, 1, 1, 1}, 0},
                            {{0, 2, 2, 1}, 1},
                            {{0, 1, 2, 2}, 2},
                            {{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, 0},
                            {{NAN, 9, 9, 9}, 0},
                            {{9, 9, 9, NAN}, 3},
                            {{NAN, INFINITY, NAN, 1}, 2},
                            {{-0.0, 0, 0, 0}, 0}};
  for (const Window& window : windows) {
    Tensor x({1, 3, 3, 1}, DType::f64),
        y({1, 1, 1, 1}, DType::f64);  // the odd row and column hold more, and do not count
    for (double& value : x.values<double>()) value = 1e300;
    const size_t at[] = {0, 1, 3, 4};
    for (size_t k = 0; k < 4; ++k) x.values<double>()[at[k]] = window.values[k];
    ref.max_pool2x2(x, y);
    EXPECT_TRUE(close(y, row({window.values[window.winner]}), {}));
    Tensor dx(x.shape(), DType::f64), expected(x.shape(), DType::f64);
    ref.max_pool2x2_grad(x, row({5}), dx, Grad::overwrite);
    expected.values<double>()[at[window.winner]] = 5;
    EXPECT_TRUE(close(dx, expected, {})) << "winner " << window.winner;
  }
}

TEST(Gradient, MaxPool3x3) {
  RefBackend ref(nullptr);
  for (const Shape& s : {Shape{1, 1, 1, 1}, {2, 5, 7, 3}, {1, 3, 2, 17}, {1, 6, 4, 5}, {1, 1, 5, 2}}) {
    const Tensor x = spread_values(s);
    const auto forward = [&] {
      Tensor y({s.n, (s.h + 1) / 2, (s.w + 1) / 2, s.c}, DType::f64);
      ref.max_pool3x3(x, y);
      return y;
    };
    const Tensor dy = random_values(forward().shape(), 2);
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.max_pool3x3_grad(x, dy, t, mode); }), x, dy, forward,
                    kKinked, to_string(s));
  }
}

TEST(Gradient, Gate) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const Tensor x = random_values(s, 1), dy = random_values(s, 3);
    Tensor z = random_values({s.n, s.h, s.w, 1}, 2);
    for (double& value : z.values<double>()) value *= 4;
    const auto forward = [&] {
      Tensor y(s, DType::f64);
      ref.gate(x, z, y);
      return y;
    };
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.gate_grad(x, z, dy, &t, nullptr, mode); }), x, dy,
                    forward, kLinear, "dx " + to_string(s));
    expect_gradient(both_modes(z.shape(), [&](Tensor& t, Grad mode) { ref.gate_grad(x, z, dy, nullptr, &t, mode); }), z,
                    dy, forward, kSmooth, "dz " + to_string(s));
  }
}

TEST(Gradient, ChannelGateAndGlobalMean) {
  RefBackend ref(nullptr);
  for (const Shape& s : kShapes) {
    const Shape one{s.n, 1, 1, s.c};
    const Tensor x = random_values(s, 1), dy = random_values(s, 3), dmean = random_values(one, 4);
    Tensor z = random_values(one, 2);
    for (double& value : z.values<double>()) value *= 4;
    const auto gated = [&] {
      Tensor y(s, DType::f64);
      ref.channel_gate(x, z, y);
      return y;
    };
    const auto mean = [&] {
      Tensor y(one, DType::f64);
      ref.global_mean(x, y);
      return y;
    };
    const std::string what = to_string(s);
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.channel_gate_grad(x, z, dy, &t, nullptr, mode); }), x,
                    dy, gated, kLinear, "dx " + what);
    expect_gradient(both_modes(one, [&](Tensor& t, Grad mode) { ref.channel_gate_grad(x, z, dy, nullptr, &t, mode); }),
                    z, dy, gated, kSmooth, "dz " + what);
    expect_gradient(both_modes(s, [&](Tensor& t, Grad mode) { ref.global_mean_grad(dmean, t, mode); }), x, dmean, mean,
                    kLinear, "mean " + what);
  }
}

TEST(Gradient, UpsampleNearest) {
  RefBackend ref(nullptr);
  struct Problem {
    Shape x;
    int64_t h, w;
  };
  for (const Problem& p : {Problem{{2, 3, 5, 3}, 6, 10},
                           {{1, 1, 1, 5}, 4, 3},
                           {{1, 3, 4, 19}, 5, 7},
                           {{1, 4, 3, 17}, 1, 1},
                           {{3, 5, 3, 1}, 4, 7}}) {
    const Tensor x = random_values(p.x, 1), dy = random_values({p.x.n, p.h, p.w, p.x.c}, 2);
    const auto forward = [&] {
      Tensor y(dy.shape(), DType::f64);
      ref.upsample_nearest(x, y);
      return y;
    };
    expect_gradient(both_modes(p.x, [&](Tensor& t, Grad mode) { ref.upsample_nearest_grad(dy, t, mode); }), x, dy,
                    forward, kLinear, to_string(p.x) + " -> " + to_string(dy.shape()));
  }
}

TEST(Gradient, UpsampleBilinear) {
  RefBackend ref(nullptr);
  struct Problem {
    Shape x;
    int64_t h, w;
  };
  for (const Problem& p : {Problem{{2, 3, 5, 3}, 6, 10},
                           {{1, 1, 1, 5}, 2, 2},
                           {{1, 1, 4, 1}, 3, 8},
                           {{1, 4, 3, 17}, 1, 1},
                           {{1, 5, 3, 3}, 4, 7},
                           {{2, 3, 3, 1}, 3, 3},
                           {{1, 4, 1, 3}, 9, 1}}) {
    const Tensor x = random_values(p.x, 1), dy = random_values({p.x.n, p.h, p.w, p.x.c}, 2);
    const auto forward = [&] {
      Tensor y(dy.shape(), DType::f64);
      ref.upsample_bilinear(x, y);
      return y;
    };
    expect_gradient(both_modes(p.x, [&](Tensor& t, Grad mode) { ref.upsample_bilinear_grad(dy, t, mode); }), x, dy,
                    forward, kLinear, to_string(p.x) + " -> " + to_string(dy.shape()));
  }
}

TEST(Gradient, PadIsItsOwnGradientTheOtherWay) {
  RefBackend ref(nullptr);
  struct Problem {
    Shape x;
    int64_t h, w, top, left;
  };
  for (const Problem& p : {Problem{{2, 3, 5, 3}, 6, 7, 1, 2},
                           {{1, 5, 4, 5}, 3, 2, -1, -2},
                           {{1, 3, 3, 17}, 5, 2, 2, -1},
                           {{1, 2, 2, 1}, 2, 2, 0, 0}}) {
    const Tensor x = random_values(p.x, 1), dy = random_values({p.x.n, p.h, p.w, p.x.c}, 2);
    const auto forward = [&] {
      Tensor y(dy.shape(), DType::f64);
      ref.pad(x, p.top, p.left, y, Grad::overwrite);
      return y;
    };
    expect_gradient(both_modes(p.x, [&](Tensor& t, Grad mode) { ref.pad(dy, -p.top, -p.left, t, mode); }), x, dy,
                    forward, kLinear, to_string(p.x) + " at " + std::to_string(p.top) + "," + std::to_string(p.left));
  }
}

}  // namespace
}  // namespace furrow
