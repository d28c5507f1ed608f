// A picture or feature map in device memory, as launch functions take it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace furrow::gpu {

// NHWC; pixel (i,y,x) begins at element ((i*h + y)*w + x) * pitch of `data`, pitch >= c. Channels c..pitch-1 hold zeros:
// whoever writes an image writes them, whoever reads one may rely on it. 16-bit images have pitches that are multiples of
// 8 where tensor cores read them, so that every pixel starts on 16 bytes; dense ones (pitch == c) are what the Backend's
// eager operations see. Extents fit int; element offsets need 64 bits.
struct ConstImage {
  const void* data = nullptr;
  DType type = DType::f32;   // f32, f16, bf16
  int n = 0, h = 0, w = 0, c = 0, pitch = 0;
  int64_t pixels() const { return static_cast<int64_t>(n) * h * w; }
  explicit operator bool() const { return data != nullptr; }
};
struct Image {
  void* data = nullptr;
  DType type = DType::f32;
  int n = 0, h = 0, w = 0, c = 0, pitch = 0;
  int64_t pixels() const { return static_cast<int64_t>(n) * h * w; }
  explicit operator bool() const { return data != nullptr; }
  operator ConstImage() const { return {data, type, n, h, w, c, pitch}; }  // NOLINT: reading is always allowed
};

// The one exception to the zeros: an image from outside, of 16 bits and c <= kSplitChannels, holds in channel
// kSplitChannels + k what rounding took from channel k (ElementwiseKernels::split). Tensor-core weights of so few
// channels stand twice where they are finite (MmaConvLayout), so a network's first convolution sees its input with 22
// bits (bf16: 16; f16: of values from 2^-3 on, below that to 2^-25) instead of 11 (8); for all other readers and for
// images with zeros there nothing changes.
constexpr int kSplitChannels = 4;

}  // namespace furrow::gpu
