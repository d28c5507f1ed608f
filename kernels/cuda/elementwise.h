// Operations on each value alone, gates, dropout and conversions between image layouts: arguments and launch functions.
//
// Images of one call have one type (f32, f16, bf16) but for `convert`; pitches are free. Arithmetic is float32. Where a
// gradient is `accumulate`d it is added to what the image holds. A result may be the very image of an input.
#pragma once

#include <cstdint>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// All images of one shape.
struct UnaryArgs {
  ConstImage x;
  Image y;
};
struct BinaryArgs {
  ConstImage a, b;
  Image y;
};
struct UnaryGradArgs {
  ConstImage y, dy;
  Image dx;
  bool accumulate = false;
};
// da, and db where it has data, both receive the gradient.
struct ReluGradArgs {
  ConstImage y, dy;
  Image da;
  bool accumulate_a = false;
  Image db;
  bool accumulate_b = false;
};
struct FillArgs {
  Image y;
  float value = 0;
};

// Attention gate on a skip connection (Oktay et al. 2018): alpha = sigmoid(logits) {N,H,W,1}, y = x * alpha.
struct GateArgs {
  ConstImage x, logits;
  Image y;
};
// dx = dy * alpha;  dlogits = alpha * (1 - alpha) * sum over c of dy * x. Either may be without data.
struct GateGradArgs {
  ConstImage x, logits, dy;
  Image dx, dlogits;
  bool accumulate_x = false, accumulate_logits = false;
};

// Channel attention (Yu et al. 2018): s = sigmoid(logits) {N,1,1,C}, y = x * s + residual, that where it has data.
struct ChannelGateArgs {
  ConstImage x, logits, residual;
  Image y;
};
// dx = dy * s;  dlogits = s * (1 - s) * sum over h, w of dy * x. Either may be without data.
struct ChannelGateGradArgs {
  ConstImage x, logits, dy;
  Image dx, dlogits;
  bool accumulate_x = false, accumulate_logits = false;
  float* workspace = nullptr;  // for dlogits: global_mean_workspace(n, h*w, c) bytes (kernels/cuda/resample.h)
};

// y = alpha * a + beta * b; without b, alpha * a.
struct CombineArgs {
  ConstImage a, b;
  Image y;
  float alpha = 1, beta = 1;
};

// y = u(e) >= p ? x / (1-p) : 0, where u(e) = Philox(seed).uniform(stream, first + e) of kernels/random.h and e is the
// element's number in dense NHWC order, whatever the pitch. The gradient is the same call with dy for x and dx for y.
// 0 <= p < 1.
struct DropoutArgs {
  ConstImage x;
  Image y;
  double p = 0.5;
  uint64_t seed = 0, stream = 0, first = 0;
  bool accumulate = false;
};

struct ElementwiseKernels {
  void (*relu)(Stream, const UnaryArgs&);              // y = x <= 0 ? 0 : x; NaN stays NaN
  void (*relu_grad)(Stream, const ReluGradArgs&);      // da = db = y <= 0 ? 0 : dy; NaN lets dy through
  void (*sigmoid)(Stream, const UnaryArgs&);           // y = 1 / (1 + exp(-x)), stable at any x
  void (*sigmoid_grad)(Stream, const UnaryGradArgs&);  // dx = dy * y * (1 - y)
  void (*add)(Stream, const BinaryArgs&);              // y = a + b
  void (*add_relu)(Stream, const BinaryArgs&);         // y = relu(a + b); its gradient is relu_grad with both results
  void (*fill)(Stream, const FillArgs&);               // y = value
  void (*convert)(Stream, const UnaryArgs&);           // y = x: any two types and pitches, rounded to nearest even
  // x {n,h,w,c <= kSplitChannels}, float32, to y of 16 bits and pitch 8: channel k is x[k], rounded, channel 4 + k what that
  // lacks, x[k] - y[k], rounded; 0 where y[k] is not finite. Reads x, writes 16 bytes per pixel.
  void (*split)(Stream, const UnaryArgs&);
  void (*gate)(Stream, const GateArgs&);
  void (*gate_grad)(Stream, const GateGradArgs&);
  void (*combine)(Stream, const CombineArgs&);
  void (*dropout)(Stream, const DropoutArgs&);
  void (*channel_gate)(Stream, const ChannelGateArgs&);
  void (*channel_gate_grad)(Stream, const ChannelGateGradArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::ElementwiseKernels elementwise_kernels;
}
namespace furrow::cuda {
extern const gpu::ElementwiseKernels elementwise_kernels;
}  // namespace furrow::cuda
