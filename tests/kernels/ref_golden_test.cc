// `ref` against PyTorch in float64: every forward operation and every gradient of the Backend page.
#include <gtest/gtest.h>

#include "kernels/ref/ref_backend.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/golden.h"

namespace furrow {
namespace {

const Golden& golden() {
  static const Golden instance;
  return instance;
}

class RefGolden : public ::testing::Test {
 protected:
  const Tensor& get(const std::string& role) const { return golden().get(where_ + "/" + role); }
  const Tensor* find(const std::string& role) const { return golden().find(where_ + "/" + role); }
  // A tensor shaped like the golden one, full of a number that no right answer leaves.
  Tensor blank(const std::string& role) const {
    Tensor t(get(role).shape(), DType::f64);
    for (double& value : t.values<double>()) value = 1e30;
    return t;
  }
  void expect(const Tensor& result, const std::string& role) const {
    EXPECT_TRUE(close(result, get(role), double_sums(get(role)))) << where_ << "/" << role;
  }
  template <class Body>
  void each_case(const std::string& op, const Body& body) {
    for (const std::string& one : golden().cases(op)) {
      where_ = one;
      body();
    }
  }
  // An operation of x alone: y from x, dx from dy.
  template <class Forward, class Backward>
  void check_unary(const std::string& op, const Forward& forward, const Backward& backward) {
    each_case(op, [&] {
      Tensor y = blank("y"), dx = blank("dx");
      forward(get("x"), y);
      expect(y, "y");
      backward(get("x"), get("y"), get("dy"), dx);
      expect(dx, "dx");
    });
  }

