// Short sums (kernels/short_sums.h) against `ref`, which the tests of `cpu` and of the CUDA kernels share.
#pragma once

#include "kernels/ref/ref_backend.h"
#include "tests/kernels/short_sum_cases.h"

namespace furrow::short_sums {

// Largest |got - want| over what the bound allows, by K.
using Worst = std::map<int64_t, double>;

// `got` against float64: within the bound of its K, and a short sum within one rounding of itself, which a chain of
// float32 misses in many of its results. `beside` of the largest result is for the roundings in double.
inline void expect_short(const Tensor& got, const Tensor& want, int64_t K, double beside, Worst& worst) {
  const double size = largest(want);
  EXPECT_TRUE(close(got, want, {.absolute = float_sum_error(K) * size}));
  if (is_short_sum(K)) { EXPECT_TRUE(close(got, want, {.absolute = beside * size, .relative = 0x1p-24})); }
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
        for (size_t i = 0; i < want.size(); ++i) expect_short(got[i], want[i], c.terms[i], c.beside, worst);
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
    for (size_t i = 0; i < 4; ++i) expect_short(got[i].to(DType::f32), want[i], terms[i], 1e-14, worst);
  }
}

}  // namespace furrow::short_sums
