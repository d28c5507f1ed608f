// Dice + Focal, one register of pixels at a time. Included after conv_rows.h, under its rules: the compilers' vector
// extension, which turns into the instructions of each set, and its own exp and log1p, which a library would not offer
// as vectors. Everything between a pixel's two loads and two stores stays in registers.
#pragma once

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/loss_kernels.h"

namespace furrow::cpu {
namespace {

constexpr int kPixels = Vec::kLanes;
typedef float Reals __attribute__((vector_size(4 * kPixels)));
typedef int32_t Words __attribute__((vector_size(4 * kPixels)));
FURROW_INLINE Reals all(float value) { return Vec::broadcast(&value); }
FURROW_INLINE Reals constant(float value) { return Reals{} + value; }  // of literals: folded

FURROW_INLINE Reals fma(Reals a, Reals b, Reals c) { return Vec::fma(a, b, c); }

// exp(-x) for x >= 0 within 2 units in the last place, 0 for x > 87 (where float32 leaves its normal range), NaN for
// NaN. exp(-x) = 2^n * exp(r) with |r| <= ln(2)/2: n by adding 1.5 * 2^23, after which the low bits hold it; ln(2) in
// two parts, so that n*ln(2) loses nothing; 1 + r + r^2 times a polynomial of degree 4, of least relative
// error, 3.8e-9.
FURROW_INLINE Reals exp_of_minus(Reals x) {
  const Reals shifted = fma(x, constant(-1.44269504f), constant(12582912.0f)), n = shifted - 12582912.0f;
  const Reals r = fma(n, constant(-1.42860677e-6f), fma(n, constant(-0.693145752f), -x)), square = r * r;
  const Reals low = fma(r, constant(0.166665211f), constant(0.499999940f)),
              high = fma(r, constant(0.00836871658f), constant(0.0416683890f));
  const Reals tail = fma(square, fma(square, constant(0.00138145988f), high), low);
  const Reals power = reinterpret_cast<Reals>((reinterpret_cast<Words>(shifted) << 23) + (127 << 23));
  return x > 87.0f ? Reals{} : fma(square, tail, r + 1.0f) * power;
}

// Of a logit z: p, q = 1 - p, and -ln of both, each within 4 units in the last place. With e = exp(-|z|) the larger of
// p and q is 1 / (1 + e), the smaller e times that, and -ln of the larger log1p(e) = 2 atanh(s), s = e / (2 + e) <=
// 1/3: s and s^3 times a polynomial in s^2 of degree 3, of least relative error, 4.8e-9. One division serves both
// fractions.
struct Probabilities {
  Reals p, q, minus_ln_p, minus_ln_q;
};
FURROW_INLINE Probabilities from_exponential(Reals z, Reals e) {
  const Words below = z < 0.0f;
  const Reals size = below ? -z : z;
  const Reals one = e + 1.0f, two = e + 2.0f, inverse = 1.0f / (one * two);
  const Reals larger = two * inverse, smaller = e * larger, s = e * (one * inverse), square = s * s;
  const Reals low = fma(square, constant(0.200108498f), constant(0.333332062f)),
              high = fma(square, constant(0.140122294f), constant(0.139995709f));
  const Reals twice = s + s, log1p = fma(twice * square, fma(square * square, high, low), twice);
  return {below ? smaller : larger, below ? larger : smaller, (below ? size : Reals{}) + log1p,
          (below ? Reals{} : size) + log1p};
}

// Of K registers, step by step: one alone would wait for each of its results, and the processor could not look far
// enough ahead.
template <int K>
FURROW_INLINE void probabilities_of(const Reals (&z)[K], Probabilities (&to)[K]) {
  Reals e[K];
  FURROW_UNROLL
  for (int k = 0; k < K; ++k) e[k] = exp_of_minus(z[k] < 0.0f ? -z[k] : z[k]);
  FURROW_UNROLL
  for (int k = 0; k < K; ++k) to[k] = from_exponential(z[k], e[k]);
}

// p^gamma and q^gamma of K registers. One branch for all of them: a copy of everything per gamma would be three times
// the code for a branch that is always guessed right.
struct Powers {
  Reals p, q;
};
template <int K>
FURROW_INLINE void powers_of(const Probabilities (&of)[K], float gamma, Powers (&to)[K]) {
  if (gamma == 2) {
    FURROW_UNROLL
    for (int k = 0; k < K; ++k) to[k] = {of[k].p * of[k].p, of[k].q * of[k].q};
  } else if (gamma == 1 || gamma == 0) {
    FURROW_UNROLL
    for (int k = 0; k < K; ++k) to[k] = gamma == 1 ? Powers{of[k].p, of[k].q} : Powers{constant(1), constant(1)};
  } else {
    FURROW_UNROLL
    for (int k = 0; k < K; ++k)
      to[k] = {exp_of_minus(gamma * of[k].minus_ln_p), exp_of_minus(gamma * of[k].minus_ln_q)};
  }
}

FURROW_INLINE Reals load(const float* from) {
  Reals value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
FURROW_INLINE void store(float* to, Reals value) { __builtin_memcpy(to, &value, sizeof value); }

// Lane by lane, in double.
struct LaneSums {
  Vec::Wide lower = {}, upper = {};
};
FURROW_INLINE void add(LaneSums& sums, Reals v) { sums.lower += Vec::lower(v), sums.upper += Vec::upper(v); }
// Of products, in double too: a weight above 1 times a logit near the end of float32 is not finite in float32.
FURROW_INLINE void add_product(LaneSums& sums, Reals a, Reals b) {
  sums.lower += Vec::lower(a) * Vec::lower(b), sums.upper += Vec::upper(a) * Vec::upper(b);
}
FURROW_INLINE double total(const LaneSums& sums) {
  double sum = 0;
  for (int i = 0; i < kPixels / 2; ++i) sum += sums.lower[i];
  for (int i = 0; i < kPixels / 2; ++i) sum += sums.upper[i];
  return sum;
}
struct DiceFocalSums {
  LaneSums both, different, focal;
};

// The Dice part of what follows from the probabilities, with `outer` the slope of a second sigmoid: its slope; where
// `counted` is 0 a pixel is no part of the sums.
FURROW_INLINE Reals dice_of(const DiceFocalOptions& o, const Probabilities& of, Reals outer, Reals t, Words counted,
                            DiceFocalSums& sums) {
  const Reals m = fma(all(o.dice_map_weight), t, constant(1)), mp = m * of.p, mq = m * of.q;
  const Reals both = mp * t, different = fma(mp, 1.0f - t, mq * t);
  add(sums.both, counted ? both : Reals{});
  add(sums.different, counted ? different : Reals{});
  return mp * of.q * outer;
}

// What the focal part makes of a logit outside the clamp: the end's own numbers, in place of a second exponential and
// logarithm. Returns where the logit is inside.
FURROW_INLINE Words clamp(const DiceFocalOptions& o, Reals z, Probabilities& of) {
  const Words below = z<o.low.logit, above = z> o.high.logit;
  const auto clamped = [&](Reals value, float low, float high) { return below ? all(low) : above ? all(high) : value; };
  of.p = clamped(of.p, o.low.p, o.high.p);
  of.q = clamped(of.q, o.low.q, o.high.q);
  of.minus_ln_p = clamped(of.minus_ln_p, o.low.minus_ln_p, o.high.minus_ln_p);
  of.minus_ln_q = clamped(of.minus_ln_q, o.low.minus_ln_q, o.high.minus_ln_q);
  return ~(below | above);
}

// The focal part: its slope.
FURROW_INLINE Reals focal_of(const DiceFocalOptions& o, const Probabilities& of, const Powers& powers, Reals focal_t,
                             Words counted, DiceFocalSums& sums) {
  const Reals positive = focal_t * o.positive * powers.q, negative = (1.0f - focal_t) * o.negative * powers.p;
  const Reals up = fma(o.gamma * of.q, of.minus_ln_q, of.p), down = fma(o.gamma * of.p, of.minus_ln_p, of.q);
  add_product(sums.focal, counted ? positive : Reals{}, of.minus_ln_p);
  add_product(sums.focal, counted ? negative : Reals{}, of.minus_ln_q);
  return negative * up - positive * down;
}

// K registers of pixels from addresses, and their slopes to addresses that may be null.
template <int K>
FURROW_INLINE void dice_focal_group(const DiceFocalOptions& o, const DiceFocalRun& r, int64_t at, Words counted,
                                    DiceFocalSums& sums) {
  Reals z[K], outer[K], dice_slope[K];
  Probabilities of[K];
  Powers powers[K];
  Words inside[K];
  FURROW_UNROLL
  for (int k = 0; k < K; ++k) z[k] = load(r.z + at + k * kPixels), outer[k] = constant(1);
  probabilities_of(z, of);
  if (o.double_sigmoid) {
    FURROW_UNROLL
    for (int k = 0; k < K; ++k) outer[k] = of[k].p * of[k].q, z[k] = of[k].p;
    probabilities_of(z, of);
  }
  FURROW_UNROLL
  for (int k = 0; k < K; ++k) {
    dice_slope[k] = dice_of(o, of[k], outer[k], load(r.t + at + k * kPixels), counted, sums);
    inside[k] = o.clamp ? clamp(o, z[k], of[k]) : Words{} - 1;
  }
  powers_of(of, o.gamma, powers);
  FURROW_UNROLL
  for (int k = 0; k < K; ++k) {
    const int64_t pixel = at + k * kPixels;
    const Reals slope = focal_of(o, of[k], powers[k], load(r.focal_t + pixel), counted, sums);
    if (r.focal_slope == nullptr) continue;
    store(r.focal_slope + pixel, inside[k] ? slope * outer[k] : Reals{});
    store(r.dice_slope + pixel, dice_slope[k]);
  }
}

void dice_focal_run(const DiceFocalOptions& options, DiceFocalRun& r) {
  constexpr int64_t kGroup = 4;
  const DiceFocalOptions o = options;  // the stores below cannot change it
  const DiceFocalRun run = r;
  DiceFocalSums sums;
  int64_t at = 0;
  for (; at + kGroup * kPixels <= run.count; at += kGroup * kPixels)
    dice_focal_group<kGroup>(o, run, at, Words{} - 1, sums);
  for (; at < run.count; at += kPixels) {  // one register at a time, the last perhaps in part
    const int64_t count = run.count - at < kPixels ? run.count - at : kPixels;
    float part[5][kPixels] = {};  // z, t, focal_t; the slopes
    int32_t counted[kPixels] = {};
    for (int64_t i = 0; i < count; ++i)
      part[0][i] = run.z[at + i], part[1][i] = run.t[at + i], part[2][i] = run.focal_t[at + i], counted[i] = -1;
    Words mask;
    __builtin_memcpy(&mask, counted, sizeof mask);
    DiceFocalRun rest;
    rest.z = part[0], rest.t = part[1], rest.focal_t = part[2], rest.focal_slope = part[3], rest.dice_slope = part[4];
    dice_focal_group<1>(o, rest, 0, mask, sums);
    for (int64_t i = 0; run.focal_slope != nullptr && i < count; ++i)
      run.focal_slope[at + i] = part[3][i], run.dice_slope[at + i] = part[4][i];
  }
  r.both += total(sums.both), r.different += total(sums.different), r.focal += total(sums.focal);
}

void dice_focal_gradient(const DiceFocalGradient& g) {
  const auto of = [&](Reals t, Reals dice_slope, Reals focal_slope) {
    return (g.dice_scale * (t + t - g.D)) * dice_slope + g.focal_scale * focal_slope;
  };
  int64_t at = 0;
  for (; at + kPixels <= g.count; at += kPixels)
    store(g.dz + at, of(load(g.t + at), load(g.dice_slope + at), load(g.dz + at)));
  for (; at < g.count; ++at) g.dz[at] = of(all(g.t[at]), all(g.dice_slope[at]), all(g.dz[at]))[0];
}

// For tests: exp(-x), x >= 0.
void exponentials_of_minus(const float* x, int64_t count, float* y) {
  for (int64_t at = 0; at + kPixels <= count; at += kPixels) store(y + at, exp_of_minus(load(x + at)));
}

// For tests: p, q, -ln p, -ln q of each logit, in four rows of `count`.
void probabilities_of_logits(const float* z, int64_t count, float* y) {
  for (int64_t at = 0; at + kPixels <= count; at += kPixels) {
    const Reals logits[1] = {load(z + at)};
    Probabilities of[1];
    probabilities_of(logits, of);
    store(y + at, of[0].p), store(y + count + at, of[0].q);
    store(y + 2 * count + at, of[0].minus_ln_p), store(y + 3 * count + at, of[0].minus_ln_q);
  }
}

}  // namespace
}  // namespace furrow::cpu
