// What the losses' kernels share: dispatch on storage types and the gradient's scale.
#pragma once

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/loss.h"
#include "kernels/cuda/simt.h"
#include "kernels/error.h"

namespace furrow::SIMT_NS {

constexpr unsigned kLossThreads = 256;

// body(T{}) for the storage type T that `type` names.
template <class Body>
void with_logit_type(DType type, const Body& body) {
  if (type == DType::f32) return body(float{});
  if (type == DType::f16) return body(f16{});
  require(type == DType::bf16, "loss: logits of another type");
  body(bf16{});
}

inline void check_images(const gpu::ConstImage& z, const gpu::Image& dz) {
  require(z.n > 0 && z.h > 0 && z.w > 0 && z.c > 0, "loss: the batch is empty, and its loss undefined");
  require(z.data != nullptr && z.pitch >= z.c, "loss: logits");
  require(!dz || (dz.type == z.type && dz.n == z.n && dz.h == z.h && dz.w == z.w && dz.c == z.c && dz.pitch >= dz.c),
          "loss: a gradient unlike its logits");
}

SIMT_DEVICE float scale_of(const gpu::GradientScale& s) {
  return s.device_factor == nullptr ? s.factor : s.factor * *s.device_factor;
}

// Zeros behind a pixel's channels.
template <class T>
SIMT_DEVICE void pad_with_zeros(T* pixel, int c, int pitch) {
  for (int k = c; k < pitch; ++k) pixel[k] = from_float<T>(0.0f);
}

}  // namespace furrow::SIMT_NS
