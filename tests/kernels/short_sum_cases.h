// The cases of short_sums.h: sums of 1 to 49 terms, and some longer ones, on every function that short sums
// (kernels/short_sums.h) are added up in.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/short_sums.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/run_step.h"

namespace furrow::short_sums {

using cases::random_values;
using Tensors = std::vector<Tensor>;

struct Case {
  std::string what;
  std::vector<int64_t> terms;  // of the sums of each output
  Tensors in;                  // float64 values that float32 holds exactly
  std::vector<Shape> out;
  std::function<void(Backend&, const Tensors& in, Tensors& out, Grad mode)> run;
  bool accumulates = true;
  double beside = 1e-14;  // of the largest result: what roundings before the last may add up to
};

// A sum of K = kernel_h * kernel_w * (c0 + c1) terms. 3x3 and 7x7 have tiles of their own on a GPU, other kernels not.
// The longer ones are those that have no second level of float32 unless they are given one.
struct Window {
  int64_t K;
  ConvGeometry geometry;
  int64_t c0, c1;
};
inline const Window kWindows[] = {
    {1, {1, 1, 1, 0}, 1, 0},   {2, {1, 1, 1, 0}, 1, 1},   {3, {1, 1, 1, 0}, 3, 0},   {9, {3, 3, 1, 1}, 1, 0},
    {15, {1, 5, 1, 2}, 2, 1},  {27, {3, 3, 1, 1}, 3, 0},  {27, {3, 3, 2, 1}, 1, 2},  {48, {2, 3, 3, 1}, 8, 0},
    {48, {1, 1, 1, 0}, 9, 39}, {49, {1, 1, 1, 0}, 49, 0}, {49, {7, 7, 1, 3}, 1, 0},  {50, {5, 5, 1, 2}, 2, 0},
    {54, {3, 3, 1, 1}, 6, 0},  {72, {3, 3, 1, 1}, 8, 0},  {81, {3, 3, 2, 1}, 8, 1},  {98, {7, 7, 1, 3}, 2, 0},
    {99, {3, 3, 1, 1}, 11, 0}, {147, {7, 7, 2, 3}, 3, 0}, {294, {7, 7, 1, 3}, 6, 0},
};

inline std::string text(const Window& w) {
  return " K " + std::to_string(w.K) + ", " + std::to_string(w.geometry.kernel_h) + "x" +
         std::to_string(w.geometry.kernel_w) + " of stride " + std::to_string(w.geometry.stride);
}

// The side of a picture that has about `results` values of `channels` channels.
inline int64_t side_of(int64_t results, int64_t channels) {
  return static_cast<int64_t>(std::sqrt(static_cast<double>(results) / static_cast<double>(channels)));
}

// What convolutions compute from their inputs, planned and not.
inline void add_forward(std::vector<Case>& cases, int64_t results) {
  constexpr int64_t kOutputs = 20;
  for (const Window& w : kWindows) {
    const int64_t side = side_of(results, kOutputs) * w.geometry.stride;
    ConvStep step = cases::without_activation(cases::conv({1, side, side, w.c0}, kOutputs));
    step.geometry = w.geometry;
    if (w.c1 > 0) step.x[1] = {1, side, side, w.c1};
    const StepWeights weights = cases::random_weights(step, 1);
    Tensors in = random_inputs(step, 3);
    cases.push_back(
        {"planned convolution" + text(w),
         {w.K},
         in,
         {step.y()},
         [=](Backend& on, const Tensors& t, Tensors& out, Grad) { out[0] = run_step(on, step, t, weights).y; },
         false});
    const bool two = w.c1 > 0;
    in.insert(in.end(), {weights.w, weights.b});
    cases.push_back({"convolution" + text(w),
                     {w.K},
                     in,
                     {step.y()},
                     [=](Backend& on, const Tensors& t, Tensors& out, Grad) {
                       on.conv2d({.x0 = &t[0],
                                  .x1 = two ? &t[1] : nullptr,
                                  .w = &t[two ? 2 : 1],
                                  .b = &t[two ? 3 : 2],
                                  .geometry = step.geometry},
                                 out[0]);
                     },
                     false});
  }
}

// Heads of K channels, over a y that float32 holds exactly: a pixel times powers of 2.
inline void add_heads(std::vector<Case>& cases, int64_t results) {
  constexpr int64_t kHead = 10;
  for (const int64_t K : {1, 2, 3, 9, 15, 27, 48, 49}) {
    const int64_t side = side_of(results, kHead);
    const ConvStep step = cases::without_activation(cases::with_head(cases::conv({1, side, side, 1}, K, 1), kHead));
    StepWeights weights = cases::random_weights(step, 1);
    for (double& value : weights.w.values<double>()) value = value < -0.3 ? -0.5 : value < 0.3 ? 1 : 2;
    for (double& value : weights.b.values<double>()) value = 0;
    cases.push_back(
        {"head K " + std::to_string(K),
         {K},
         random_inputs(step, 3),
         {{1, side, side, kHead}},
         [=](Backend& on, const Tensors& t, Tensors& out, Grad) { out[0] = run_step(on, step, t, weights).head; },
         false});
  }
}

// Input gradients: K terms at most, fewer where a stride leaves taps out.
inline void add_grad_inputs(std::vector<Case>& cases, int64_t results) {
  constexpr int64_t kInputs = 20;
  for (const Window& w : kWindows) {
    const int64_t side = side_of(results, kInputs), outputs = w.c0 + w.c1;
    const Shape x{1, side, side, w.c1 > 0 ? kInputs - 3 : kInputs}, second{1, side, side, 3};
    const ConvGeometry g = w.geometry;
    const Tensors in{random_values({1, g.out(side, g.kernel_h), g.out(side, g.kernel_w), outputs}, 1),
                     random_values({outputs, g.kernel_h, g.kernel_w, kInputs}, 2)};
    const bool two = w.c1 > 0;
    cases.push_back({"input gradient" + text(w),
                     {w.K, w.K},
                     in,
                     two ? std::vector<Shape>{x, second} : std::vector{x},
                     [=](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                       on.conv2d_grad_input({.dy = &t[0], .w = &t[1], .geometry = g}, &out[0], two ? &out[1] : nullptr,
                                            mode);
                     }});
  }
}

// Weight and bias gradients over few positions: many weights, then many biases.
inline void add_grad_weights(std::vector<Case>& cases, int64_t results) {
  const std::map<int64_t, Shape> positions{{1, {1, 1, 1, 0}},  {2, {2, 1, 1, 0}},  {3, {1, 1, 3, 0}},
                                           {9, {1, 3, 3, 0}},  {15, {1, 5, 3, 0}}, {27, {3, 3, 3, 0}},
                                           {48, {2, 4, 6, 0}}, {49, {1, 7, 7, 0}}, {60, {2, 5, 6, 0}}};
  for (const auto& [K, p] : positions)
    for (const bool biases : {false, true}) {
      const int64_t kernel = biases ? 1 : 3, outputs = biases ? results / 4 : 64;
      const int64_t inputs = biases ? 2 : results / (64 * 9);
      const ConvGeometry g{kernel, kernel, 1, kernel / 2};
      cases.push_back({std::string(biases ? "bias" : "weight") + " gradient K " + std::to_string(K),
                       {K, K},
                       {random_values({p.n, p.h, p.w, inputs}, 1), random_values({p.n, p.h, p.w, outputs}, 2)},
                       {{outputs, kernel, kernel, inputs}, {1, 1, 1, outputs}},
                       [=](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                         on.conv2d_grad_weight({.x0 = &t[0], .dy = &t[1], .geometry = g}, out[0], &out[1], mode);
                       }});
    }
}

inline void add_upconvs(std::vector<Case>& cases, int64_t results) {
  constexpr int64_t kOutputs = 20;
  for (const int64_t K : {1, 2, 3, 9, 15, 27, 48, 49}) {
    const int64_t side = side_of(results, 4 * kOutputs);
    const std::string label = " K " + std::to_string(K);
    const UpconvStep step = cases::upconv({1, side, side, K}, kOutputs);
    const StepWeights weights = cases::random_weights(step, 1);
    Tensors in = random_inputs(step, 3);
    cases.push_back(
        {"planned transposed convolution" + label,
         {K},
         in,
         {step.y},
         [=](Backend& on, const Tensors& t, Tensors& out, Grad) { out[0] = run_step(on, step, t, weights).y; },
         false});
    in.insert(in.end(), {weights.w, weights.b});
    cases.push_back({"transposed convolution" + label,
                     {K},
                     in,
                     {step.y},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.upconv2x2(t[0], t[1], &t[2], out[0]); },
                     false});
    // Positions for the weights and channels for the input, where 4 * channels are its terms.
    const int64_t few = (K + 3) / 4, width = side_of(results, 4);
    cases.push_back({"gradients of a transposed convolution over" + label,
                     {K, 4 * K},
                     {random_values({1, 1, K, width}, 1), random_values({1, 2, 2 * K, width}, 2)},
                     {{width, 2, 2, width}, {1, 1, 1, width}},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                       on.upconv2x2_grad_weight(t[0], t[1], out[0], &out[1], mode);
                     }});
    const int64_t high = side_of(results, kOutputs);
    cases.push_back({"input gradient of a transposed convolution K " + std::to_string(4 * few),
                     {4 * few},
                     {random_values({1, 2 * high, 2 * high, few}, 1), random_values({few, 2, 2, kOutputs}, 2)},
                     {{1, high, high, kOutputs}},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                       on.upconv2x2_grad_input(t[0], t[1], out[0], mode);
                     }});
  }
}

