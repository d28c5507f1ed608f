// Dice + Focal in blocks of 64 pixels. Included after conv_rows.h, under its rules: plain loops over arrays, which the
// compiler turns into the vectors of each instruction set, and its own exp and log1p, which a library would not offer
// as vectors.
#pragma once

#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/loss_kernels.h"

namespace furrow::cpu {
namespace {

constexpr int kPixels = 64;
using Lanes = float[kPixels];

FURROW_INLINE float float_of(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
FURROW_INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

// exp(-x) for x >= 0 to 2 units in the last place, 0 for x > 87 (where float32 leaves its normal range), NaN for NaN.
// exp(-x) = 2^n * exp(r) with |r| <= ln(2)/2: n by adding 1.5 * 2^23, after which the low bits hold it; ln(2) in two
// parts, so that n*ln(2) loses nothing; Taylor's series, whose next term r^8/8! is below 6e-9.
FURROW_INLINE float exp_of_minus(float x) {
  const float shifted = x * -1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  const float r = (-x - n * 0.693145752f) - n * 1.42860677e-6f;
  float y = 1.0f / 5040;
  y = y * r + 1.0f / 720;
  y = y * r + 1.0f / 120;
  y = y * r + 1.0f / 24;
  y = y * r + 1.0f / 6;
  y = y * r + 0.5f;
  y = y * r + 1;
  y = y * r + 1;
  const float power = float_of((bits_of(shifted) << 23) + (uint32_t{127} << 23));
  return x > 87 ? 0 : y * power;
}

// ln(1 + e) for 0 <= e <= 1, relative to its value: 2 atanh(s), s = e / (2 + e) <= 1/3; the next term of the series is
// below 3e-9 of it.
FURROW_INLINE float log1p_of(float e) {
  const float s = e / (2 + e), z = s * s;
  float y = 1.0f / 15;
  y = y * z + 1.0f / 13;
  y = y * z + 1.0f / 11;
  y = y * z + 1.0f / 9;
  y = y * z + 1.0f / 7;
  y = y * z + 1.0f / 5;
  y = y * z + 1.0f / 3;
  return 2 * s + 2 * s * (z * y);
}

// Of a logit: p, q = 1 - p, and -ln of both, all to a few units in the last place.
struct Probabilities {
  Lanes p, q, minus_ln_p, minus_ln_q;
  void of(const Lanes& z) {
    for (int i = 0; i < kPixels; ++i) {
      const float size = z[i] < 0 ? -z[i] : z[i];
      const float e = exp_of_minus(size), larger = 1 / (1 + e), smaller = e * larger, l = log1p_of(e);
      p[i] = z[i] < 0 ? smaller : larger;
      q[i] = z[i] < 0 ? larger : smaller;
      minus_ln_p[i] = (z[i] < 0 ? size : 0) + l;
      minus_ln_q[i] = (z[i] < 0 ? 0 : size) + l;
    }
  }
};

// p^gamma, given p and -ln p.
void powers(const Lanes& p, const Lanes& minus_ln_p, float gamma, Lanes& to) {
  if (gamma == 0) {
    for (int i = 0; i < kPixels; ++i) to[i] = 1;
  } else if (gamma == 1) {
    for (int i = 0; i < kPixels; ++i) to[i] = p[i];
  } else if (gamma == 2) {
    for (int i = 0; i < kPixels; ++i) to[i] = p[i] * p[i];
  } else {
    for (int i = 0; i < kPixels; ++i) to[i] = exp_of_minus(gamma * minus_ln_p[i]);
  }
}

// Eight sums side by side, then one after another: the same order on every instruction set.
double sum_of(const Lanes& values) {
  double sums[8] = {};
  for (int i = 0; i < kPixels; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(values[i + j]);
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

// One block; of `count` pixels the sums and slopes count, the rest is filling.
void dice_focal_block(const DiceFocalOptions& o, DiceFocalRun& r, int64_t at, int count) {
  Lanes z, t, focal_t;
  for (int i = 0; i < kPixels; ++i) z[i] = t[i] = focal_t[i] = 0;
  if (count == kPixels)  // of constant length: vectors
    for (int i = 0; i < kPixels; ++i) z[i] = r.z[at + i], t[i] = r.t[at + i], focal_t[i] = r.focal_t[at + i];
  else
    for (int i = 0; i < count; ++i) z[i] = r.z[at + i], t[i] = r.t[at + i], focal_t[i] = r.focal_t[at + i];
  Probabilities of;
  Lanes slope;
  if (o.double_sigmoid) {
    of.of(z);
    for (int i = 0; i < kPixels; ++i) slope[i] = of.p[i] * of.q[i], z[i] = of.p[i];
  }
  of.of(z);
  Lanes both, different, dice_slope;
  for (int i = 0; i < kPixels; ++i) {
    const float m = 1 + o.dice_map_weight * t[i];
    both[i] = i < count ? m * of.p[i] * t[i] : 0;
    different[i] = i < count ? m * (of.p[i] * (1 - t[i]) + of.q[i] * t[i]) : 0;
    dice_slope[i] = m * of.p[i] * of.q[i];
  }
  Lanes inside;
  for (int i = 0; i < kPixels; ++i) inside[i] = 1;
  if (o.clamp)
    for (int i = 0; i < kPixels; ++i) {  // the end's own numbers in place of a second exponential and logarithm
      const bool below = z[i]<o.low.logit, above = z[i]> o.high.logit;
      const float p = of.p[i], q = of.q[i], ln_p = of.minus_ln_p[i], ln_q = of.minus_ln_q[i];
      inside[i] = below || above ? 0 : 1;
      of.p[i] = below ? o.low.p : above ? o.high.p : p;
      of.q[i] = below ? o.low.q : above ? o.high.q : q;
      of.minus_ln_p[i] = below ? o.low.minus_ln_p : above ? o.high.minus_ln_p : ln_p;
      of.minus_ln_q[i] = below ? o.low.minus_ln_q : above ? o.high.minus_ln_q : ln_q;
    }
  Lanes p_power, q_power, focal, focal_slope;
  powers(of.p, of.minus_ln_p, o.gamma, p_power);
  powers(of.q, of.minus_ln_q, o.gamma, q_power);
  for (int i = 0; i < kPixels; ++i) {
    const float positive = focal_t[i] * o.positive * q_power[i], negative = (1 - focal_t[i]) * o.negative * p_power[i];
    focal[i] = i < count ? positive * of.minus_ln_p[i] + negative * of.minus_ln_q[i] : 0;
    focal_slope[i] = positive * (-o.gamma * of.p[i] * of.minus_ln_p[i] - of.q[i]) +
                     negative * (of.p[i] + o.gamma * of.q[i] * of.minus_ln_q[i]);
  }
  r.both += sum_of(both), r.different += sum_of(different), r.focal += sum_of(focal);
  if (r.focal_slope == nullptr) return;
  for (int i = 0; i < count; ++i) {
    const float outer = o.double_sigmoid ? slope[i] : 1;
    r.focal_slope[at + i] = inside[i] == 0 ? 0 : focal_slope[i] * outer;
    r.dice_slope[at + i] = dice_slope[i] * outer;
  }
}

void dice_focal_run(const DiceFocalOptions& o, DiceFocalRun& r) {
  for (int64_t at = 0; at < r.count; at += kPixels)
    dice_focal_block(o, r, at, r.count - at < kPixels ? static_cast<int>(r.count - at) : kPixels);
}

}  // namespace
}  // namespace furrow::cpu
