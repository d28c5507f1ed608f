// Eager convolutions: weights are packed on the device before each call, for training changes them each step. What
// EagerMma (or a back-end above this one) takes is computed there, the rest here, in fp32.
#include "kernels/cuda/cuda_eager_mma.h"

namespace furrow::gpu {
namespace {

int64_t taps(const ConvGeometry& g) { return g.kernel_h * g.kernel_w; }

void check_bias(const Tensor* b, int64_t oc) {
  require(b == nullptr || b->empty() || b->shape() == Shape{1, 1, 1, oc}, "bias: one value per output channel");
}

Shape result_shape(const Shape& x, const ConvGeometry& g, int64_t oc) {
  return {x.n, g.out(x.h, g.kernel_h), g.out(x.w, g.kernel_w), oc};
}

}  // namespace

bool CudaBackend::narrow_conv(Staged& staged, const ConvForward& args, const float* w) {
  return EagerMma(*this, staged).forward(args, w);
}
bool CudaBackend::narrow_grad_input(Staged& staged, const ConvGradInput& args) {
  return EagerMma(*this, staged).grad_input(args);
}
bool CudaBackend::narrow_grad_weight(Staged& staged, const ConvGradWeight& args) {
  return EagerMma(*this, staged).grad_weight(args);
}

void CudaBackend::conv2d(const Conv2d& op, Tensor& y) {
  require(op.x0 != nullptr && op.w != nullptr, "conv2d: no x or w");
  Staged staged(*this);
  const ConstImage x0 = staged.in(*op.x0), x1 = staged.in(op.x1), w = staged.in(*op.w), b = staged.in(op.b);
  const Shape& ws = op.w->shape();
  require(ws.h == op.geometry.kernel_h && ws.w == op.geometry.kernel_w && ws.c == x0.c + x1.c, "conv2d: shape of w");
  require(!x1 || (x1.n == x0.n && x1.h == x0.h && x1.w == x0.w), "conv2d: sources of different size");
  require(y.shape() == result_shape(op.x0->shape(), op.geometry, ws.n), "conv2d: shape of y");
  check_bias(op.b, ws.n);
  const int oc = w.n;
  ConvForward args{.x0 = x0, .x1 = x1, .oc = oc, .geometry = op.geometry, .bias = floats(b), .act = op.act, .y = staged.out(y)};
  if (narrow_conv(staged, args, floats(w))) return staged.done();
  const ConvTiling tiling = conv_tiling(ws.h, ws.w, op.geometry.stride);
  auto* packed = static_cast<float*>(staged.scratch(sizeof(float) * conv_packed_floats(tiling, ws.n, taps(op.geometry), x0.c, x1.c)));
  kernels_.conv->pack(stream_, {.w = floats(w), .packed = packed, .oc = oc, .inputs0 = x0.c, .inputs1 = x1.c, .geometry = op.geometry});
  args.weights = packed;
  kernels_.conv->forward(stream_, args);
  staged.done();
}

void CudaBackend::conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) {
  require(op.dy != nullptr && op.w != nullptr, "conv2d_grad_input: no dy or w");
  Staged staged(*this);
  const bool accumulate = mode == Grad::accumulate;
  const ConstImage dy = staged.in(*op.dy), w = staged.in(*op.w);
  const Image d0 = staged.out(dx0, accumulate), d1 = staged.out(dx1, accumulate);
  // Where only one gradient is asked for, the other source has the channels that are left.
  const int inputs0 = dx0 != nullptr ? d0.c : w.c - d1.c, inputs1 = w.c - inputs0;
  require(inputs0 >= 0 && inputs1 >= 0 && (dx1 == nullptr || d1.c == inputs1), "conv2d_grad_input: channels of dx");
  for (const Tensor* dx : {dx0, dx1})
    require(dx == nullptr || result_shape(dx->shape(), op.geometry, w.n) == op.dy->shape(), "conv2d_grad_input: shape of dx");
  ConvGradInput args{.dy = dy, .w = floats(w), .inputs0 = inputs0, .inputs1 = inputs1, .geometry = op.geometry,
                     .dx0 = d0, .dx1 = d1, .accumulate = accumulate};
  if (narrow_grad_input(staged, args)) return staged.done();
  const size_t scratch = conv_grad_input_scratch(op.geometry, w.n, inputs0, inputs1);
  args.scratch = static_cast<float*>(staged.scratch(scratch * sizeof(float)));
  kernels_.conv->grad_input(stream_, args);
  staged.done();
}