// Bilinear interpolation, of four terms, and its gradient: twice the size mixes a pixel into up to 16 others. The
// gradient of maxima, of which up to four may meet. In double on `cpu`; in pairs of float32, which lose K^2 * 2^-48, on
// the CUDA kernels.
inline void add_resizes(std::vector<Case>& cases, int64_t results) {
  constexpr int64_t kChannels = 20;
  constexpr double kPairs = 16 * 16 * 0x1p-48;
  const int64_t side = side_of(results, kChannels);
  for (const Shape& x : {Shape{1, side / 2, side / 2, kChannels}, {1, side, side / 3, kChannels}}) {
    const UpsampleStep step = cases::upsample(x, side, side);
    const Tensors in = random_inputs(step, 3);
    cases.push_back({"planned interpolation of " + to_string(x),
                     {4},
                     in,
                     {step.y},
                     [=](Backend& on, const Tensors& t, Tensors& out, Grad) { out[0] = run_step(on, step, t, {}).y; },
                     false,
                     kPairs});
    cases.push_back({"interpolation of " + to_string(x),
                     {4},
                     in,
                     {step.y},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad) { on.upsample_bilinear(t[0], out[0]); },
                     false,
                     kPairs});
  }
  cases.push_back(
      {"gradient of interpolation",
       {16},
       {random_values({1, 2 * side, 2 * side, kChannels}, 1)},
       {{1, side, side, kChannels}},
       [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.upsample_bilinear_grad(t[0], out[0], mode); },
       true,
       kPairs});
  cases.push_back(
      {"gradient of maxima",
       {5},
       {random_values({1, side, side, kChannels}, 1), random_values({1, (side + 1) / 2, (side + 1) / 2, kChannels}, 2)},
       {{1, side, side, kChannels}},
       [](Backend& on, const Tensors& t, Tensors& out, Grad mode) { on.max_pool3x3_grad(t[0], t[1], out[0], mode); },
       true,
       kPairs});
}

