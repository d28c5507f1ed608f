// Convolution in fp32 without tensor cores: forward with its fused epilogues, gradients, and the 2x2 transposed
// convolution. Short sums (kernels/short_sums.h), of a head too, are added up in double and rounded once.
//
// One tiled kernel (conv_tile.h) computes every forward pass and input gradient; a second one every weight gradient.
// All images are DType::f32 with any pitch >= c. Where a tap lies outside the picture its weight is multiplied by a
// zero, so that an infinite or NaN weight makes border results NaN; the reference leaves such taps out. Weights of the
// tiled kernel are packed: on the host from float64 (pack_conv, planned inference) or on the device from dense float32
// (the pack_* launches, training).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"
#include "kernels/planned.h"
#include "kernels/short_sums.h"

namespace furrow::gpu {

// Output channels that one block computes at a time; packed weights are padded to whole tiles.
inline constexpr int kConvChannelTile = 32;

// How the tiled kernel walks a convolution, a function of its geometry alone. `halo`: input tiles with a border serve
// all taps of a chunk of input channels (3x3 and 7x7 of stride 1 and 2); else each tap stages its own tile.
struct ConvTiling {
  int chunk;  // input channels staged at a time
  bool halo;
};
constexpr ConvTiling conv_tiling(int64_t kernel_h, int64_t kernel_w, int64_t stride) {
  if (kernel_h != kernel_w || stride > 2) return {16, false};
  if (kernel_h == 3) return {8, true};
  if (kernel_h == 7) return {4, true};
  return {16, false};
}

// Floats of packed weights: [outputs/32][chunks of input 0, then of input 1][kernel_h*kernel_w][chunk][32],
// zero-padded.
constexpr size_t conv_packed_floats(const ConvTiling& t, int64_t outputs, int64_t taps, int64_t inputs0,
                                    int64_t inputs1) {
  const int64_t tiles = (outputs + kConvChannelTile - 1) / kConvChannelTile;
  const int64_t chunks = (inputs0 + t.chunk - 1) / t.chunk + (inputs1 + t.chunk - 1) / t.chunk;
  return static_cast<size_t>(tiles * chunks * taps * t.chunk * kConvChannelTile);
}

// Packed weights of y = W * [x0, x1] from w {OC,KH,KW,IC0+IC1} (f32 or f64).
std::vector<float> pack_conv(const Tensor& w, const ConvGeometry& geometry, int64_t inputs0);
// Packed weights of the transposed convolution from w {OC,2,2,IC}.
std::vector<float> pack_upconv(const Tensor& w);
inline constexpr ConvTiling kUpconvTiling = {16, false};

// The same from dense float32 device memory w {oc,kernel_h,kernel_w,inputs0+inputs1}.
struct ConvPack {
  const float* w = nullptr;
  float* packed = nullptr;  // conv_packed_floats
  int oc = 0, inputs0 = 0, inputs1 = 0;
  ConvGeometry geometry;
};
struct UpconvPack {
  const float* w = nullptr;  // {oc,2,2,ic}
  float* packed = nullptr;   // conv_packed_floats(kUpconvTiling, oc, 4, ic, 0)
  int oc = 0, ic = 0;
};

// A 1x1 convolution of y: out[pixel][k] = f(b[k] + sum over oc of w[k,oc] * y[pixel,oc]). The block that computes a
// pixel goes through all its channels, 32 at a time, and adds each part in that order: y need not be stored.
enum class HeadOutput : uint8_t {
  logits,         // float: the sum itself
  probabilities,  // float: 1/(1+exp(-sum))
  mask,           // uint8: sum > logit_threshold ? 255 : 0 (NaN: 0). probability > t <=> sum > log(t/(1-t))
};
struct ConvHead {
  int channels = 0;          // 0: no head
  const float* w = nullptr;  // {channels, oc}
  const float* b = nullptr;  // {channels} or null
  HeadOutput kind = HeadOutput::logits;
  float logit_threshold = 0;
  void* out = nullptr;  // dense {n, oh, ow, channels}
};

// y = act(W * [x0, x1] + b + residual), and as asked its 2x2/2 maximum and its head (Backend::conv2d, ConvStep).
struct ConvForward {
  ConstImage x0, x1;  // x1 empty where there is one source; else equal n, h, w
  int oc = 0;
  ConvGeometry geometry;
  const float* weights = nullptr;  // pack_conv
  const float* bias = nullptr;     // {oc} or null
  ConstImage residual;             // of y's size, or empty; may be y itself
  Activation act = Activation::none;
  Image y;       // {n, oh, ow, oc}, or empty: not stored
  Image pooled;  // {n, oh/2, ow/2, oc}, or empty; an odd last row or column is dropped, NaN wins
  ConvHead head;
};

// Backend::conv2d_grad_input.
struct ConvGradInput {
  ConstImage dy;                 // {n, oh, ow, oc}
  const float* w = nullptr;      // dense {oc, kernel_h, kernel_w, inputs0+inputs1}
  int inputs0 = 0, inputs1 = 0;  // channels of the sources
  ConvGeometry geometry;
  Image dx0, dx1;  // either may be empty
  bool accumulate = false;
  float* scratch = nullptr;  // conv_grad_input_scratch floats
};
// Stride 1 is a forward convolution of dy; other strides gather, phase by phase, the outputs that read an input.
constexpr ConvTiling conv_grad_tiling(const ConvGeometry& g) {
  return g.stride == 1 ? conv_tiling(g.kernel_h, g.kernel_w, 1) : ConvTiling{16, false};
}
constexpr size_t conv_grad_input_scratch(const ConvGeometry& g, int64_t oc, int64_t inputs0, int64_t inputs1) {
  const int64_t taps = g.kernel_h * g.kernel_w;
  return conv_packed_floats(conv_grad_tiling(g), inputs0, taps, oc, 0) +
         conv_packed_floats(conv_grad_tiling(g), inputs1, taps, oc, 0);
}

// Backend::conv2d_grad_weight.
struct ConvGradWeight {
  ConstImage x0, x1;  // x1 may be empty
  ConstImage dy;
  ConvGeometry geometry;
  float* dw = nullptr;  // dense {oc, kernel_h, kernel_w, inputs0+inputs1}
  float* db = nullptr;  // {oc}, or null
  bool accumulate = false;
  float* scratch = nullptr;  // conv_grad_weight_scratch floats, on 8 bytes
};
// Into how many slices a sum over pixels is cut, where each slice is the work of `tiles` blocks: enough to fill a GPU,
// of no less than 256 pixels each. Shapes alone decide, so that a result has the same bits in
// every run of one build on one device.
constexpr int64_t conv_grad_slices(int64_t pixels, int64_t tiles) {
  return std::clamp<int64_t>(std::min((1023 + tiles) / tiles, pixels / 256), 1, 256);
}
inline constexpr int kConvGradTile = 64, kConvBiasTile = 32;  // rows and columns of dw, channels of db, per block
constexpr int64_t conv_grad_weight_tiles(int64_t rows, int64_t columns) {
  return (rows + kConvGradTile - 1) / kConvGradTile * ((columns + kConvGradTile - 1) / kConvGradTile);
}
constexpr int64_t conv_grad_bias_tiles(int64_t oc) { return (oc + kConvBiasTile - 1) / kConvBiasTile; }
// The sums over `pixels` of `values` values, a slice each; of short sums, in double.
constexpr int64_t conv_grad_sums(int64_t pixels, int64_t tiles, int64_t values) {
  return conv_grad_slices(pixels, tiles) * values * (is_short_sum(pixels) ? 2 : 1);
}
// pixels: of dy. The sums of the slices of dw, and after their use those of db.
constexpr size_t conv_grad_weight_scratch(int64_t pixels, int64_t oc, int64_t taps, int64_t inputs) {
  const int64_t weight = conv_grad_sums(pixels, conv_grad_weight_tiles(oc, taps * inputs), oc * taps * inputs);
  return static_cast<size_t>(std::max(weight, conv_grad_sums(pixels, conv_grad_bias_tiles(oc), oc)));
}

// 2x2 stride-2 transposed convolution laid at (top, left) of y; parts outside y are dropped, the rest of y is zero
// (UpconvStep; Backend::upconv2x2 with top = left = 0 and y of twice the size).
struct UpconvForward {
  ConstImage x;
  const float* weights = nullptr;  // pack_upconv
  const float* bias = nullptr;     // {y.c} or null
  Image y;
  int top = 0, left = 0;
};
// Backend::upconv2x2_grad_input. dy {n,2h,2w,oc}, w dense {oc,2,2,ic}, dx {n,h,w,ic}.
struct UpconvGradInput {
  ConstImage dy;
  const float* w = nullptr;
  Image dx;
  bool accumulate = false;
  float* scratch = nullptr;  // conv_packed_floats(kUpconvTiling, ic, 4, oc, 0)
};
// Backend::upconv2x2_grad_weight. x {n,h,w,ic}, dy {n,2h,2w,oc}, dw dense {oc,2,2,ic}, db {oc} or null.
struct UpconvGradWeight {
  ConstImage x, dy;
  float* dw = nullptr;
  float* db = nullptr;
  bool accumulate = false;
  float* scratch = nullptr;  // upconv_grad_weight_scratch floats, on 8 bytes
};
// pixels: of x.
constexpr size_t upconv_grad_weight_scratch(int64_t pixels, int64_t oc, int64_t ic) {
  const int64_t weight = conv_grad_sums(pixels, conv_grad_weight_tiles(ic, 4 * oc), ic * 4 * oc);
  return static_cast<size_t>(std::max(weight, conv_grad_sums(4 * pixels, conv_grad_bias_tiles(oc), oc)));
}

struct ConvKernels {
  void (*pack)(Stream, const ConvPack&);
  void (*forward)(Stream, const ConvForward&);
  void (*grad_input)(Stream, const ConvGradInput&);
  void (*grad_weight)(Stream, const ConvGradWeight&);
  void (*pack_upconv)(Stream, const UpconvPack&);
  void (*upconv)(Stream, const UpconvForward&);
  void (*upconv_grad_input)(Stream, const UpconvGradInput&);
  void (*upconv_grad_weight)(Stream, const UpconvGradWeight&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::ConvKernels conv_kernels;
}
namespace furrow::cuda {
extern const gpu::ConvKernels conv_kernels;
}
