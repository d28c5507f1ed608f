// Planned steps: the fused operations an inference Plan is made of, and how a back-end meets them.
//
// A step's activations live in `Placed` buffers, whose layout only the back-end that filled them may read (dense NHWC,
// blocked by 16 channels, whatever is fastest there); `place` and `unplace` are the reorders, and are plan steps of
// their own. Weights are handed over once, in float64 with batch norm already folded in, and come back as `Packed`.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "kernels/quantised.h"
#include "kernels/tensor.h"

namespace furrow {

enum class Activation : uint8_t { none, relu };

struct ConvGeometry {
  int64_t kernel_h = 3, kernel_w = 3, stride = 1, pad = 1;   // pad: zeros on every side
  int64_t out(int64_t in, int64_t kernel) const { return (in + 2 * pad - kernel) / stride + 1; }
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

// What of a step happens in 8 bits, on a back-end that has_bytes(). With x[0] the step is computed from bytes: weights
// become signed ones, from -127 to 127, with a scale for each channel of y, and sums are exact. in_bytes: the source's
// buffer holds them already; else it holds the back-end's own type, to be rounded first. y: y (and the pooled one) are
// stored as bytes.
struct StepBytes {
  Quantised x[2], y;
  bool in_bytes[2] = {false, false};
};
// Results of fewer channels are never bytes, sources only where they are stored as such: a picture.
inline constexpr int64_t kLeastByteChannels = 8;

// y = act(W * [x0, x1] + b + residual): convolution over one or two sources (two replace a concat on channels, x0
// first), then as asked: y itself, its 2x2/2 maximum (odd last row or column dropped), and a 1x1 convolution of y (the
// head). A step with a residual, a tensor of y's shape, stores y and asks for nothing else.
struct ConvStep {
  Shape x[2] = {{}, {0, 0, 0, 0}};   // x[1].c == 0 where there is one source; else equal n, h, w
  int64_t oc = 0;
  ConvGeometry geometry;
  Activation act = Activation::none;
  bool store_y = true;    // false where nothing reads y itself
  bool pool = false;
  int64_t head = 0;       // > 0: channels of the head, written as a dense NHWC tensor (no activation after it)
  bool residual = false;
  StepBytes bytes = {};
  Shape y() const {
    return {x[0].n, geometry.out(x[0].h, geometry.kernel_h), geometry.out(x[0].w, geometry.kernel_w), oc};
  }
};

// 2x2 stride-2 transposed convolution, its result laid at (top, left) of a zero y; parts outside y are dropped.
struct UpconvStep {
  Shape x, y;
  int64_t top = 0, left = 0;
  StepBytes bytes = {};
};
// Whether a back-end that has_bytes() can compute the step, whose sources are quantised, from bytes.
bool fits_bytes(const ConvStep& step);
bool fits_bytes(const UpconvStep& step);

// Bilinear resize of x to h x w with align_corners, laid at (top, left) of a zero y; parts outside y are dropped.
struct UpsampleStep { Shape x; int64_t h = 0, w = 0; Shape y; int64_t top = 0, left = 0; };

// Maximum of a window every two pixels, where no convolution could take it along: 2x2 (an odd last row or column is
// dropped), or 3x3 on the picture padded by one.
struct PoolStep {
  Shape x;
  int64_t window = 2;   // or 3
  Shape y() const { return {x.n, (x.h + window - 2) / 2, (x.w + window - 2) / 2, x.c}; }
};

// y = x * sigmoid(z): Backend::gate. x and y {N,H,W,C}, z {N,H,W,1} in the buffer x[1].
struct GateStep {
  Shape x;
  Shape z() const { return {x.n, x.h, x.w, 1}; }
};

// y[h,w] = x[floor(h*IH/OH), floor(w*IW/OW)]: Backend::upsample_nearest.
struct NearestStep {
  Shape x;
  int64_t h = 0, w = 0;
  Shape y() const { return {x.n, h, w, x.c}; }
};

// The mean of every channel of an image: Backend::global_mean.
struct MeanStep {
  Shape x;
  Shape y() const { return {x.n, 1, 1, x.c}; }
};

// y = x * sigmoid(z) + residual: Backend::channel_gate. x, y and the residual, where there is one, {N,H,W,C}; z
// {N,1,1,C} in the buffer x[1].
struct ChannelGateStep {
  Shape x;
  bool residual = false;
  Shape z() const { return {x.n, 1, 1, x.c}; }
};

using Step =
    std::variant<ConvStep, UpconvStep, UpsampleStep, PoolStep, GateStep, NearestStep, MeanStep, ChannelGateStep>;
Shape output_shape(const Step& step);
const StepBytes* bytes_of(const Step& step);  // null where a step knows none
std::string op_name(const Step& step);      // "conv2d+relu+pool", "conv2d+add+relu"
std::string problem(const Step& step);      // "1x64x64x(64+64) -> 1x64x64x64 k3s1p1"
int64_t weight_elements(const Step& step);  // of weights and biases, the head's included; 0 where there are none
uint64_t flops(const Step& step);           // 2 per multiply-add, by the formula of the op, whatever the algorithm
// Each input, weight and output moved once, those in 8 bits as such.
uint64_t min_bytes(const Step& step, size_t element);

// float64, dense: w {OC,KH,KW,IC0+IC1} (UpconvStep: {OC,2,2,IC}), b {1,1,1,OC} (empty = zeros), head_w {HEAD,1,1,OC},
// head_b.
struct StepWeights { Tensor w, b, head_w, head_b; };

// Weights in a back-end's own order.
class Packed {
 public:
  virtual ~Packed() = default;
  virtual size_t bytes() const = 0;
};

// quantised: it holds bytes.
struct Placed {
  std::byte* data = nullptr;
  Shape shape;
  Quantised quantised = {};
};

struct StepBuffers {
  Placed x[2], residual, y, pooled;   // those the step reads and writes
  Tensor head;                 // dense NHWC of the back-end's dtype
  std::byte* workspace = nullptr;
};

}  // namespace furrow
