// The tiled convolution kernel, as the launch functions of forward passes and input gradients call it.
#pragma once

#include "kernels/cuda/conv.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// One convolution for the tiled kernel. Output pixel (oy, ox) sums, over the taps (kh, kw) of its phase, W[kh,kw] times
// input pixel (iy, ix):
//   forward:      iy = oy*stride + kh - pad_h; all taps; one phase
//   transposed:   iy = (oy + pad_h - kh) / stride where the division is exact; outputs of equal oy mod stride and
//                 ox mod stride share their taps: stride^2 phases, one per blockIdx.z
// Columns likewise; input outside the picture is zero.
struct TileProblem {
  struct Source {
    const float* data;
    int c, pitch;
    bool quads;  // 16-byte loads: aligned data, pitch a multiple of 4
  };
  struct Target {
    float* data;  // null: not stored
    int pitch;
    bool quads;
  };
  Source x[2];
  int n, in_h, in_w, out_h, out_w, oc;
  int kernel_h, kernel_w, stride, pad_h, pad_w;
  bool transposed;
  bool bias_inside;  // transposed: 0, without a bias, unless 0 <= oy + pad_h < in_h*stride, and columns alike
  bool relu;
  const float *weights, *bias;
  const float* residual;  // of y's size, or null; may be y
  int residual_pitch;
  Target y, pooled;
  gpu::ConvHead head;
  int apart;  // with a halo, in float32: input channels of a chunk that are summed apart; launch_conv_tile sets it
};

// Halo tiles only for forward problems whose weights were packed for them.
void launch_conv_tile(gpu::Stream stream, const TileProblem& problem, const gpu::ConvTiling& tiling);

// Throw ErrorCode::internal, saying `what`, where the image is not float32.
TileProblem::Source tile_source(const gpu::ConstImage& image, const char* what);
TileProblem::Target tile_target(const gpu::Image& image, const char* what);

// Device packing: packed output o, input i (of inputs0 + inputs1), tap t is w[o*output_stride + i*input_stride +
// (flip ? taps-1-t : t)*tap_stride].
struct PackProblem {
  const float* w;
  float* packed;
  int outputs, inputs0, inputs1, taps, chunk;
  int64_t output_stride, input_stride, tap_stride;
  bool flip;
};
void launch_pack(gpu::Stream stream, const PackProblem& problem);

// Launch functions of the table, by file.
void conv_pack(gpu::Stream, const gpu::ConvPack&);
void upconv_pack(gpu::Stream, const gpu::UpconvPack&);
void conv_forward(gpu::Stream, const gpu::ConvForward&);
void conv_grad_input(gpu::Stream, const gpu::ConvGradInput&);
void conv_grad_weight(gpu::Stream, const gpu::ConvGradWeight&);
void upconv_forward(gpu::Stream, const gpu::UpconvForward&);
void upconv_grad_input(gpu::Stream, const gpu::UpconvGradInput&);
void upconv_grad_weight(gpu::Stream, const gpu::UpconvGradWeight&);

}  // namespace furrow::SIMT_NS
