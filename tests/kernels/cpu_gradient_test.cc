// The operations of a training step on device `cpu` against `ref`: every instruction set this CPU has, ragged shapes,
// both ways of storing a gradient, and the same bits for any number of threads.
#include <cmath>
#include <limits>

#include "tests/kernels/gradient_problem.h"

namespace furrow {
namespace {

using cases::random_values;

// Channel counts beside every panel width, odd sizes, pictures smaller than a tile; 3x3 of stride 1 with 16 channels or
// more on both sides is Winograd's. F(2x2, 3x3) adds four inputs before a product and nine products after it, and yet
// keeps the bound of a direct sum: it sums over channels alone, a ninth of K. F(4x4, 3x3) has its own bound, and
// cpu_eager_winograd_test.cc.
const ConvProblem kConvolutions[] = {
    {{1, 1, 1, 1}, 0, 1, {1, 1, 1, 0}},     {{2, 3, 5, 3}, 0, 5, {1, 1, 1, 0}},
    {{1, 31, 45, 40}, 0, 17, {1, 1, 1, 0}}, {{1, 9, 11, 24}, 9, 40, {1, 1, 2, 0}},
    {{2, 5, 7, 3}, 0, 19, {3, 3, 1, 1}},    {{1, 1, 1, 17}, 0, 16, {3, 3, 1, 1}},
    {{2, 1, 7, 16}, 0, 33, {3, 3, 1, 1}},   {{3, 7, 1, 16}, 17, 16, {3, 3, 1, 1}},
    {{1, 13, 22, 40}, 0, 24, {3, 3, 1, 1}}, {{2, 15, 14, 33}, 20, 70, {3, 3, 1, 1}},
    {{1, 9, 8, 16}, 0, 16, {3, 3, 1, 0}},   {{1, 6, 7, 18}, 0, 16, {3, 3, 1, 4}},
    {{2, 9, 7, 3}, 0, 3, {3, 3, 2, 1}},     {{1, 12, 10, 20}, 0, 18, {3, 3, 2, 1}},
    {{1, 10, 13, 6}, 5, 7, {3, 3, 3, 1}},   {{1, 17, 19, 3}, 0, 16, {7, 7, 2, 3}},
    {{2, 8, 9, 3}, 2, 5, {7, 7, 1, 3}},     {{1, 9, 8, 6}, 0, 7, {1, 5, 1, 2}},
    {{1, 8, 7, 5}, 0, 4, {2, 2, 3, 0}},     {{1, 5, 5, 4}, 0, 3, {1, 1, 3, 0}},
};

TEST(CpuGradient, Conv2d) {
  for (const ConvProblem& p : kConvolutions) check_convolution(p);
}

// More positions than a segment of the sum holds, and more than one task of everything.
TEST(CpuGradient, SumsOfManySegments) {
  for (const int64_t channels : {5, 16}) {
    const Shape x{2, 67, 59, channels}, w{16, 3, 3, channels};
    const ConvGeometry g{3, 3, 1, 1};
    const Shape y{x.n, x.h, x.w, w.n};
    check({"grad_weight of many positions",
           {random_values(x, 1), random_values(y, 2)},
           {w, {1, 1, 1, w.n}},
           float_sum_error(y.pixels()),
           [&](Backend& on, const Tensors& in, Tensors& out, Grad mode) {
             on.conv2d_grad_weight({.x0 = &in[0], .dy = &in[1], .geometry = g}, out[0], &out[1], mode);
           }});
  }
}

const Shape kShapes[] = {{1, 1, 2, 1}, {1, 1, 7, 3}, {2, 5, 3, 17}, {3, 4, 6, 16}, {1, 31, 45, 24}};

TEST(CpuGradient, Upconv) {
  for (const Shape& x : kShapes)
    for (const int64_t oc : {1, 7, 16, 40}) {
      const Shape w{oc, 2, 2, x.c}, b{1, 1, 1, oc}, y{x.n, 2 * x.h, 2 * x.w, oc};
      const std::string what = "upconv " + to_string(x) + " -> " + std::to_string(oc);
      const Tensor in = random_values(x, 1), weight = random_values(w, 2), bias = random_values(b, 3),
                   dy = random_values(y, 4);
      check({what,
             {in, weight, bias},
             {y},
             float_sum_error(x.c + 1),
             [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.upconv2x2(t[0], t[1], &t[2], out[0]); },
             false});
      check({what + " grad_input",
             {dy, weight},
             {x},
             float_sum_error(4 * oc),
             [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.upconv2x2_grad_input(t[0], t[1], out[0], mode);
             }});
      check({what + " grad_weight",
             {in, dy},
             {w, b},
             float_sum_error(4 * x.pixels()),
             [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.upconv2x2_grad_weight(t[0], t[1], out[0], &out[1], mode);
             }});
    }
}

TEST(CpuGradient, BatchNorm) {
  for (const Shape& x : kShapes) {
    const Shape c{1, 1, 1, x.c};
    Tensor shifted = random_values(x, 1), rstd = random_values(c, 4);
    for (double& v : shifted.values<double>()) v = static_cast<float>(v + 16);  // a mean far from 0
    for (double& v : rstd.values<double>()) v = static_cast<float>(std::abs(v) + 0.5);
    // The mean is rounded by at most 2^-21 and the factor by 2^-24 of itself; a factor is up to 8 here.
    check({"batch_norm_train " + to_string(x),
           {shifted, random_values(c, 2), random_values(c, 3)},
           {x, c, c, c, c},
           8 * 0x1p-20,
           [](Backend& on, const Tensors& in, Tensors& out, Grad) {
             on.batch_norm_train(in[0], in[1], in[2],
                                 {.eps = 1e-3, .momentum = 0.2, .running_mean = &out[3], .running_var = &out[4]},
                                 out[0], out[1], out[2]);
           },
           false});
    const Tensors in{random_values(x, 1), random_values(c, 2), random_values(c, 3), rstd, random_values(x, 5)};
    for (const bool fixed : {false, true})
      check({"batch_norm_grad " + to_string(x),
             in,
             {x, c, c},
             float_sum_error(x.pixels()),
             [=](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.batch_norm_grad(t[0], t[1], t[2], t[3], fixed, t[4], &out[0], &out[1], &out[2], mode);
             }});
    check({"batch_norm_grad of x alone",
           in,
           {x},
           float_sum_error(x.pixels()),
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.batch_norm_grad(t[0], t[1], t[2], t[3], false, t[4], &out[0], nullptr, nullptr, mode);
           }});
  }
}

TEST(CpuGradient, Elementwise) {
  for (const Shape& x : kShapes) {
    const Tensors in{random_values(x, 1), random_values(x, 2)};
    check({"relu_grad",
           in,
           {x},
           6e-8,  // one addition
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.relu_grad(t[0], t[1], out[0], mode); }});
    check({"sigmoid_grad",
           in,
           {x},
           3e-7,  // three roundings, of values up to 2, and an addition
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.sigmoid_grad(t[0], t[1], out[0], mode); }});
  }
}

