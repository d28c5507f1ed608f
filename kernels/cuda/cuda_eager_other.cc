// Eager elementwise operations and resampling, float32.
#include "kernels/cuda/staged.h"

namespace furrow::gpu {
namespace {

void same(const Tensor& a, const Tensor& b, const Tensor& c, const char* what) {
  require(a.shape() == b.shape() && a.shape() == c.shape(), what);
}

bool accumulates(Grad mode) { return mode == Grad::accumulate; }

size_t mean_workspace(const Shape& x) { return global_mean_workspace(x.n, x.h * x.w, x.c); }

}  // namespace

void CudaBackend::relu(const Tensor& x, Tensor& y) {
  same(x, y, y, "relu: shapes");
  Staged staged(*this);
  kernels_.elementwise->relu(stream_, {.x = staged.in(x), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  same(y, dy, dx, "relu_grad: shapes");
  Staged staged(*this);
  kernels_.elementwise->relu_grad(stream_, {.y = staged.in(y), .dy = staged.in(dy), .da = staged.out(dx, accumulates(mode)),
                                            .accumulate_a = accumulates(mode)});
  staged.done();
}

void CudaBackend::sigmoid(const Tensor& x, Tensor& y) {
  same(x, y, y, "sigmoid: shapes");
  Staged staged(*this);
  kernels_.elementwise->sigmoid(stream_, {.x = staged.in(x), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  same(y, dy, dx, "sigmoid_grad: shapes");
  Staged staged(*this);
  kernels_.elementwise->sigmoid_grad(stream_, {.y = staged.in(y), .dy = staged.in(dy), .dx = staged.out(dx, accumulates(mode)),
                                               .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  same(a, b, y, "add: shapes");
  Staged staged(*this);
  kernels_.elementwise->add(stream_, {.a = staged.in(a), .b = staged.in(b), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::gate(const Tensor& x, const Tensor& z, Tensor& y) {
  same(x, y, y, "gate: shapes");
  Staged staged(*this);
  kernels_.elementwise->gate(stream_, {.x = staged.in(x), .logits = staged.in(z), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) {
  require((dx == nullptr || dx->shape() == x.shape()) && (dz == nullptr || dz->shape() == z.shape()), "gate_grad: results");
  Staged staged(*this);
  const auto to = [&](Tensor* t) { return t == nullptr ? Image{} : staged.out(*t, accumulates(mode)); };
  kernels_.elementwise->gate_grad(stream_, {.x = staged.in(x), .logits = staged.in(z), .dy = staged.in(dy), .dx = to(dx),
                                            .dlogits = to(dz), .accumulate_x = accumulates(mode),
                                            .accumulate_logits = accumulates(mode)});
  staged.done();
}

void CudaBackend::channel_gate(const Tensor& x, const Tensor& z, Tensor& y) {
  same(x, y, y, "channel_gate: shapes");
  Staged staged(*this);
  kernels_.elementwise->channel_gate(stream_, {.x = staged.in(x), .logits = staged.in(z), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) {
  require((dx == nullptr || dx->shape() == x.shape()) && (dz == nullptr || dz->shape() == z.shape()), "channel_gate_grad: results");
  Staged staged(*this);
  const auto to = [&](Tensor* t) { return t == nullptr ? Image{} : staged.out(*t, accumulates(mode)); };
  float* const sums = dz == nullptr ? nullptr : static_cast<float*>(staged.scratch(mean_workspace(x.shape())));
  kernels_.elementwise->channel_gate_grad(stream_, {.x = staged.in(x), .logits = staged.in(z), .dy = staged.in(dy), .dx = to(dx),
                                                    .dlogits = to(dz), .accumulate_x = accumulates(mode),
                                                    .accumulate_logits = accumulates(mode), .workspace = sums});
  staged.done();
}

void CudaBackend::dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) {
  same(x, y, y, "dropout: shapes");
  Staged staged(*this);
  kernels_.elementwise->dropout(stream_, {.x = staged.in(x), .y = staged.out(y, accumulates(mode)), .p = draw.p, .seed = draw.seed,
                                          .stream = draw.stream, .first = draw.first, .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::zero(Tensor& t) {
  Staged staged(*this);
  kernels_.elementwise->fill(stream_, {.y = staged.out(t), .value = 0});
  staged.done();
}

void CudaBackend::scale(Tensor& t, double factor) {
  Staged staged(*this);
  const Image y = staged.out(t, true);
  kernels_.elementwise->combine(stream_, {.a = y, .y = y, .alpha = static_cast<float>(factor)});
  staged.done();
}

void CudaBackend::max_pool2x2(const Tensor& x, Tensor& y) {
  const Shape& s = x.shape();
  require(y.shape() == Shape{s.n, s.h / 2, s.w / 2, s.c}, "max_pool2x2: shapes");
  Staged staged(*this);
  kernels_.resample->pool2x2(stream_, {.x = staged.in(x), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape& s = x.shape();
  require(dx.shape() == s && dy.shape() == Shape{s.n, s.h / 2, s.w / 2, s.c}, "max_pool2x2_grad: shapes");
  Staged staged(*this);
  kernels_.resample->pool2x2_grad(stream_, {.x = staged.in(x), .dy = staged.in(dy), .dx = staged.out(dx, accumulates(mode)),
                                            .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::max_pool3x3(const Tensor& x, Tensor& y) {
  Staged staged(*this);
  kernels_.resample->pool3x3(stream_, {.x = staged.in(x), .y = staged.out(y)});
  staged.done();
}

void CudaBackend::max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  Staged staged(*this);
  kernels_.resample->pool3x3_grad(stream_, {.x = staged.in(x), .dy = staged.in(dy), .dx = staged.out(dx, accumulates(mode)),
                                            .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::resize(ResizeRule rule, const Tensor& x, Tensor& y) {
  require(x.shape().n == y.shape().n && x.shape().c == y.shape().c, "upsample: shapes");
  Staged staged(*this);
  const Image to = staged.out(y);
  kernels_.resample->resize(stream_, {.x = staged.in(x), .y = to, .rule = rule, .h = to.h, .w = to.w});
  staged.done();
}

void CudaBackend::resize_grad(ResizeRule rule, const Tensor& dy, Tensor& dx, Grad mode) {
  require(dx.shape().n == dy.shape().n && dx.shape().c == dy.shape().c, "upsample_grad: shapes");
  Staged staged(*this);
  const ConstImage from = staged.in(dy);
  kernels_.resample->resize_grad(stream_, {.dy = from, .dx = staged.out(dx, accumulates(mode)), .rule = rule, .h = from.h,
                                           .w = from.w, .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::upsample_bilinear(const Tensor& x, Tensor& y) { resize(ResizeRule::align_corners, x, y); }
void CudaBackend::upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  resize_grad(ResizeRule::align_corners, dy, dx, mode);
}
void CudaBackend::upsample_nearest(const Tensor& x, Tensor& y) { resize(ResizeRule::nearest, x, y); }
void CudaBackend::upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  resize_grad(ResizeRule::nearest, dy, dx, mode);
}

void CudaBackend::global_mean(const Tensor& x, Tensor& y) {
  const Shape& s = x.shape();
  require(s.h > 0 && s.w > 0 && y.shape() == Shape{s.n, 1, 1, s.c}, "global_mean: shapes");
  Staged staged(*this);
  kernels_.resample->global_mean(stream_, {.x = staged.in(x), .y = staged.out(y),
                                           .workspace = static_cast<float*>(staged.scratch(mean_workspace(s)))});
  staged.done();
}

void CudaBackend::global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape& s = dx.shape();
  require(s.h > 0 && s.w > 0 && dy.shape() == Shape{s.n, 1, 1, s.c}, "global_mean_grad: shapes");
  Staged staged(*this);
  kernels_.resample->global_mean_grad(stream_, {.dy = staged.in(dy), .dx = staged.out(dx, accumulates(mode)),
                                                .accumulate = accumulates(mode)});
  staged.done();
}

void CudaBackend::pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) {
  require(x.shape().n == y.shape().n && x.shape().c == y.shape().c, "pad: shapes");
  Staged staged(*this);
  kernels_.resample->pad(stream_, {.x = staged.in(x), .y = staged.out(y, accumulates(mode)), .top = static_cast<int>(top),
                                   .left = static_cast<int>(left), .accumulate = accumulates(mode)});
  staged.done();
}

}  // namespace furrow::gpu
