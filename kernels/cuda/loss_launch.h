// What the losses' kernels share: dispatch on storage types, the gradient's scale, and a pixel's softmax.
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

// Logits of several classes and a label per pixel.
template <class T, class L>
struct Labelled {
  const T* __restrict__ z;
  const L* __restrict__ labels;
  const float* __restrict__ class_weights;
  int64_t count;  // pixels of the batch
  int classes, pitch;
  int32_t ignore_index;
  SIMT_DEVICE bool is_class(int32_t y) const { return y >= 0 && y < classes; }
  SIMT_DEVICE bool counts(int32_t y) const { return y != ignore_index && is_class(y); }
  // 0 for a pixel that does not count.
  SIMT_DEVICE float weight(int32_t y) const {
    if (!counts(y)) return 0;
    return class_weights == nullptr ? 1.0f : class_weights[y];
  }
};

// The largest logit of a pixel, which channel has it, and the sum over the others of exp(z_c - z_top).
struct Spread {
  int top;
  float z_top, others;
};
// A NaN anywhere makes `others` NaN.
template <class T>
SIMT_DEVICE Spread spread_of(const T* __restrict__ row, int classes) {
  Spread s{0, to_float(row[0]), 0};
  for (int c = 1; c < classes; ++c) {
    const float z = to_float(row[c]);
    if (z > s.z_top) {
      s.top = c;
      s.z_top = z;
    }
  }
  for (int c = 0; c < classes; ++c)
    if (c != s.top) s.others += expf(to_float(row[c]) - s.z_top);
  return s;
}

// What a pixel of label y that counts adds to the cross-entropy; two logits may be further apart than float32 reaches.
SIMT_DEVICE double entropy_of(const Spread& s, float z_y) {
  return (static_cast<double>(s.z_top) - static_cast<double>(z_y)) + static_cast<double>(log1pf(s.others));
}
// d entropy / dz_c = softmax(z)_c - [c = y], from e = exp(z_c - z_top).
SIMT_DEVICE float entropy_slope(const Spread& s, float e, int c, int y) {
  const float bottom = 1.0f + s.others, share = e / bottom;
  if (c != y) return share;
  return c == s.top ? -s.others / bottom : share - 1.0f;
}

}  // namespace furrow::SIMT_NS
