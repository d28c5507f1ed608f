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

// p^gamma, given p and -ln p. kGamma -1: any.
template <int kGamma>
FURROW_INLINE Reals power_of(Reals p, Reals minus_ln_p, float gamma) {
  if constexpr (kGamma == 0) return constant(1);
  if constexpr (kGamma == 1) return p;
  if constexpr (kGamma == 2) return p * p;
  return exp_of_minus(gamma * minus_ln_p);
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

struct DiceFocalSlopes {
  Reals dice, focal;
};

// What follows from the probabilities, with `outer` the slope of a second sigmoid; where `counted` is 0 a pixel is no
// part of the sums.
template <int kGamma>
FURROW_INLINE DiceFocalSlopes dice_focal_of(const DiceFocalOptions& o, Reals z, Probabilities of, Reals outer, Reals t,
                                            Reals focal_t, Words counted, DiceFocalSums& sums) {
  const Reals m = fma(all(o.dice_map_weight), t, constant(1)), mp = m * of.p, mq = m * of.q;
  const Reals both = mp * t, different = fma(mp, 1.0f - t, mq * t);
  DiceFocalSlopes slopes;
  slopes.dice = mp * of.q * outer;
  Words inside = Words{} - 1;
  if (o.clamp) {  // the end's own numbers in place of a second exponential and logarithm
    const Words below = z<o.low.logit, above = z> o.high.logit;
    const auto clamped = [&](Reals value, float low, float high) {
      return below ? all(low) : above ? all(high) : value;
    };
    inside = ~(below | above);
    of.p = clamped(of.p, o.low.p, o.high.p);
    of.q = clamped(of.q, o.low.q, o.high.q);
    of.minus_ln_p = clamped(of.minus_ln_p, o.low.minus_ln_p, o.high.minus_ln_p);
    of.minus_ln_q = clamped(of.minus_ln_q, o.low.minus_ln_q, o.high.minus_ln_q);
  }
  const Reals positive = focal_t * o.positive * power_of<kGamma>(of.q, of.minus_ln_q, o.gamma);
  const Reals negative = (1.0f - focal_t) * o.negative * power_of<kGamma>(of.p, of.minus_ln_p, o.gamma);
  const Reals up = fma(o.gamma * of.q, of.minus_ln_q, of.p), down = fma(o.gamma * of.p, of.minus_ln_p, of.q);
  const Reals slope = negative * up - positive * down;
  slopes.focal = inside ? slope * outer : Reals{};
  add(sums.both, counted ? both : Reals{});
  add(sums.different, counted ? different : Reals{});
  add_product(sums.focal, counted ? positive : Reals{}, of.minus_ln_p);
  add_product(sums.focal, counted ? negative : Reals{}, of.minus_ln_q);
  return slopes;
}

// K registers of pixels from addresses, and their slopes to addresses that may be null.
template <int kGamma, int K>
FURROW_INLINE void dice_focal_group(const DiceFocalOptions& o, const DiceFocalRun& r, int64_t at, Words counted,
                                    DiceFocalSums& sums) {
  Reals z[K], outer[K];
  Probabilities of[K];
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
    const int64_t pixel = at + k * kPixels;
    const DiceFocalSlopes slopes =
        dice_focal_of<kGamma>(o, z[k], of[k], outer[k], load(r.t + pixel), load(r.focal_t + pixel), counted, sums);
    if (r.focal_slope != nullptr) store(r.focal_slope + pixel, slopes.focal), store(r.dice_slope + pixel, slopes.dice);
  }
}

template <int kGamma>
void dice_focal_pixels(const DiceFocalOptions& options, DiceFocalRun& r) {
  const DiceFocalOptions o = options;  // the stores below cannot change it
  const DiceFocalRun run = r;
  const Words everywhere = Words{} - 1;
  DiceFocalSums sums;
  int64_t at = 0;
  for (; at + 4 * kPixels <= run.count; at += 4 * kPixels) dice_focal_group<kGamma, 4>(o, run, at, everywhere, sums);
  for (; at + kPixels <= run.count; at += kPixels) dice_focal_group<kGamma, 1>(o, run, at, everywhere, sums);
  if (at < run.count) {
    float part[5][kPixels] = {};  // z, t, focal_t; the slopes
    int32_t counted[kPixels] = {};
    for (int64_t i = at; i < run.count; ++i)
      part[0][i - at] = run.z[i], part[1][i - at] = run.t[i], part[2][i - at] = run.focal_t[i], counted[i - at] = -1;
    Words mask;
    __builtin_memcpy(&mask, counted, sizeof mask);
    DiceFocalRun rest;
    rest.z = part[0], rest.t = part[1], rest.focal_t = part[2], rest.focal_slope = part[3], rest.dice_slope = part[4];
    dice_focal_group<kGamma, 1>(o, rest, 0, mask, sums);
    for (int64_t i = at; run.focal_slope != nullptr && i < run.count; ++i)
      run.focal_slope[i] = part[3][i - at], run.dice_slope[i] = part[4][i - at];
  }
  r.both += total(sums.both), r.different += total(sums.different), r.focal += total(sums.focal);
}

void dice_focal_run(const DiceFocalOptions& o, DiceFocalRun& r) {
  if (o.gamma == 0) return dice_focal_pixels<0>(o, r);
  if (o.gamma == 1) return dice_focal_pixels<1>(o, r);
  if (o.gamma == 2) return dice_focal_pixels<2>(o, r);
  dice_focal_pixels<-1>(o, r);
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