TEST(CpuGradient, Gates) {
  for (const Shape& x : kShapes) {
    const Shape z{x.n, x.h, x.w, 1};
    Tensor logits = random_values(z, 2);
    for (double& v : logits.values<double>()) v *= 8;  // exact in float32
    const Tensors in{random_values(x, 1), logits, random_values(x, 3)};
    // The sigmoid is six roundings, the product one, and an addition.
    check({"gate",
           in,
           {x},
           8 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.gate(t[0], t[1], out[0]); },
           false});
    check({"gate_grad", in, {x, z}, 12 * 0x1p-24, [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.gate_grad(t[0], t[1], t[2], &out[0], &out[1], mode);
           }});
    check({"gate_grad of z alone", in, {z}, 12 * 0x1p-24, [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.gate_grad(t[0], t[1], t[2], nullptr, &out[0], mode);
           }});
  }
}

// More pixels than a chunk of a sum holds are among them.
TEST(CpuGradient, MeansAndChannelGates) {
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  for (const Shape& x : {Shape{1, 1, 1, 1}, {3, 1, 1, 19}, {2, 47, 61, 3}, {1, 33, 32, 64}}) shapes.push_back(x);
  for (const Shape& x : shapes) {
    const Shape z{x.n, 1, 1, x.c};
    Tensor logits = random_values(z, 2);
    for (double& v : logits.values<double>()) v *= 8;  // exact in float32
    const Tensors in{random_values(x, 1), logits, random_values(x, 3)};
    const std::string what = to_string(x);
    // The sigmoid is six roundings, the product one, and an addition.
    check({"channel_gate " + what,
           in,
           {x},
           8 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.channel_gate(t[0], t[1], out[0]); },
           false});
    check({"channel_gate_grad " + what,
           in,
           {x, z},
           12 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], &out[0], &out[1], mode);
           }});
    check({"channel_gate_grad of x alone " + what,
           in,
           {x},
           8 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], &out[0], nullptr, mode);
           }});
    check({"channel_gate_grad of z alone " + what,
           in,
           {z},
           12 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.channel_gate_grad(t[0], t[1], t[2], nullptr, &out[0], mode);
           }});
    check({"global_mean " + what,
           {in[0]},
           {z},
           1.0001 * 0x1p-24,  // in double, rounded once
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.global_mean(t[0], out[0]); },
           false});
    check({"global_mean_grad " + what,
           {random_values(z, 4)},
           {x},
           2 * 0x1p-24,  // a division and an addition
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.global_mean_grad(t[0], out[0], mode); }});
  }
}

