// Gradients of convolutions on tensor cores: arguments and the table of launch functions.
//
// The gradient of a convolution's input is a convolution itself, and runs as one (kernels/cuda/mma_conv.h):
//   a convolution's         weights packed `flipped`, x = dy, x_spacing = stride, pad = kernel - 1 - pad,
//                           out = the size of the input
//   a transposed one's      2x2 stride-2: weights {OC,2,2,IC} packed `transposed`, x = dy, kernel 2x2, stride 2, pad 0
// With residual = y = dx it adds to what is there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// dw[oc,kh,kw,ic] (+)= sum over n,oh,ow of dy[n,oh,ow,oc] * x[n, oh*S+kh-P, ow*S+kw-P, ic], x zero outside, f32 dense.
// Images of one type (f16, bf16, f32 by TensorFloat-32) with pitches that are multiples of 16 bytes.
// The gradient of a 2x2 stride-2 transposed convolution is this with x and dy exchanged, kernel 2x2, stride 2, pad 0,
// and `exchanged`.
struct MmaConvGradWeight {
  ConstImage x[2], dy;  // x[1] may be null; channels of x[0] come first
  int kernel_h = 3, kernel_w = 3, stride = 1, pad_h = 1, pad_w = 1;
  float* dw = nullptr;  // {OC,KH,KW,IC}; exchanged: {IC,KH,KW,OC}
  bool exchanged = false, accumulate = false;
  int blocks_wanted = 528;    // pixels are split until about as many run: here four on each of 132 processors
  void* workspace = nullptr;  // mma_grad_weight_split(...).workspace_bytes
};

// Tiles whose products are one chain of tensor-core additions; runs are added in float32.
inline constexpr int kMmaGradRun = 64;
// How the sum over pixels is split: parts are summed apart, then added in order.
struct MmaGradSplit {
  int parts = 1;
  int64_t tiles = 0, tiles_per_part = 0;  // of 64 (f32: 32) pixels
  size_t workspace_bytes = 0;
};
// Enough parts for the blocks wanted, none longer than 256 tiles.
constexpr MmaGradSplit mma_grad_weight_split(const MmaConvGradWeight& g) {
  const auto quotient = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t taps_together = g.kernel_w == 1 ? 1 : 3, ic = g.x[0].c + g.x[1].c;
  const int64_t blocks = quotient(g.dy.c, 64) * (quotient(g.x[0].c, 64) + quotient(g.x[1].c, 64)) *
                         quotient(g.kernel_w, taps_together) * g.kernel_h;
  MmaGradSplit split;
  split.tiles = g.dy.n * quotient(g.dy.h, g.dy.type == DType::f32 ? 2 : 4) * quotient(g.dy.w, 16);
  int64_t parts = quotient(g.blocks_wanted, blocks > 0 ? blocks : 1);
  if (parts > split.tiles) parts = split.tiles;
  if (parts < quotient(split.tiles, 256)) parts = quotient(split.tiles, 256);
  split.tiles_per_part = quotient(split.tiles, parts > 0 ? parts : 1);
  split.parts = static_cast<int>(quotient(split.tiles, split.tiles_per_part > 0 ? split.tiles_per_part : 1));
  split.workspace_bytes =
      sizeof(float) * static_cast<size_t>(split.parts) * static_cast<size_t>(g.dy.c * ic * g.kernel_h * g.kernel_w);
  return split;
}
// Dynamic shared memory of a launch, bytes: three tiles of pixels under way. A device that grants less cannot run the
// shape.
constexpr size_t mma_grad_weight_shared_bytes(DType type, int kernel_w, int stride) {
  const int columns = 15 * stride + (kernel_w == 1 ? 1 : 3), x_columns = (columns + stride - 1) / stride * stride;
  return 3 * static_cast<size_t>((type == DType::f32 ? 2 : 4) * (16 + x_columns) * 64) * (type == DType::f32 ? 4 : 2);
}

// db[c] (+)= sum over all pixels of dy[.,c].
struct MmaGradBias {
  ConstImage dy;
  float* db = nullptr;
  bool accumulate = false;
  void* workspace = nullptr;  // mma_grad_bias_bytes(dy)
};
constexpr int kMmaGradBiasParts = 256;
constexpr size_t mma_grad_bias_bytes(const ConstImage& dy) {
  return sizeof(float) * kMmaGradBiasParts * static_cast<size_t>(dy.c);
}

struct MmaConvGradKernels {
  void (*weight)(Stream, const MmaConvGradWeight&);
  void (*bias)(Stream, const MmaGradBias&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::MmaConvGradKernels mma_conv_grad_kernels;
}
namespace furrow::cuda {
extern const gpu::MmaConvGradKernels mma_conv_grad_kernels;
}
