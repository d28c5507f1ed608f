// Launch functions of the losses of kernels/losses.h: value and gradient in the logits' type, computed in float32 with
// sums in float64, finite for every finite logit.
#pragma once

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"
#include "kernels/losses.h"

namespace furrow::gpu {

// What a gradient is multiplied by before it is rounded to its type: `factor`, times *`device_factor` where that is
// given (the loss scale of half-precision training, which changes without the host).
struct GradientScale {
  float factor = 1;
  const float* device_factor = nullptr;
};

// Dice + Focal of one channel. Two passes over the pixels, and between them one block that finishes the sums.
struct DiceFocalArgs {
  DiceFocal form;
  ConstImage z;                   // logits, c = 1; f32, f16 or bf16
  const void* targets = nullptr;  // [n][h][w], dense
  DType target_type = DType::u8;  // u8: t = min(v / target_one, 1); f32: t itself
  int target_one = 1;             // 1 or 255, say
  Image dz;                       // of z's shape and type, any pitch; no data: value alone
  GradientScale scale;
  DiceFocalValue* value = nullptr;  // in device memory; not scaled
  void* workspace = nullptr;        // dice_focal_workspace() bytes, 8-byte aligned
};

// Softmax cross-entropy over z.c channels.
struct CrossEntropyArgs {
  ConstImage z;                  // f32, f16 or bf16
  const void* labels = nullptr;  // [n][h][w], dense
  DType label_type = DType::u8;  // u8 or i32
  int32_t ignore_index = -100;
  const float* class_weights = nullptr;  // [z.c] in device memory, or null: all 1
  Image dz;                              // as above
  GradientScale scale;
  CrossEntropyValue* value = nullptr;  // in device memory; not scaled
  void* workspace = nullptr;           // cross_entropy_workspace() bytes, 8-byte aligned
};

// Soft Dice over z.c channels beside cross-entropy.
struct SoftDiceArgs {
  SoftDice form;                 // its entropy.class_weights are not read: see below
  ConstImage z;                  // f32, f16 or bf16
  const void* labels = nullptr;  // [n][h][w], dense
  DType label_type = DType::u8;  // u8 or i32
  const float* class_weights = nullptr;  // [z.c] in device memory, or null: all 1
  Image dz;                              // as above
  GradientScale scale;
  SoftDiceValue* value = nullptr;  // in device memory; not scaled
  void* workspace = nullptr;       // soft_dice_workspace() bytes, 8-byte aligned
};

// Pixels whose sums one block makes.
inline constexpr int64_t kLossChunk = 4096;
constexpr int64_t loss_chunks(int64_t pixels) { return (pixels + kLossChunk - 1) / kLossChunk; }
// Three float64 sums per chunk of an image and two float32 coefficients per image.
constexpr size_t dice_focal_workspace(int64_t n, int64_t h, int64_t w) {
  return static_cast<size_t>(n) * (static_cast<size_t>(loss_chunks(h * w)) * 3 * sizeof(double) + 2 * sizeof(float));
}
// Three float64 sums per chunk of all pixels and one coefficient.
constexpr size_t cross_entropy_workspace(int64_t n, int64_t h, int64_t w) {
  return (static_cast<size_t>(loss_chunks(n * h * w)) * 3 + 1) * sizeof(double);
}
// Per chunk of an image two float64 sums a class and the cross-entropy's three; one coefficient of the cross-entropy, and
// two float32 ones per class of an image.
constexpr size_t soft_dice_workspace(int64_t n, int64_t h, int64_t w, int64_t c) {
  return static_cast<size_t>(n * loss_chunks(h * w) * (2 * c + 3) + 1) * sizeof(double) +
         static_cast<size_t>(n * c) * 2 * sizeof(float);
}

struct LossKernels {
  void (*dice_focal)(Stream, const DiceFocalArgs&);
  void (*cross_entropy)(Stream, const CrossEntropyArgs&);
  void (*soft_dice)(Stream, const SoftDiceArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::LossKernels loss_kernels;
}
namespace furrow::cuda {
extern const gpu::LossKernels loss_kernels;
}  // namespace furrow::cuda
