// The eager half of the back-end, on dense NHWC tensors.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTaskElements = 16384;

[[noreturn]] void no_gradient() {
  throw Error(ErrorCode::unsupported, "device cpu computes no gradients in this version").hint("use --device ref");
}

Tensor as_double(const Tensor* t) { return t == nullptr || t->empty() ? Tensor() : t->to(DType::f64); }

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

float max_of(float a, float b) { return a > b || a != a ? a : b; }  // NaN wins

}  // namespace

template <class Body>
void CpuBackend::split(int64_t elements, const Body& body) {
  parallel_for(pool_, ceil_div(elements, kTaskElements),
               [&](int64_t task, int) { body(task * kTaskElements, std::min((task + 1) * kTaskElements, elements)); });
}

void CpuBackend::run_dense(const Step& step, const Tensor* const (&x)[2], const StepWeights& weights, Tensor& y) {
  Tensor memory[4];  // x[0], x[1], y, workspace
  const auto take = [](Tensor& t, size_t bytes) {
    t = Tensor({1, 1, 1, static_cast<int64_t>(bytes)}, DType::u8);
    return reinterpret_cast<std::byte*>(t.values<uint8_t>().data());
  };
  StepBuffers buffers;
  for (int i = 0; i < 2; ++i) {
    if (x[i] == nullptr) continue;
    buffers.x[i] = {take(memory[i], placed_bytes(x[i]->shape())), x[i]->shape()};
    place(*x[i], buffers.x[i]);
  }
  buffers.y = {take(memory[2], placed_bytes(y.shape())), y.shape()};
  if (const size_t bytes = workspace_bytes(step); bytes > 0) buffers.workspace = take(memory[3], bytes);
  run(step, prepare(step, weights).get(), buffers);
  unplace(buffers.y, y);
}

void CpuBackend::conv2d(const Conv2d& op, Tensor& y) {
  require(op.x0 != nullptr && op.w != nullptr, "conv2d: no x or w");
  ConvStep step;
  step.x[0] = op.x0->shape();
  step.x[1] = op.x1 != nullptr ? op.x1->shape() : Shape{0, 0, 0, 0};
  step.oc = op.w->shape().n;
  step.geometry = op.geometry;
  step.act = op.act;
  require(y.shape() == step.y(), "conv2d: shape of y");
  run_dense(step, {op.x0, op.x1}, {as_double(op.w), as_double(op.b), {}, {}}, y);
}

void CpuBackend::upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) {
  const Shape& s = x.shape();
  require((y.shape() == Shape{s.n, 2 * s.h, 2 * s.w, w.shape().n}), "upconv2x2: shape of y");
  run_dense(UpconvStep{s, y.shape(), 0, 0}, {&x, nullptr}, {as_double(&w), as_double(b), {}, {}}, y);
}

void CpuBackend::upsample_bilinear(const Tensor& x, Tensor& y) {
  const Shape& to = y.shape();
  run_dense(UpsampleStep{x.shape(), to.h, to.w, to, 0, 0}, {&x, nullptr}, {}, y);
}

void CpuBackend::batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                            Tensor& y) {
  const int64_t c = x.shape().c;
  require(y.shape() == x.shape(), "batch_norm: shape of y");
  require(stats.mean != nullptr && stats.var != nullptr, "batch_norm: no statistics");
  for (const Tensor* t : {&gamma, &beta, stats.mean, stats.var})
    require(t->shape().elements() == c, "batch_norm: one value per channel");
  Tensor scale({1, 1, 1, c});
  for (int64_t i = 0; i < c; ++i)
    out(scale)[i] = static_cast<float>(in(gamma)[i] / std::sqrt(in(*stats.var)[i] + stats.eps));
  const float *from = in(x), *mean = in(*stats.mean), *s = in(scale), *shift = in(beta);
  float* to = out(y);
  split(x.shape().pixels(), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t i = 0; i < c; ++i) to[p * c + i] = (from[p * c + i] - mean[i]) * s[i] + shift[i];
  });
}