  RefBackend ref_{nullptr};
  std::string where_;
};

TEST_F(RefGolden, Conv2d) {
  each_case("conv2d", [&] {
    const Tensor &x0 = get("x0"), &w = get("w"), &dy = get("dy");
    const Tensor *x1 = find("x1"), *b = find("b");
    const ConvGeometry geometry{w.shape().h, w.shape().w, golden().whole_option(where_, 0),
                                golden().whole_option(where_, 1)};
    Tensor y = blank("y"), dx0 = blank("dx0"), dx1 = x1 != nullptr ? blank("dx1") : Tensor();
    ref_.conv2d({.x0 = &x0, .x1 = x1, .w = &w, .b = b, .geometry = geometry}, y);
    expect(y, "y");
    ref_.conv2d_grad_input({.dy = &dy, .w = &w, .geometry = geometry}, &dx0, x1 != nullptr ? &dx1 : nullptr,
                           Grad::overwrite);
    expect(dx0, "dx0");
    if (x1 != nullptr) expect(dx1, "dx1");
    Tensor dw = blank("dw"), db = b != nullptr ? blank("db") : Tensor();
    ref_.conv2d_grad_weight({.x0 = &x0, .x1 = x1, .dy = &dy, .geometry = geometry}, dw, b != nullptr ? &db : nullptr,
                            Grad::overwrite);
    expect(dw, "dw");
    if (b != nullptr) expect(db, "db");
  });
}

TEST_F(RefGolden, Upconv2x2) {
  each_case("upconv2x2", [&] {
    const Tensor* b = find("b");
    Tensor y = blank("y"), dx = blank("dx"), dw = blank("dw"), db = b != nullptr ? blank("db") : Tensor();
    ref_.upconv2x2(get("x"), get("w"), b, y);
    expect(y, "y");
    ref_.upconv2x2_grad_input(get("dy"), get("w"), dx, Grad::overwrite);
    expect(dx, "dx");
    ref_.upconv2x2_grad_weight(get("x"), get("dy"), dw, b != nullptr ? &db : nullptr, Grad::overwrite);
    expect(dw, "dw");
    if (b != nullptr) expect(db, "db");
  });
}

TEST_F(RefGolden, BatchNorm) {
  int given = 0, trained = 0;
  each_case("batch_norm", [&] {
    const bool training = golden().option(where_, 0) != 0;
    const double eps = golden().option(where_, 1), momentum = golden().option(where_, 2);
    Tensor y = blank("y"), mean = get("mean").to(DType::f64), var = get("var").to(DType::f64);
    Tensor used_mean = blank("mean"), rstd = blank("mean");
    if (training) {
      ref_.batch_norm_train(get("x"), get("gamma"), get("beta"),
                            {.eps = eps, .momentum = momentum, .running_mean = &mean, .running_var = &var}, y,
                            used_mean, rstd);
      ++trained;
    } else {
      ref_.batch_norm(get("x"), get("gamma"), get("beta"), {.mean = &mean, .var = &var, .eps = eps}, y);
      used_mean = mean;
      for (size_t c = 0; c < rstd.values<double>().size(); ++c)
        rstd.values<double>()[c] = 1 / std::sqrt(var.values<double>()[c] + eps);
      ++given;
    }
    // Where |x| is 1000 and its spread 1, both sides lose three digits to the subtraction of the mean.
    const double digits = largest(get("x")) > 100 ? 1e-10 : 1e-13;
    const auto expect_digits = [&](const Tensor& result, const std::string& role) {
      EXPECT_TRUE(close(result, get(role), {.absolute = digits * largest(get(role))})) << where_ << "/" << role;
    };
    expect_digits(y, "y");
    expect_digits(mean, "mean_after");
    expect_digits(var, "var_after");
    Tensor dx = blank("dx"), dgamma = blank("dgamma"), dbeta = blank("dbeta");
    ref_.batch_norm_grad(get("x"), get("gamma"), used_mean, rstd, !training, get("dy"), &dx, &dgamma, &dbeta,
                         Grad::overwrite);
    // dx is a difference of terms of size rstd * dy; where it vanishes (two values a channel) only their rounding is
    // left.
    EXPECT_TRUE(close(dx, get("dx"), {.absolute = digits * std::max(largest(get("dx")), largest(rstd))})) << where_;
    expect_digits(dgamma, "dgamma");
    expect_digits(dbeta, "dbeta");
  });
  EXPECT_GE(given, 1);
  EXPECT_GE(trained, 2);
}

TEST_F(RefGolden, Relu) {
  check_unary(
      "relu", [&](const Tensor& x, Tensor& y) { ref_.relu(x, y); },
      [&](const Tensor&, const Tensor& y, const Tensor& dy, Tensor& dx) {
        ref_.relu_grad(y, dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, Sigmoid) {
  check_unary(
      "sigmoid", [&](const Tensor& x, Tensor& y) { ref_.sigmoid(x, y); },
      [&](const Tensor&, const Tensor& y, const Tensor& dy, Tensor& dx) {
        ref_.sigmoid_grad(y, dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, MaxPool2x2) {
  check_unary(
      "max_pool2x2", [&](const Tensor& x, Tensor& y) { ref_.max_pool2x2(x, y); },
      [&](const Tensor& x, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.max_pool2x2_grad(x, dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, MaxPool3x3) {
  check_unary(
      "max_pool3x3", [&](const Tensor& x, Tensor& y) { ref_.max_pool3x3(x, y); },
      [&](const Tensor& x, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.max_pool3x3_grad(x, dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, Gate) {
  each_case("gate", [&] {
    Tensor y = blank("y"), dx = blank("dx"), dz = blank("dz");
    ref_.gate(get("x"), get("z"), y);
    expect(y, "y");
    ref_.gate_grad(get("x"), get("z"), get("dy"), &dx, &dz, Grad::overwrite);
    expect(dx, "dx");
    expect(dz, "dz");
  });
}

TEST_F(RefGolden, ChannelGate) {
  each_case("channel_gate", [&] {
    Tensor y = blank("y"), dx = blank("dx"), dz = blank("dz");
    ref_.channel_gate(get("x"), get("z"), y);
    expect(y, "y");
    ref_.channel_gate_grad(get("x"), get("z"), get("dy"), &dx, &dz, Grad::overwrite);
    expect(dx, "dx");
    expect(dz, "dz");
  });
}

TEST_F(RefGolden, GlobalMean) {
  check_unary(
      "global_mean", [&](const Tensor& x, Tensor& y) { ref_.global_mean(x, y); },
      [&](const Tensor&, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.global_mean_grad(dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, UpsampleNearest) {
  check_unary(
      "upsample_nearest", [&](const Tensor& x, Tensor& y) { ref_.upsample_nearest(x, y); },
      [&](const Tensor&, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.upsample_nearest_grad(dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, UpsampleBilinear) {
  check_unary(
      "upsample_bilinear", [&](const Tensor& x, Tensor& y) { ref_.upsample_bilinear(x, y); },
      [&](const Tensor&, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.upsample_bilinear_grad(dy, dx, Grad::overwrite);
      });
}

TEST_F(RefGolden, Pad) {
  check_unary(
      "pad",
      [&](const Tensor& x, Tensor& y) {
        ref_.pad(x, golden().whole_option(where_, 0), golden().whole_option(where_, 1), y, Grad::overwrite);
      },
      [&](const Tensor&, const Tensor&, const Tensor& dy, Tensor& dx) {
        ref_.pad(dy, -golden().whole_option(where_, 0), -golden().whole_option(where_, 1), dx, Grad::overwrite);
      });
}

}  // namespace
}  // namespace furrow