// Batch norm over few pixels: statistics, and all three gradients. Statistics of short sums alone: the mean of more
// pixels errs by what a pixel is rounded to, on the CUDA kernels, which may be much of a mean near 0.
inline void add_batch_norms(std::vector<Case>& cases, int64_t results) {
  const std::map<int64_t, Shape> positions{{2, {2, 1, 1, 0}},  {3, {1, 1, 3, 0}},  {9, {1, 3, 3, 0}},
                                           {15, {1, 5, 3, 0}}, {27, {3, 3, 3, 0}}, {48, {2, 4, 6, 0}},
                                           {49, {1, 7, 7, 0}}, {60, {2, 5, 6, 0}}};
  for (const auto& [K, p] : positions) {
    const Shape c{1, 1, 1, results / 4}, x{p.n, p.h, p.w, c.c};
    cases.push_back({"batch statistics K " + std::to_string(K),
                     {K, K},
                     {random_values(x, 1), random_values(c, 2), random_values(c, 3)},
                     {c, c},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad) {
                       Tensor y(t[0].shape(), on.dtype());
                       on.batch_norm_train(t[0], t[1], t[2], {}, y, out[0], out[1]);
                     },
                     false});
    Tensor rstd = random_values(c, 4);
    for (double& value : rstd.values<double>()) value = static_cast<float>(1.7 + 0.2 * value);  // as of such an x
    cases.push_back({"batch norm's gradients K " + std::to_string(K),
                     {K, K, K},
                     {random_values(x, 1), random_values(c, 2), random_values(c, 3), rstd, random_values(x, 5)},
                     {x, c, c},
                     [](Backend& on, const Tensors& t, Tensors& out, Grad mode) {
                       on.batch_norm_grad(t[0], t[1], t[2], t[3], false, t[4], &out[0], &out[1], &out[2], mode);
                     }});
  }
}

// About so many results each.
inline std::vector<Case> all_cases(int64_t results) {
  std::vector<Case> cases;
  add_forward(cases, results);
  add_heads(cases, results);
  add_grad_inputs(cases, results);
  add_grad_weights(cases, results);
  add_upconvs(cases, results);
  add_resizes(cases, results);
  add_batch_norms(cases, results);
  return cases;
}

}  // namespace furrow::short_sums
