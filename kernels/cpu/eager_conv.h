// The convolutions of the Backend page and their gradients on dense NHWC tensors: what they are made of.
//
// Every one of them, transposed or not, is a TapConv: outputs on a grid, each the sum over some taps of an input on a
// grid; a gradient with respect to the input is one again, with rows and columns of the weights exchanged. 3x3
// convolutions of stride 1 with enough channels take Winograd's way instead, which multiplies 4 times less by F(4x4, 3x3)
// (eager_winograd4.cc), where pictures are large enough for that, and 2.25 times less by F(2x2, 3x3) (winograd.cc).
// Gradients with respect to weights are products summed over positions (weight_grad.cc) or Winograd's tiles
// (winograd_weight_grad.cc). Sums of fewer than 49 terms are added up in double (kernels/short_sums.h).
//
// Work is split by shape alone and no two tasks add to the same value, so bits do not depend on the number of threads.
#pragma once

#include <functional>
#include <span>

#include "kernels/cpu/panels.h"
#include "kernels/cpu/scratch.h"

namespace furrow::cpu {

// Where one panel of results goes: channels [channel, channel+lanes) of pixel (i*step + row, j*step + column).
struct ResultPanel {
  Tensor* y = nullptr;
  int64_t channel = 0, lanes = 0;
  int64_t row = 0, column = 0;
};

// y(position, panel) = act(bias + sum over k of gathered(position, k) * w(k, panel))
struct TapConv {
  Gather in;
  std::vector<ResultPanel> out;
  int64_t step = 1;  // of the results
  // Fills the 16 weights of every k for one panel: to[k*16 + lane], zeros past its lanes.
  std::function<void(int64_t panel, float* to)> pack;
  const float* bias = nullptr;  // 16 values a panel, or null
  Activation act = Activation::none;
  Grad mode = Grad::overwrite;
};
void run(const Machine& m, Scratch& scratch, const TapConv& op);

// y = act(bias + w * x), 3x3, stride 1: x one or two tensors, y likewise (null where unwanted). w(tap, k, n) is read as
// packed by `pack`: transformed weights of panel `n` and of source panel `k`.
struct WinogradConv {
  const Tensor* x[2] = {nullptr, nullptr};
  std::vector<ResultPanel> out;
  int64_t pad = 1, out_h = 0, out_w = 0;
  // Transformed weights of one result panel and source panels [first, last): to[matrix*stride + k*16 + lane], k over
  // their channels, padded.
  std::function<void(int64_t panel, int64_t first, int64_t last, float* to, int64_t stride)> pack;
  const float* bias = nullptr;
  Activation act = Activation::none;
  Grad mode = Grad::overwrite;
};
void run(const Machine& m, Scratch& scratch, const WinogradConv& op);
// The same by F(4x4, 3x3) with 36 weights in place of 16, of pad 1 (eager_winograd4.cc).
void run_winograd4(const Machine& m, Scratch& scratch, const WinogradConv& op);

// Whether a convolution takes Winograd's way: 3x3, stride 1, and at least 16 channels on both sides.
bool winograd_fits(const ConvGeometry& g, int64_t ic, int64_t oc);
// Whether one that does, or its gradient with respect to the input, goes by F(4x4, 3x3): where planned ones do, which is
// a function of one image's shape. y is the result of either; its batch and channels do not matter.
bool eager_winograd4_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& y);
// Whether its gradient with respect to the weights does: over at least 49 tiles of `dy`, which are summed in two
// levels. Over fewer, a chain, and the transforms' roundings on top were measured to err by up to 1.1 times 4e-8 *
// sqrt(K) of the largest result, K the positions.
bool winograd_grad_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& dy);
// Whether that goes by F(4x4, 3x3): over at least 2048 positions. Its transforms err by 0.8e-6 to 1.4e-6 of the largest
// result, however many there are, which is within the bound of direct sums from some 1300 on.
bool winograd4_grad_fits(const ConvGeometry& g, int64_t ic, int64_t oc, const Shape& dy);
// `pack` of a convolution y(oc) = w * x(ic), and of the gradient dx(ic) = w' * dy(oc) with the taps turned round.
// w {OC,3,3,IC}; of the first, the result panel is channels [oc0, oc0 + lanes), of the second `out`, whose source panels
// [first, last) are of oc.
void winograd_pack(const Tensor& w, std::span<const ChannelPanel> in, int64_t oc0, int64_t lanes, float* to,
                   int64_t stride);
void winograd_pack_turned(const Tensor& w, const ChannelPanel& out, int64_t first, int64_t last, float* to,
                          int64_t stride);
void winograd4_pack(const Machine& m, const Tensor& w, std::span<const ChannelPanel> in, int64_t oc0, int64_t lanes,
                    float* to, int64_t stride);
void winograd4_pack_turned(const Machine& m, const Tensor& w, const ChannelPanel& out, int64_t first, int64_t last,
                           float* to, int64_t stride);

// dw(m, n) = sum over positions of left(position, m) * right(position, n); row m of the result goes to `row(m)`.
struct WeightGrad {
  Gather left, right;
  std::function<float*(int64_t m)> row;
  Grad mode = Grad::overwrite;
};
void run(const Machine& m, Scratch& scratch, const WeightGrad& op);

// The same for what winograd_fits(): dw {OC,3,3,IC}.
struct WinogradWeightGrad {
  const Tensor* x[2] = {nullptr, nullptr};
  const Tensor* dy = nullptr;
  int64_t pad = 1;
  Tensor* dw = nullptr;
  Grad mode = Grad::overwrite;
};
void run(const Machine& m, Scratch& scratch, const WinogradWeightGrad& op);
void run_winograd4(const Machine& m, Scratch& scratch, const WinogradWeightGrad& op);  // by F(4x4, 3x3), pad 1

}  // namespace furrow::cpu