TEST(CpuGradient, NearestPixels) {
  for (const Shape& x : kShapes)
    for (const auto& [h, w] : {std::pair<int64_t, int64_t>{2 * x.h, 2 * x.w}, {2 * x.h - 1, 2 * x.w - 1}, {1, 1},
                               {x.h + 5, 3}, {x.h, 3 * x.w + 1}, {8 * x.h, 8 * x.w}}) {
      const Shape y{x.n, h, w, x.c};
      const std::string what = to_string(x) + " -> " + to_string(y);
      check({"upsample_nearest " + what,
             {random_values(x, 1)},
             {y},
             0,
             [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.upsample_nearest(t[0], out[0]); },
             false});
      check({"upsample_nearest_grad " + what,
             {random_values(y, 2)},
             {x},
             1.0001 * 0x1p-24,  // any number of terms, in double and rounded once
             [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.upsample_nearest_grad(t[0], out[0], mode);
             }});
    }
}

TEST(CpuGradient, MaximaOf3x3) {
  for (const Shape& x : kShapes) {
    const Shape y{x.n, (x.h + 1) / 2, (x.w + 1) / 2, x.c};
    Tensor ties = random_values(x, 1);
    for (double& v : ties.values<double>()) v = std::floor(v * 2);
    check({"max_pool3x3",
           {ties},
           {y},
           0,
           [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.max_pool3x3(t[0], out[0]); },
           false});
    check({"max_pool3x3_grad",
           {ties, random_values(y, 2)},
           {x},
           1.0001 * 0x1p-24,  // four windows share a pixel, and what was there: rounded once
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.max_pool3x3_grad(t[0], t[1], out[0], mode);
           }});
  }
}