void CudaBackend::conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) {
  require(op.x0 != nullptr && op.dy != nullptr, "conv2d_grad_weight: no x or dy");
  Staged staged(*this);
  const bool accumulate = mode == Grad::accumulate;
  const ConstImage x0 = staged.in(*op.x0), x1 = staged.in(op.x1), dy = staged.in(*op.dy);
  require(dw.shape() == Shape{dy.c, op.geometry.kernel_h, op.geometry.kernel_w, x0.c + x1.c}, "conv2d_grad_weight: shape of dw");
  require(op.dy->shape() == result_shape(op.x0->shape(), op.geometry, dy.c), "conv2d_grad_weight: shape of dy");
  check_bias(db, dy.c);
  ConvGradWeight args{.x0 = x0, .x1 = x1, .dy = dy, .geometry = op.geometry, .dw = floats(staged.out(dw, accumulate)),
                      .db = floats(staged.out(db, accumulate)), .accumulate = accumulate};
  if (narrow_grad_weight(staged, args)) return staged.done();
  const size_t scratch = conv_grad_weight_scratch(dy.pixels(), dy.c, taps(op.geometry), x0.c + x1.c);
  args.scratch = static_cast<float*>(staged.scratch(scratch * sizeof(float)));
  kernels_.conv->grad_weight(stream_, args);
  staged.done();
}

void CudaBackend::upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) {
  const Shape &xs = x.shape(), &ws = w.shape();
  require(ws == Shape{ws.n, 2, 2, xs.c} && y.shape() == Shape{xs.n, 2 * xs.h, 2 * xs.w, ws.n}, "upconv2x2: shapes");
  check_bias(b, ws.n);
  Staged staged(*this);
  const ConstImage xi = staged.in(x), wi = staged.in(w), bi = staged.in(b);
  UpconvForward args{.x = xi, .bias = floats(bi), .y = staged.out(y)};
  if (EagerMma(*this, staged).upconv(args, floats(wi))) return staged.done();
  auto* packed = static_cast<float*>(staged.scratch(sizeof(float) * conv_packed_floats(kUpconvTiling, ws.n, 4, ws.c, 0)));
  kernels_.conv->pack_upconv(stream_, {.w = floats(wi), .packed = packed, .oc = wi.n, .ic = wi.c});
  args.weights = packed;
  kernels_.conv->upconv(stream_, args);
  staged.done();
}

void CudaBackend::upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) {
  const Shape &ds = dx.shape(), &ws = w.shape();
  require(ws == Shape{dy.shape().c, 2, 2, ds.c} && dy.shape() == Shape{ds.n, 2 * ds.h, 2 * ds.w, ws.n}, "upconv2x2_grad_input: shapes");
  Staged staged(*this);
  const bool accumulate = mode == Grad::accumulate;
  UpconvGradInput args{.dy = staged.in(dy), .w = floats(staged.in(w)), .dx = staged.out(dx, accumulate), .accumulate = accumulate};
  if (EagerMma(*this, staged).upconv_grad_input(args)) return staged.done();
  const size_t scratch = conv_packed_floats(kUpconvTiling, ds.c, 4, ws.n, 0);
  args.scratch = static_cast<float*>(staged.scratch(scratch * sizeof(float)));
  kernels_.conv->upconv_grad_input(stream_, args);
  staged.done();
}

void CudaBackend::upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) {
  const Shape &xs = x.shape(), &ds = dy.shape();
  require(ds == Shape{xs.n, 2 * xs.h, 2 * xs.w, ds.c} && dw.shape() == Shape{ds.c, 2, 2, xs.c}, "upconv2x2_grad_weight: shapes");
  check_bias(db, ds.c);
  Staged staged(*this);
  const bool accumulate = mode == Grad::accumulate;
  UpconvGradWeight args{.x = staged.in(x), .dy = staged.in(dy), .dw = floats(staged.out(dw, accumulate)),
                        .db = floats(staged.out(db, accumulate)), .accumulate = accumulate};
  if (EagerMma(*this, staged).upconv_grad_weight(args)) return staged.done();
  const size_t scratch = upconv_grad_weight_scratch(xs.pixels(), ds.c, xs.c);
  args.scratch = static_cast<float*>(staged.scratch(scratch * sizeof(float)));
  kernels_.conv->upconv_grad_weight(stream_, args);
  staged.done();
}

}  // namespace furrow::gpu
