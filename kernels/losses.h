// Losses: what they are computed from and what their options mean. Values and gradients: the float64 oracle in
// kernels/ref/losses.h, the kernels in kernels/cuda/loss.h.
//
// Notation: z a logit, p = sigmoid(z), q = 1 - p = sigmoid(-z), t a target in [0,1]; B images, P pixels an image,
// N = B*P. ln p = -softplus(-z) and ln q = -softplus(z), which lose no digits at any finite z.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace furrow {

// Dice + Focal of one channel of logits:
//
//   loss  = dice_weight * dice + focal_weight * focal
//   dice  = 1 - mean over images of D,  D = (2I + eps) / (S + eps),  I = sum m p t,  S = sum m (p + t),
//           m = 1 + dice_map_weight * t
//         = mean of X / (S + eps),  X = S - 2I = sum m (p (1-t) + q t): how it is computed, since 1 - D cancels
//   focal = mean over N of  t * f1(z) + (1-t) * f0(z),
//           f1 = alpha_positive * pos_weight * q^gamma * -ln p,   f0 = alpha_negative * p^gamma * -ln q
//
// A soft target (a weak label) weighs the two focal terms; with t in {0,1} that is the usual focal loss, and with
// gamma = 0 the binary cross-entropy against t.
//
//   d dice  / dz = -m (2t - D) / (S + eps) * p q / B
//   d focal / dz = (t * alpha_positive * pos_weight * q^gamma * (gamma p ln p - q)
//                   + (1-t) * alpha_negative * p^gamma * (p - gamma q ln q)) / N
struct DiceFocal {
  double dice_weight = 1, focal_weight = 1;
  double alpha_positive = 0.9, alpha_negative = 0.1;
  double gamma = 1;
  double pos_weight = 1;  // BCE-with-logits' pos_weight, inside the focal term
  double dice_map_weight = 0;
  double eps = 1e-6;
  // Parity with models trained on a clamped p: the focal term sees p in [kFocalClampLow, kFocalClampHigh], and its
  // gradient is zero outside. A pixel that is wrong beyond |z| = 13.8 then teaches nothing; off, it always does.
  bool clamp = false;
  // The network's output is a probability that was fed to the loss as a logit: p = sigmoid(sigmoid(z)).
  bool double_sigmoid = false;
  // The focal term compares every prediction with every target of the batch, (B x B) pairs: by its linearity in t, with
  // the mean of the batch's targets at that pixel. Predictions [B,H,W] against targets [B,1,H,W] broadcast that way.
  bool batch_broadcast = false;
  // I and S are summed over the whole batch, which makes one D.
  bool dice_over_batch = false;
};

// 1e-6 and 1 - 1e-6 as float32, in which the clamped models computed: 1 - kFocalClampHigh is 1.0133e-6.
inline constexpr double kFocalClampLow = 1e-6f, kFocalClampHigh = 1.0f - 1e-6f;
// Their logits.
inline constexpr double kFocalClampLowLogit = -13.815509560488534, kFocalClampHighLogit = 13.802317976102997;

// The losses that published checkpoints of this network were trained with, by the order in which they were in use:
//   L0  BCE + Dice, D over the whole batch
//   L1  0.7 Dice + 0.3 Focal, gamma 2, alpha 0.25 for both classes
//   L2  the same, alpha 0.25 for positive and 0.75 for negative pixels
//   L3  0.7 Dice + 0.3 Focal, gamma 2, alpha 0.75 / 0.25; `weight` is pos_weight and dice_map_weight (none: 1 and 2)
//   L4  0.5 Dice + 0.5 Focal, otherwise L3, `weight` 5 where none is given
//   L5  Dice + Focal, gamma 2, alpha 0.75 / 0.25, clamped
//   L6  Dice + Focal, gamma 1, alpha 0.9 / 0.1, clamped: the one in use since
// `weight` <= 0 stands for none; only L3 and L4 read it. Throws ErrorCode::configuration for another name.
DiceFocal dice_focal_form(std::string_view name, double weight = 0);

// Parts of a loss; `total` is the weighted sum of the others.
struct DiceFocalValue {
  double total = 0, dice = 0, focal = 0;
};

// Cross-entropy over the C channels of a pixel, label y in [0, C):
//   loss = sum w_y * (logsumexp(z) - z_y) / sum w_y over the pixels that count;  dz_c = w_y (softmax(z)_c - [c = y]) /
//   sum w_y
// A pixel counts unless its label is ignore_index or outside [0, C). Where none counts, loss and gradient are 0.
// Source: torch.nn.CrossEntropyLoss with reduction "mean" (which has 0/0 where none counts, and refuses bad labels).
struct CrossEntropy {
  int32_t ignore_index = -100;
  std::vector<float> class_weights = {};  // C of them, or none: all 1
};
struct CrossEntropyValue {
  double loss = 0;
  double weight = 0;    // sum w_y
  int64_t invalid = 0;  // labels that are neither a class nor ignore_index: a caller should refuse the data
};

// Soft Dice over the C channels of a pixel, beside cross-entropy: p = softmax(z), t_c = [c = y].
//
//   loss  = dice_weight * dice + entropy_weight * entropy
//   dice  = 1 - mean over the G groups of D,  D = (2I + eps) / (S + eps),  I = sum p t,  S = sum (p + t)
//         = mean of X / (S + eps),  X = S - 2I = sum (t = 1 ? 1 - p : p): how it is computed, since 1 - D cancels
//   d dice / dz_c = p_c (a_c - sum over k of a_k p_k),  a_k = (D_k - 2 t_k) / ((S_k + eps) G),  D_k, S_k of k's group
//
// A group is one class of one image, and wider by the two options below. A pixel that does not count in the
// cross-entropy is in no sum of the Dice either; class weights are the cross-entropy's alone. Where no pixel counts,
// loss and gradient are 0.
struct SoftDice {
  double dice_weight = 1, entropy_weight = 1;
  int32_t first_class = 0;        // classes before it are in no group: 1 leaves the background out
  bool over_batch = true;         // a group spans all images
  bool classes_together = false;  // a group spans all its classes
  double eps = 1e-6;
  CrossEntropy entropy = {};
};
struct SoftDiceValue {
  double total = 0, dice = 0, entropy = 0;
  double weight = 0;    // as in CrossEntropyValue
  int64_t invalid = 0;  // as in CrossEntropyValue
};

// The multi-class losses in use:
//   L0                CE + Dice, one D over batch and classes: L0 above for networks with a channel per class, as
//                     milesial/Pytorch-UNet computes it since 2023
//   L0_class_mean     the same with a D per class, their mean: as it did before
//   soft_dice         Dice alone, a D per class over the batch, the background's too: stage 2 of the two-stage training
//   foreground_dice   0.5 Dice + 0.5 CE, a D per class over the batch, without the background
// Throws ErrorCode::configuration for another name.
SoftDice soft_dice_form(std::string_view name);

}  // namespace furrow
