// What the instruction-set files offer to the losses: Dice + Focal of a run of pixels (kernels/losses.h).
// Like RowKernels: one text (loss_rows.h) compiled once per instruction set.
#pragma once

#include <cstdint>

namespace furrow::cpu {

// A logit, its probability, what is left to 1, and -ln of both.
struct ClampedEnd {
  float logit = 0, p = 0, q = 0, minus_ln_p = 0, minus_ln_q = 0;
};

// The options of DiceFocal, in the type that is computed in.
struct DiceFocalOptions {
  float positive = 0, negative = 0;  // alpha_positive * pos_weight, alpha_negative
  float gamma = 0, dice_map_weight = 0;
  ClampedEnd low, high;  // where `clamp`
  bool clamp = false, double_sigmoid = false;
};

// `count` pixels of one image. Adds to the sums, which run in double: I = sum m p t, X = sum m (p (1-t) + q t), and the
// focal terms. Where `focal_slope` is given, it and `dice_slope` become d focal / dz and m p q, both times the slope of
// a second sigmoid.
struct DiceFocalRun {
  const float* z = nullptr;
  const float* t = nullptr;        // targets of the Dice term
  const float* focal_t = nullptr;  // and of the focal term
  int64_t count = 0;
  double both = 0, different = 0, focal = 0;
  float* focal_slope = nullptr;
  float* dice_slope = nullptr;
};

// dz = dice_scale * (2t - D) * dice_slope + focal_scale * focal_slope of `count` pixels, focal_slope read from dz.
struct DiceFocalGradient {
  const float* t = nullptr;
  const float* dice_slope = nullptr;
  float* dz = nullptr;
  int64_t count = 0;
  float D = 0, dice_scale = 0, focal_scale = 0;
};

struct LossKernels {
  const char* isa;
  void (*dice_focal)(const DiceFocalOptions&, DiceFocalRun&);
  void (*dice_focal_gradient)(const DiceFocalGradient&);
  // What they are made of, for tests of its accuracy; `count` a multiple of 16.
  void (*exponentials)(const float* x, int64_t count, float* y);   // y = exp(-x), x >= 0
  void (*probabilities)(const float* z, int64_t count, float* y);  // rows of y: p, q, -ln p, -ln q
};

extern const LossKernels kPortableLosses;
#if defined(__x86_64__)
extern const LossKernels kAvx2Losses;    // needs AVX2 and FMA
extern const LossKernels kAvx512Losses;  // needs AVX-512F
#endif

}  // namespace furrow::cpu
