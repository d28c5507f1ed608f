// Sums of 1 to 49 terms, and some longer ones, on every function that short sums (kernels/short_sums.h) are added up
// in, which the tests of `cpu` and of the CUDA kernels share.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/ref/ref_backend.h"
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
};

// A sum of K = kernel_h * kernel_w * (c0 + c1) terms. 3x3 and 7x7 have tiles of their own on a GPU, other kernels not.
// The longer ones are those that have no second level of float32 unless they are given one.
struct Window {
  int64_t K;
  ConvGeometry geometry;
  int64_t c0, c1;
};
inline const Window kWindows[] = {
    {1, {1, 1, 1, 0}, 1, 0},   {2, {1, 1, 1, 0}, 1, 1},   {3, {1, 1, 1, 0}, 3, 0},  {9, {3, 3, 1, 1}, 1, 0},
    {15, {1, 5, 1, 2}, 2, 1},  {27, {3, 3, 1, 1}, 3, 0},  {27, {3, 3, 2, 1}, 1, 2}, {48, {2, 3, 3, 1}, 8, 0},
    {48, {1, 1, 1, 0}, 9, 39}, {49, {1, 1, 1, 0}, 49, 0}, {49, {7, 7, 1, 3}, 1, 0}, {50, {5, 5, 1, 2}, 2, 0},
    {54, {3, 3, 1, 1}, 6, 0},  {72, {3, 3, 1, 1}, 8, 0},  {81, {3, 3, 2, 1}, 8, 1}, {98, {7, 7, 1, 3}, 2, 0},
    {99, {3, 3, 1, 1}, 11, 0}, {147, {7, 7, 2, 3}, 3, 0},  {294, {7, 7, 1, 3}, 6, 0},
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

// About so many results each.
inline std::vector<Case> all_cases(int64_t results) {
  std::vector<Case> cases;
  add_forward(cases, results);
  add_heads(cases, results);
  add_grad_inputs(cases, results);
  add_grad_weights(cases, results);
  add_upconvs(cases, results);
  return cases;
}

// Largest |got - want| over what the bound allows, by K.
using Worst = std::map<int64_t, double>;

// `got` against float64: within the bound of its K, and a short sum within one rounding of itself, which a chain of
// float32 misses in many of its results. 1e-14 of the largest result is for the roundings in double.
inline void expect_short(const Tensor& got, const Tensor& want, int64_t K, Worst& worst) {
  const double size = largest(want);
  EXPECT_TRUE(close(got, want, {.absolute = float_sum_error(K) * size}));
  if (is_short_sum(K)) { EXPECT_TRUE(close(got, want, {.absolute = 1e-14 * size, .relative = 0x1p-24})); }
  const auto a = got.values<float>();
  const auto b = want.values<double>();
  double error = 0;
  for (size_t i = 0; i < b.size(); ++i) error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
  double& most = worst[K];
  most = std::max(most, error / (4e-8 * std::sqrt(static_cast<double>(K)) * size));
}

// Every case on every back-end, held against `ref`.
inline Worst check(const std::vector<Backend*>& backends, int64_t results) {
  RefBackend ref(nullptr);
  Worst worst;
  for (const Case& c : all_cases(results))
    for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
      if (mode == Grad::accumulate && !c.accumulates) continue;
      const auto computed = [&](Backend& on) {
        Tensors in, out;
        for (const Tensor& t : c.in) in.push_back(t.to(on.dtype()));
        for (const Shape& s : c.out) out.push_back(random_values(s, 99, on.dtype()));  // to be replaced, or added to
        c.run(on, in, out, mode);
        return out;
      };
      const Tensors want = computed(ref);
      for (Backend* backend : backends) {
        SCOPED_TRACE(c.what + (mode == Grad::accumulate ? " += on " : " on ") + backend->name());
        const Tensors got = computed(*backend);
        for (size_t i = 0; i < want.size(); ++i) expect_short(got[i], want[i], c.terms[i], worst);
      }
    }
  return worst;
}

// A gradient by a stride has sums of several lengths: the short ones are rounded once, whatever the others are.
inline void check_strided(const std::vector<Backend*>& backends) {
  constexpr int64_t kOutputs = 16, kInputs = 20, kSide = 48;  // 16, 32 and 64 terms
  const ConvGeometry g{3, 3, 2, 1};
  const Tensor dy = random_values({1, kSide / 2, kSide / 2, kOutputs}, 1),
               w = random_values({kOutputs, 3, 3, kInputs}, 2);
  RefBackend ref(nullptr);
  const Shape x{1, kSide, kSide, kInputs}, half{1, kSide / 2, kSide / 2, kInputs};
  const auto phases_of = [&](Backend& on) {
    const Tensor gradient = dy.to(on.dtype()), weight = w.to(on.dtype());
    Tensor dx(x, on.dtype());
    on.conv2d_grad_input({.dy = &gradient, .w = &weight, .geometry = g}, &dx, nullptr, Grad::overwrite);
    const Tensor wide = dx.to(DType::f64);
    Tensors phases;
    for (int phase = 0; phase < 4; ++phase) {
      Tensor& to = phases.emplace_back(half, DType::f64);
      for (int64_t i = 0; i < half.elements(); ++i) {
        const int64_t row = i / (half.w * kInputs) * 2 + phase / 2, column = i / kInputs % half.w * 2 + phase % 2;
        to.values<double>()[static_cast<size_t>(i)] =
            wide.values<double>()[static_cast<size_t>((row * kSide + column) * kInputs + i % kInputs)];
      }
    }
    return phases;
  };
  const Tensors want = phases_of(ref);
  for (Backend* backend : backends) {
    SCOPED_TRACE(backend->name());
    const Tensors got = phases_of(*backend);
    Worst worst;
    const int64_t terms[] = {16, 32, 32, 64};
    for (size_t i = 0; i < 4; ++i) expect_short(got[i].to(DType::f32), want[i], terms[i], worst);
  }
}

}  // namespace furrow::short_sums