TEST(CpuGradient, Resampling) {
  for (const Shape& y : kShapes) {
    for (const Shape& x : {Shape{y.n, 2 * y.h, 2 * y.w, y.c}, {y.n, 2 * y.h + 1, 2 * y.w + 1, y.c}}) {
      Tensor ties = random_values(x, 1);
      for (double& v : ties.values<double>()) v = std::floor(v * 2);  // -2 to 1: most windows have several maxima
      check({"max_pool2x2_grad",
             {ties, random_values(y, 2)},
             {x},
             6e-8,  // one addition
             [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.max_pool2x2_grad(t[0], t[1], out[0], mode);
             }});
    }
    for (const Shape& to : {Shape{y.n, 2 * y.h, 2 * y.w, y.c}, {y.n, 1, 1, y.c}, {y.n, y.h + 5, 3, y.c}})
      check({"upsample_bilinear_grad",
             {random_values(to, 3)},
             {y},
             1.0001 * 0x1p-24,  // any number of terms, in double and rounded once
             [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
               on.upsample_bilinear_grad(t[0], out[0], mode);
             }});
  }
}

TEST(CpuGradient, NaNsGoWhereTheyGoInRef) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor x({1, 2, 6, 1}, DType::f64), y = x.to(DType::f64);
  const double windows[12] = {1, nan, nan, nan, nan, 3, 2, nan, 5, 1, 4, 4};
  for (size_t i = 0; i < 12; ++i)
    x.values<double>()[i] = windows[i], y.values<double>()[i] = i % 3 == 0 ? nan : windows[i];
  check(
      {"max_pool2x2_grad",
       {x, random_values({1, 1, 3, 1}, 1)},
       {x.shape()},
       6e-8,
       [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.max_pool2x2_grad(t[0], t[1], out[0], mode); }});
  check({"relu_grad",
         {y, random_values(y.shape(), 1)},
         {y.shape()},
         6e-8,
         [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.relu_grad(t[0], t[1], out[0], mode); }});
  // Windows share pixels: of all NaN, with one first or last, with an infinity of either sign.
  const double inf = std::numeric_limits<double>::infinity();
  for (const int64_t c : {1, 19}) {
    Tensor picture = random_values({1, 7, 10, c}, 2), gradient = random_values({1, 4, 5, c}, 3);
    const auto set = [c](Tensor& t, int64_t h, int64_t w, double value) {
      for (int64_t i = 0; i < c; ++i) t.values<double>()[static_cast<size_t>((h * t.shape().w + w) * c + i)] = value;
    };
    for (const int64_t h : {0, 1, 2})
      for (const int64_t w : {0, 1, 2, 3}) set(picture, h, w, nan);
    set(picture, 3, 5, nan), set(picture, 5, 7, nan), set(picture, 5, 8, nan), set(picture, 6, 1, nan);
    set(picture, 4, 3, inf), set(picture, 6, 4, inf), set(picture, 6, 9, -inf);
    set(gradient, 2, 1, nan), set(gradient, 3, 3, inf), set(gradient, 0, 4, -inf);
    check({"max_pool3x3_grad",
           {picture, gradient},
           {picture.shape()},
           1.0001 * 0x1p-24,
           [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
             on.max_pool3x3_grad(t[0], t[1], out[0], mode);
           }});
  }
  // 4 x 6 pixels resized so that every third line lies on a source line, where its neighbours have a weight of 0; the
  // last line is its own neighbour. 0 * inf is NaN.
  for (const int64_t c : {1, 19}) {
    for (const double value : {nan, inf, -inf})
      for (const auto& [h, w] : {std::pair<int64_t, int64_t>{0, 0}, {3, 6}, {4, 7}, {3, 7}, {9, 15}, {9, 4}}) {
        Tensor dy = random_values({1, 10, 16, c}, 4);
        for (int64_t i = 0; i < c; ++i) dy.values<double>()[static_cast<size_t>((h * 16 + w) * c + i)] = value;
        check({"upsample_bilinear_grad of " + std::to_string(value) + " at " + std::to_string(h) + "," +
                   std::to_string(w),
               {dy},
               {{1, 4, 6, c}},
               1.0001 * 0x1p-24,
               [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                 on.upsample_bilinear_grad(t[0], out[0], mode);
               }});
      }
  }
}

}  // namespace
}  // namespace furrow