void CpuBackend::relu(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "relu: shape of y");
  const float* from = in(x);
  float* to = out(y);
  split(x.shape().elements(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = from[i] < 0 ? 0 : from[i];
  });
}

void CpuBackend::sigmoid(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "sigmoid: shape of y");
  const float* from = in(x);
  float* to = out(y);
  split(x.shape().elements(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float e = std::exp(-std::fabs(from[i]));  // never overflows
      to[i] = (from[i] < 0 ? e : 1.0f) / (1.0f + e);
    }
  });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  require(a.shape() == b.shape() && y.shape() == a.shape(), "add: shapes");
  const float *left = in(a), *right = in(b);
  float* to = out(y);
  split(a.shape().elements(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = left[i] + right[i];
  });
}

void CpuBackend::max_pool2x2(const Tensor& x, Tensor& y) {
  const Shape &s = x.shape(), &t = y.shape();
  require((t == Shape{s.n, s.h / 2, s.w / 2, s.c}), "max_pool2x2: shape of y");
  const float* from = in(x);
  float* to = out(y);
  parallel_for(pool_, t.n * t.h, [&](int64_t row, int) {
    const float* upper = from + (row / t.h * s.h + row % t.h * 2) * s.w * s.c;
    for (int64_t w = 0; w < t.w; ++w)
      for (int64_t c = 0; c < s.c; ++c) {
        const float *u = upper + 2 * w * s.c + c, *l = u + s.w * s.c;
        to[(row * t.w + w) * s.c + c] = max_of(max_of(u[0], u[s.c]), max_of(l[0], l[s.c]));
      }
  });
}

void CpuBackend::pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) {
  const Shape &s = x.shape(), &t = y.shape();
  require(t.n == s.n && t.c == s.c, "pad: shape of y");
  const float* from = in(x);
  float* to = out(y);
  const int64_t begin = std::clamp<int64_t>(left, 0, t.w), end = std::clamp<int64_t>(left + s.w, begin, t.w);
  parallel_for(pool_, t.n * t.h, [&](int64_t task, int) {
    const int64_t n = task / t.h, h = task % t.h - top;
    float* row = to + task * t.w * t.c;
    if (mode == Grad::overwrite) std::fill_n(row, t.w * t.c, 0.0f);
    if (h < 0 || h >= s.h) return;
    for (int64_t i = begin * t.c; i < end * t.c; ++i) row[i] += from[((n * s.h + h) * s.w - left) * s.c + i];
  });
}

void CpuBackend::conv2d_grad_input(const Conv2dGradInput&, Tensor*, Tensor*, Grad) { no_gradient(); }
void CpuBackend::conv2d_grad_weight(const Conv2dGradWeight&, Tensor&, Tensor*, Grad) { no_gradient(); }
void CpuBackend::upconv2x2_grad_input(const Tensor&, const Tensor&, Tensor&, Grad) { no_gradient(); }
void CpuBackend::upconv2x2_grad_weight(const Tensor&, const Tensor&, Tensor&, Tensor*, Grad) { no_gradient(); }
void CpuBackend::batch_norm_train(const Tensor&, const Tensor&, const Tensor&, const BatchNormTrain&, Tensor&, Tensor&,
                                  Tensor&) {
  no_gradient();
}
void CpuBackend::batch_norm_grad(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool, const Tensor&,
                                 Tensor*, Tensor*, Tensor*, Grad) {
  no_gradient();
}
void CpuBackend::relu_grad(const Tensor&, const Tensor&, Tensor&, Grad) { no_gradient(); }
void CpuBackend::sigmoid_grad(const Tensor&, const Tensor&, Tensor&, Grad) { no_gradient(); }
void CpuBackend::max_pool2x2_grad(const Tensor&, const Tensor&, Tensor&, Grad) { no_gradient(); }
void CpuBackend::upsample_bilinear_grad(const Tensor&, Tensor&, Grad) { no_gradient(); }

}  // namespace furrow::cpu
