#include "nn/op.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace furrow {
namespace {

using Shapes = std::span<const Shape>;

// The one mode of gradients that a single call of the page computes. Where some are to be stored and others added, the
// first become zeros: adding to them is storing.
Grad common_mode(const VjpCall& c, std::initializer_list<size_t> inputs) {
  const auto wants = [&](Grad mode) {
    return std::any_of(inputs.begin(), inputs.end(),
                       [&](size_t i) { return i < c.grads.size() && c.grads[i] != nullptr && c.modes[i] == mode; });
  };
  if (!wants(Grad::accumulate)) return Grad::overwrite;
  if (wants(Grad::overwrite))
    for (const size_t i : inputs)
      if (i < c.grads.size() && c.grads[i] != nullptr && c.modes[i] == Grad::overwrite) c.backend.zero(*c.grads[i]);
  return Grad::accumulate;
}

// -- conv2d
// ------------------------------------------------------------------------------------------------------------

// Positions of the inputs of a convolution, which depend on how many sources it has.
struct ConvIn {
  size_t w, b;
};
ConvIn conv_in(const ConvAttrs& a) { return a.two_sources ? ConvIn{2, 3} : ConvIn{1, 2}; }

Shape conv_infer(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ConvAttrs>(attrs);
  const ConvIn at = conv_in(a);
  require(in.size() == at.w + 1 || in.size() == at.b + 1, "conv2d: number of inputs");
  const Shape &x = in[0], &w = in[at.w];
  const int64_t channels = x.c + (a.two_sources ? in[1].c : 0);
  require(w.c == channels, "conv2d: the weight's input channels are not the sources'");
  require(w.h == a.geometry.kernel_h && w.w == a.geometry.kernel_w, "conv2d: kernel size");
  if (a.two_sources)
    require(in[1].n == x.n && in[1].h == x.h && in[1].w == x.w, "conv2d: the two sources differ in size");
  if (in.size() > at.b) require(in[at.b] == Shape{1, 1, 1, w.n}, "conv2d: bias shape");
  const Shape y{x.n, a.geometry.out(x.h, w.h), a.geometry.out(x.w, w.w), w.n};
  require(x.h + 2 * a.geometry.pad >= w.h && x.w + 2 * a.geometry.pad >= w.w,
          "conv2d: the kernel is larger than the input");
  return y;
}

void conv_run(const OpCall& c) {
  const auto& a = std::get<ConvAttrs>(c.attrs);
  const ConvIn at = conv_in(a);
  c.backend.conv2d({.x0 = c.in[0],
                    .x1 = a.two_sources ? c.in[1] : nullptr,
                    .w = c.in[at.w],
                    .b = c.in.size() > at.b ? c.in[at.b] : nullptr,
                    .geometry = a.geometry},
                   c.y);
}

void conv_vjp(const VjpCall& c) {
  const auto& a = std::get<ConvAttrs>(c.attrs);
  const ConvIn at = conv_in(a);
  Tensor* dx1 = a.two_sources ? c.grads[1] : nullptr;
  if (c.grads[0] != nullptr || dx1 != nullptr) {
    const Grad mode = a.two_sources ? common_mode(c, {0, 1}) : c.modes[0];
    c.backend.conv2d_grad_input({.dy = &c.dy, .w = c.in[at.w], .geometry = a.geometry}, c.grads[0], dx1, mode);
  }
  Tensor* db = c.grads.size() > at.b ? c.grads[at.b] : nullptr;
  if (c.grads[at.w] == nullptr && db == nullptr) return;
  Tensor unwanted;  // a frozen weight under a trained bias: the page computes both or neither
  if (c.grads[at.w] == nullptr) unwanted = Tensor(c.in[at.w]->shape(), c.dy.dtype());
  c.backend.conv2d_grad_weight(
      {.x0 = c.in[0], .x1 = a.two_sources ? c.in[1] : nullptr, .dy = &c.dy, .geometry = a.geometry},
      c.grads[at.w] != nullptr ? *c.grads[at.w] : unwanted, db, common_mode(c, {at.w, at.b}));
}

uint64_t conv_flops(const Attrs& attrs, Shapes in, const Shape& y) {
  const Shape& w = in[conv_in(std::get<ConvAttrs>(attrs)).w];
  return static_cast<uint64_t>(2 * y.elements() * w.h * w.w * w.c);
}

// -- upconv2x2
// ---------------------------------------------------------------------------------------------------------

Shape upconv_infer(const Attrs&, Shapes in) {
  require(in.size() == 2 || in.size() == 3, "upconv2x2: number of inputs");
  require(in[1].h == 2 && in[1].w == 2 && in[1].c == in[0].c, "upconv2x2: weight shape");
  if (in.size() == 3) require(in[2] == Shape{1, 1, 1, in[1].n}, "upconv2x2: bias shape");
  return {in[0].n, 2 * in[0].h, 2 * in[0].w, in[1].n};
}

void upconv_run(const OpCall& c) { c.backend.upconv2x2(*c.in[0], *c.in[1], c.in.size() > 2 ? c.in[2] : nullptr, c.y); }

void upconv_vjp(const VjpCall& c) {
  if (c.grads[0] != nullptr) c.backend.upconv2x2_grad_input(c.dy, *c.in[1], *c.grads[0], c.modes[0]);
  Tensor* db = c.grads.size() > 2 ? c.grads[2] : nullptr;
  if (c.grads[1] == nullptr && db == nullptr) return;
  Tensor unwanted;
  if (c.grads[1] == nullptr) unwanted = Tensor(c.in[1]->shape(), c.dy.dtype());
  c.backend.upconv2x2_grad_weight(*c.in[0], c.dy, c.grads[1] != nullptr ? *c.grads[1] : unwanted, db,
                                  common_mode(c, {1, 2}));
}

uint64_t upconv_flops(const Attrs&, Shapes in, const Shape& y) {
  return static_cast<uint64_t>(2 * y.elements() * in[0].c);
}

// -- batch_norm
// --------------------------------------------------------------------------------------------------------

Shape norm_infer(const Attrs&, Shapes in) {
  require(in.size() == 5, "batch_norm: number of inputs");
  for (size_t i = 1; i < 5; ++i) require(in[i] == Shape{1, 1, 1, in[0].c}, "batch_norm: a vector of another length");
  return in[0];
}

template <class T>
void reciprocal_std(const Tensor& var, double eps, Tensor& rstd) {
  const auto from = var.values<T>();
  auto to = rstd.values<T>();
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<T>(1.0 / std::sqrt(static_cast<double>(from[i]) + eps));
}

// saved: mean and 1/sqrt(var + eps), which the gradient of either mode is written in.
void norm_run(const OpCall& c) {
  const auto& a = std::get<BatchNormAttrs>(c.attrs);
  const Tensor &x = *c.in[0], &gamma = *c.in[1], &beta = *c.in[2];
  Tensor mean = *c.in[3], var = *c.in[4];  // windows: training writes through them
  Tensor rstd;
  if (a.training) {
    rstd = c.fresh(var.shape());
    Tensor batch_mean = c.fresh(var.shape());
    c.backend.batch_norm_train(
        x, gamma, beta,
        {.eps = a.eps, .momentum = a.momentum, .running_mean = &mean, .running_var = &var, .shared = a.shared}, c.y,
        batch_mean, rstd);
    mean = batch_mean;
  } else {
    c.backend.batch_norm(x, gamma, beta, {.mean = &mean, .var = &var, .eps = a.eps}, c.y);
    // The host computes it, so in its memory, wherever the tape's is.
    rstd = c.backend.in_host_memory() ? c.fresh(var.shape()) : Tensor(var.shape(), var.dtype());
    if (var.dtype() == DType::f64)
      reciprocal_std<double>(var, a.eps, rstd);
    else
      reciprocal_std<float>(var, a.eps, rstd);
  }
  c.saved = {mean, rstd};
}

void norm_vjp(const VjpCall& c) {
  const auto& a = std::get<BatchNormAttrs>(c.attrs);
  if (a.training && a.shared.peers != nullptr)
    return c.backend.batch_norm_grad_shared(a.shared, *c.in[0], *c.in[1], c.saved[0], c.saved[1], c.dy, c.grads[0],
                                            c.grads[1], c.grads[2], common_mode(c, {0, 1, 2}));
  const bool fixed = !a.training;
  c.backend.batch_norm_grad(*c.in[0], *c.in[1], c.saved[0], c.saved[1], fixed, c.dy, c.grads[0], c.grads[1], c.grads[2],
                            common_mode(c, {0, 1, 2}));
}

// -- elementwise and resampling
// ------------------------------------------------------------------------------------------

Shape same_infer(const Attrs&, Shapes in) {
  require(in.size() == 1, "an elementwise operation takes one input");
  return in[0];
}
uint64_t per_output_flops(const Attrs&, Shapes, const Shape& y) { return static_cast<uint64_t>(y.elements()); }

void relu_run(const OpCall& c) { c.backend.relu(*c.in[0], c.y); }
void relu_vjp(const VjpCall& c) { c.backend.relu_grad(c.y, c.dy, *c.grads[0], c.modes[0]); }
void sigmoid_run(const OpCall& c) { c.backend.sigmoid(*c.in[0], c.y); }
void sigmoid_vjp(const VjpCall& c) { c.backend.sigmoid_grad(c.y, c.dy, *c.grads[0], c.modes[0]); }

Shape add_infer(const Attrs&, Shapes in) {
  require(in.size() == 2 && in[0] == in[1], "add: two inputs of one shape");
  return in[0];
}
void add_run(const OpCall& c) { c.backend.add(*c.in[0], *c.in[1], c.y); }
void add_vjp(const VjpCall& c) {
  for (size_t i = 0; i < c.grads.size(); ++i)  // a padding by nothing: copies, or adds
    if (c.grads[i] != nullptr) c.backend.pad(c.dy, 0, 0, *c.grads[i], c.modes[i]);
}

Shape pool_infer(const Attrs&, Shapes in) {
  require(in.size() == 1 && in[0].h >= 2 && in[0].w >= 2, "max_pool2x2: one input of at least 2x2 pixels");
  return {in[0].n, in[0].h / 2, in[0].w / 2, in[0].c};
}
void pool_run(const OpCall& c) { c.backend.max_pool2x2(*c.in[0], c.y); }
void pool_vjp(const VjpCall& c) { c.backend.max_pool2x2_grad(*c.in[0], c.dy, *c.grads[0], c.modes[0]); }
uint64_t pool_flops(const Attrs&, Shapes, const Shape& y) { return static_cast<uint64_t>(3 * y.elements()); }

Shape pool3_infer(const Attrs&, Shapes in) {
  require(in.size() == 1 && in[0].h >= 1 && in[0].w >= 1, "max_pool3x3: one input");
  return {in[0].n, (in[0].h + 1) / 2, (in[0].w + 1) / 2, in[0].c};
}
void pool3_run(const OpCall& c) { c.backend.max_pool3x3(*c.in[0], c.y); }
void pool3_vjp(const VjpCall& c) { c.backend.max_pool3x3_grad(*c.in[0], c.dy, *c.grads[0], c.modes[0]); }
uint64_t pool3_flops(const Attrs&, Shapes, const Shape& y) { return static_cast<uint64_t>(8 * y.elements()); }

Shape gate_infer(const Attrs&, Shapes in) {
  require(in.size() == 2 && in[1] == Shape{in[0].n, in[0].h, in[0].w, 1}, "gate: one number per pixel");
  return in[0];
}
void gate_run(const OpCall& c) { c.backend.gate(*c.in[0], *c.in[1], c.y); }
void gate_vjp(const VjpCall& c) {
  c.backend.gate_grad(*c.in[0], *c.in[1], c.dy, c.grads[0], c.grads[1], common_mode(c, {0, 1}));
}

Shape channel_gate_infer(const Attrs&, Shapes in) {
  require(in.size() == 2 && in[1] == Shape{in[0].n, 1, 1, in[0].c}, "channel_gate: one number per image and channel");
  return in[0];
}
void channel_gate_run(const OpCall& c) { c.backend.channel_gate(*c.in[0], *c.in[1], c.y); }
void channel_gate_vjp(const VjpCall& c) {
  c.backend.channel_gate_grad(*c.in[0], *c.in[1], c.dy, c.grads[0], c.grads[1], common_mode(c, {0, 1}));
}

Shape mean_infer(const Attrs&, Shapes in) {
  require(in.size() == 1 && in[0].h > 0 && in[0].w > 0, "global_mean: one input");
  return {in[0].n, 1, 1, in[0].c};
}
void mean_run(const OpCall& c) { c.backend.global_mean(*c.in[0], c.y); }
void mean_vjp(const VjpCall& c) { c.backend.global_mean_grad(c.dy, *c.grads[0], c.modes[0]); }
uint64_t mean_flops(const Attrs&, Shapes in, const Shape&) { return static_cast<uint64_t>(in[0].elements()); }

Shape upsample_infer(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<ResizeAttrs>(attrs);
  require(in.size() == 1 && a.h > 0 && a.w > 0 && in[0].h > 0 && in[0].w > 0, "upsample: sizes");
  return {in[0].n, a.h, a.w, in[0].c};
}
void upsample_run(const OpCall& c) { c.backend.upsample_bilinear(*c.in[0], c.y); }
void upsample_vjp(const VjpCall& c) { c.backend.upsample_bilinear_grad(c.dy, *c.grads[0], c.modes[0]); }
void nearest_run(const OpCall& c) { c.backend.upsample_nearest(*c.in[0], c.y); }
void nearest_vjp(const VjpCall& c) { c.backend.upsample_nearest_grad(c.dy, *c.grads[0], c.modes[0]); }
uint64_t upsample_flops(const Attrs&, Shapes, const Shape& y) { return static_cast<uint64_t>(8 * y.elements()); }

Shape pad_infer(const Attrs& attrs, Shapes in) {
  const auto& a = std::get<PadAttrs>(attrs);
  require(in.size() == 1 && a.h > 0 && a.w > 0, "pad: sizes");
  return {in[0].n, a.h, a.w, in[0].c};
}
void pad_run(const OpCall& c) {
  const auto& a = std::get<PadAttrs>(c.attrs);
  c.backend.pad(*c.in[0], a.top, a.left, c.y, Grad::overwrite);
}
void pad_vjp(const VjpCall& c) {
  const auto& a = std::get<PadAttrs>(c.attrs);
  c.backend.pad(c.dy, -a.top, -a.left, *c.grads[0], c.modes[0]);
}

void dropout_run(const OpCall& c) { c.backend.dropout(*c.in[0], std::get<Dropout>(c.attrs), c.y, Grad::overwrite); }
void dropout_vjp(const VjpCall& c) { c.backend.dropout(c.dy, std::get<Dropout>(c.attrs), *c.grads[0], c.modes[0]); }
uint64_t no_flops(const Attrs&, Shapes, const Shape&) { return 0; }

// -- the table, in the order of OpKind
// -----------------------------------------------------------------------------------

constexpr std::array<OpDef, 16> kOps = {{
    {"leaf", nullptr, nullptr, nullptr, no_flops},
    {"conv2d", conv_infer, conv_run, conv_vjp, conv_flops},
    {"upconv2x2", upconv_infer, upconv_run, upconv_vjp, upconv_flops},
    {"batch_norm", norm_infer, norm_run, norm_vjp,
     [](const Attrs&, Shapes, const Shape& y) { return static_cast<uint64_t>(2 * y.elements()); }},
    {"relu", same_infer, relu_run, relu_vjp, per_output_flops},
    {"sigmoid", same_infer, sigmoid_run, sigmoid_vjp, per_output_flops},
    {"add", add_infer, add_run, add_vjp, per_output_flops},
    {"max_pool2x2", pool_infer, pool_run, pool_vjp, pool_flops},
    {"upsample_bilinear", upsample_infer, upsample_run, upsample_vjp, upsample_flops},
    {"pad", pad_infer, pad_run, pad_vjp, no_flops},
    {"dropout", same_infer, dropout_run, dropout_vjp, per_output_flops},
    {"max_pool3x3", pool3_infer, pool3_run, pool3_vjp, pool3_flops},
    {"gate", gate_infer, gate_run, gate_vjp, per_output_flops},
    {"channel_gate", channel_gate_infer, channel_gate_run, channel_gate_vjp, per_output_flops},
    {"global_mean", mean_infer, mean_run, mean_vjp, mean_flops},
    {"upsample_nearest", upsample_infer, nearest_run, nearest_vjp, no_flops},
}};

}  // namespace

void batch_norm_again(const OpCall& c) {
  const auto& a = std::get<BatchNormAttrs>(c.attrs);
  require(a.shared.peers == nullptr, "batch_norm_again: the other processes would have to take part");
  const Tensor &x = *c.in[0], &gamma = *c.in[1], &beta = *c.in[2];
  if (a.training)  // writes what `saved` holds already
    c.backend.batch_norm_train(x, gamma, beta, {.eps = a.eps, .momentum = a.momentum}, c.y, c.saved[0], c.saved[1]);
  else
    c.backend.batch_norm(x, gamma, beta, {.mean = c.in[3], .var = c.in[4], .eps = a.eps}, c.y);
}

const OpDef& op_def(OpKind kind) { return kOps.at(static_cast<size_t>(kind)); }

uint64_t min_bytes(std::span<const Shape> in, const Shape& y, size_t element) {
  auto elements = static_cast<uint64_t>(y.elements());
  for (const Shape& s : in) elements += static_cast<uint64_t>(s.elements());
  return elements * element;
}

}  // namespace furrow
