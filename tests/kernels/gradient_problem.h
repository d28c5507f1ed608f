// Operations of a training step on device `cpu` against `ref`: every instruction set this CPU has, both ways of storing
// a gradient, and the same bits for any number of threads.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/eager_conv.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {

using Tensors = std::vector<Tensor>;
// Computes `out` from `in` on a back-end; where it has a mode, it is that of a gradient.
using Operation = std::function<void(Backend&, const Tensors& in, Tensors& out, Grad mode)>;

struct Problem {
  std::string what;
  Tensors in;  // float64 values that float32 holds exactly
  std::vector<Shape> out;
  double tolerance;  // of the largest value of an output, at least 1
  Operation run;
  bool accumulates = true;
};

inline Tensors narrowed(const Tensors& wide) {
  Tensors out;
  for (const Tensor& t : wide) out.push_back(t.to(DType::f32));
  return out;
}

// What is there before the operation: it must be overwritten, or added to.
inline Tensors outputs(const Problem& p) {
  Tensors out;
  for (const Shape& s : p.out) out.push_back(cases::random_values(s, 99));
  return out;
}

// Beside an infinity no error would be too large.
inline double largest_finite(const Tensor& t) {
  double size = 0;
  for (const double value : t.values<double>())
    if (std::isfinite(value)) size = std::max(size, std::abs(value));
  return size;
}

inline void check(const Problem& p) {
  ThreadPool three(3);
  RefBackend ref(&three);
  for (const Grad mode : {Grad::overwrite, Grad::accumulate}) {
    if (mode == Grad::accumulate && !p.accumulates) continue;
    Tensors want = outputs(p);
    p.run(ref, p.in, want, mode);
    for (const cpu::Isa isa : cpu::supported_isas()) {
      const std::string place = p.what + " " + std::string(cpu::name(isa)) + (mode == Grad::accumulate ? " +=" : "");
      Tensors first;
      for (const int threads : {1, 2, 3, 7}) {
        ThreadPool pool(threads);
        cpu::CpuBackend backend(isa, &pool);
        Tensors got = narrowed(outputs(p));
        p.run(backend, narrowed(p.in), got, mode);
        if (threads == 1) first = got;
        for (size_t i = 0; i < got.size(); ++i)
          EXPECT_TRUE(same_bits(got[i], first[i])) << place << ", output " << i << ", threads " << threads;
      }
      for (size_t i = 0; i < first.size(); ++i)
        EXPECT_TRUE(close(first[i], want[i], {.absolute = p.tolerance * std::max(1.0, largest_finite(want[i]))}))
            << place << ", output " << i;
    }
  }
}

struct ConvProblem {
  Shape x;
  int64_t second, oc;
  ConvGeometry geometry;
};

inline std::string text(const ConvProblem& p) {
  return to_string(p.x) + "+" + std::to_string(p.second) + " -> " + std::to_string(p.oc) + " k" +
         std::to_string(p.geometry.kernel_h) + "x" + std::to_string(p.geometry.kernel_w) + "s" +
         std::to_string(p.geometry.stride) + "p" + std::to_string(p.geometry.pad);
}

// The convolution and its three gradients.
inline void check_convolution(const ConvProblem& p) {
  using cases::random_values;
  const ConvGeometry& g = p.geometry;
  const bool two = p.second > 0;
  const int64_t ic = p.x.c + p.second, taps = g.kernel_h * g.kernel_w;
  const Shape x1{p.x.n, p.x.h, p.x.w, p.second}, w{p.oc, g.kernel_h, g.kernel_w, ic}, b{1, 1, 1, p.oc},
      y{p.x.n, g.out(p.x.h, g.kernel_h), g.out(p.x.w, g.kernel_w), p.oc};
  const bool four = cpu::eager_winograd4_fits(g, ic, p.oc, y);
  const auto sum_error = [four](int64_t length) {
    return four ? winograd4_sum_error(length) : float_sum_error(length);
  };
  const Tensor in0 = random_values(p.x, 1), in1 = random_values(x1, 2), weight = random_values(w, 3),
               bias = random_values(b, 4), dy = random_values(y, 5);

  check({"conv2d " + text(p),
         {in0, in1, weight, bias},
         {y},
         sum_error(taps * ic),
         [&](Backend& on, const Tensors& in, Tensors& out, Grad) {
           on.conv2d({.x0 = &in[0],
                      .x1 = two ? &in[1] : nullptr,
                      .w = &in[2],
                      .b = &in[3],
                      .geometry = g,
                      .act = Activation::relu},
                     out[0]);
         },
         false});
  check({"grad_input " + text(p),
         {dy, weight},
         {p.x, x1},
         sum_error(taps * p.oc),
         [&](Backend& on, const Tensors& in, Tensors& out, Grad mode) {
           on.conv2d_grad_input({.dy = &in[0], .w = &in[1], .geometry = g}, &out[0], two ? &out[1] : nullptr, mode);
         }});
  if (two)
    for (const bool first : {false, true})
      check({"grad_input of one source " + text(p),
             {dy, weight},
             {first ? p.x : x1},
             sum_error(taps * p.oc),
             [&](Backend& on, const Tensors& in, Tensors& out, Grad mode) {
               on.conv2d_grad_input({.dy = &in[0], .w = &in[1], .geometry = g}, first ? &out[0] : nullptr,
                                    first ? nullptr : &out[0], mode);
             }});
  check({"grad_weight " + text(p),
         {in0, in1, dy},
         {w, b},
         float_sum_error(y.pixels()),
         [&](Backend& on, const Tensors& in, Tensors& out, Grad mode) {
           on.conv2d_grad_weight({.x0 = &in[0], .x1 = two ? &in[1] : nullptr, .dy = &in[2], .geometry = g}, out[0],
                                 &out[1], mode);
         }});
}

}  // namespace furrow
