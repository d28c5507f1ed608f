#include "kernels/cuda/cuda_eager_mma.h"

#include <algorithm>

namespace furrow::gpu {
namespace {

bool on_16_bytes(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool any(const ConstImage& image) { return image && image.pixels() > 0 && image.c > 0; }

size_t bytes_of(const Image& image) { return static_cast<size_t>(image.pixels() * image.pitch) * size_of(image.type); }

// Dense float32, of `like`'s size.
Image dense(const Image& like, void* data) { return {data, DType::f32, like.n, like.h, like.w, like.c, like.c}; }

}  // namespace

// A dense float32 image in the storage type: a copy in scratch memory, or itself where it is already one.
struct EagerMma::Operand {
  ConstImage wide;
  Image image;  // its data only after place()
  bool copied = false;
  size_t at = 0;  // in scratch memory, where copied
};

// dx[0] and dx[1] (+)= a convolution of dy with weights packed in `order`; either may be empty.
struct EagerMma::InputGradient {
  ConstImage dy;
  const float* w = nullptr;
  MmaWeights order = MmaWeights::flipped;
  int kernel_h = 1, kernel_w = 1, stride = 1, spacing = 1, pad_h = 0, pad_w = 0;
  int inputs[2] = {0, 0};  // channels of the sources
  Image dx[2];
  bool accumulate = false;
};

EagerMma::EagerMma(CudaBackend& backend, Staged& staged)
    : kernels_(backend.kernels_),
      stream_(backend.stream_),
      staged_(staged),
      narrow_(backend.precision_ != Precision::fp32),
      storage_(backend.storage()),
      granted_(backend.runtime_->shared_limit()) {}

bool EagerMma::takes(const ConvGeometry& g, int oc) const {
  return narrow_ && oc > 0 && !is_eager_head(g, oc);
}

int EagerMma::pitch_of(int channels) const {
  const int step = 16 / static_cast<int>(size_of(storage_));
  return (channels + step - 1) / step * step;
}

EagerMma::Operand EagerMma::operand(const ConstImage& wide, ScratchLayout& layout) const {
  Operand out{.wide = wide, .image = {}};
  if (!wide) return out;
  out.image = {const_cast<void*>(wide.data), storage_, wide.n, wide.h, wide.w, wide.c, pitch_of(wide.c)};
  out.copied = storage_ != DType::f32 || out.image.pitch != wide.pitch || !on_16_bytes(wide.data);
  if (out.copied) out.at = layout.add(bytes_of(out.image));
  return out;
}

void EagerMma::place(Operand& o, std::byte* scratch, bool read) const {
  if (!o.copied) return;
  o.image.data = scratch + o.at;
  if (read) kernels_.elementwise->convert(stream_, {.x = o.wide, .y = o.image});
}

bool EagerMma::forward(const ConvForward& c, const float* w) const {
  if (!takes(c.geometry, c.oc) || !any(c.x0) || !any(c.y)) return false;
  const auto kernel_h = static_cast<int>(c.geometry.kernel_h), kernel_w = static_cast<int>(c.geometry.kernel_w),
             pad = static_cast<int>(c.geometry.pad);
  const MmaConvLayout weights = mma_conv_layout_within({.type = storage_,
                                                        .oc = c.oc,
                                                        .c = {c.x0.c, c.x1.c},
                                                        .pitch = {pitch_of(c.x0.c), pitch_of(c.x1.c)},
                                                        .kernel_h = kernel_h,
                                                        .kernel_w = kernel_w,
                                                        .stride = static_cast<int>(c.geometry.stride)},
                                                       0, granted_);
  if (mma_conv_shared_bytes(weights, 0) > granted_) return false;
  ScratchLayout layout;
  Operand x[2] = {operand(c.x0, layout), operand(c.x1, layout)}, y = operand(c.y, layout);
  const size_t packed = layout.add(weights.bytes());
  auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
  for (Operand& source : x) place(source, scratch, true);
  place(y, scratch, false);
  kernels_.mma_conv->pack(stream_,
                          {.layout = weights, .w = w, .oc = c.oc, .ic = c.x0.c + c.x1.c, .packed = scratch + packed});
  kernels_.mma_conv->conv(stream_, {.layout = weights,
                                    .weights = scratch + packed,
                                    .bias = c.bias,
                                    .x = {x[0].image, x[1].image},
                                    .pad_h = pad,
                                    .pad_w = pad,
                                    .relu = c.act == Activation::relu,
                                    .out_h = c.y.h,
                                    .out_w = c.y.w,
                                    .y = y.image});
  if (y.copied) kernels_.elementwise->convert(stream_, {.x = y.image, .y = c.y});
  return true;
}

bool EagerMma::input_gradient(const InputGradient& g) const {
  if (!any(g.dy)) return false;
  // What one source's gradient wants. The second one's comes after the first one's, in the same memory.
  struct Part {
    Image to;
    int first = 0;
    MmaConvLayout weights;
    Operand dx;
    size_t packed = 0, widened = 0;
  };
  std::vector<Part> parts;
  ScratchLayout common;
  Operand dy = operand(g.dy, common);
  size_t bytes = common.bytes();
  for (int i = 0; i < 2; ++i) {
    if (!any(g.dx[i])) continue;
    Part part{.to = g.dx[i], .first = i == 0 ? 0 : g.inputs[0], .weights = {}, .dx = {}};
    part.weights = mma_conv_layout_within({.type = storage_,
                                           .oc = g.inputs[i],
                                           .c = {g.dy.c, 0},
                                           .pitch = {pitch_of(g.dy.c), 0},
                                           .kernel_h = g.kernel_h,
                                           .kernel_w = g.kernel_w,
                                           .stride = g.stride},
                                          0, granted_);
    if (mma_conv_shared_bytes(part.weights, 0) > granted_) return false;
    ScratchLayout layout = common;
    part.dx = operand(g.dx[i], layout);
    part.packed = layout.add(part.weights.bytes());
    if (g.accumulate && storage_ != DType::f32) part.widened = layout.add(bytes_of(dense(g.dx[i], nullptr)));
    bytes = std::max(bytes, layout.bytes());
    parts.push_back(part);
  }
  if (parts.empty()) return false;
  auto* scratch = static_cast<std::byte*>(staged_.scratch(bytes));
  place(dy, scratch, true);
  for (Part& part : parts) {
    place(part.dx, scratch, false);
    kernels_.mma_conv->pack(stream_, {.layout = part.weights,
                                      .w = g.w,
                                      .oc = g.dy.c,
                                      .ic = g.inputs[0] + g.inputs[1],
                                      .order = g.order,
                                      .first_ic = part.first,
                                      .packed = scratch + part.packed});
    MmaConv conv{.layout = part.weights,
                 .weights = scratch + part.packed,
                 .x = {dy.image, {}},
                 .x_spacing = g.spacing,
                 .pad_h = g.pad_h,
                 .pad_w = g.pad_w,
                 .out_h = part.to.h,
                 .out_w = part.to.w,
                 .y = part.dx.image};
    if (!part.dx.copied && g.accumulate) conv.residual = part.dx.image;
    kernels_.mma_conv->conv(stream_, conv);
    if (!part.dx.copied) continue;
    if (!g.accumulate) {
      kernels_.elementwise->convert(stream_, {.x = part.dx.image, .y = part.to});
      continue;
    }
    ConstImage added = part.dx.image;
    if (storage_ != DType::f32) {
      const Image widened = dense(part.to, scratch + part.widened);
      kernels_.elementwise->convert(stream_, {.x = added, .y = widened});
      added = widened;
    }
    kernels_.elementwise->add(stream_, {.a = part.to, .b = added, .y = part.to});
  }
  return true;
}

bool EagerMma::grad_input(const ConvGradInput& c) const {
  if (!takes(c.geometry, c.dy.c)) return false;
  const auto kernel_h = static_cast<int>(c.geometry.kernel_h), kernel_w = static_cast<int>(c.geometry.kernel_w),
             pad = static_cast<int>(c.geometry.pad);
  return input_gradient({.dy = c.dy,
                         .w = c.w,
                         .order = MmaWeights::flipped,
                         .kernel_h = kernel_h,
                         .kernel_w = kernel_w,
                         .stride = 1,
                         .spacing = static_cast<int>(c.geometry.stride),
                         .pad_h = kernel_h - 1 - pad,
                         .pad_w = kernel_w - 1 - pad,
                         .inputs = {c.inputs0, c.inputs1},
                         .dx = {c.dx0, c.dx1},
                         .accumulate = c.accumulate});
}

bool EagerMma::upconv_grad_input(const UpconvGradInput& c) const {
  if (!narrow_) return false;
  return input_gradient({.dy = c.dy,
                         .w = c.w,
                         .order = MmaWeights::transposed,
                         .kernel_h = 2,
                         .kernel_w = 2,
                         .stride = 2,
                         .inputs = {c.dx.c, 0},
                         .dx = {c.dx, {}},
                         .accumulate = c.accumulate});
}

// `g` with images in float32 and without workspace.
bool EagerMma::weight_gradient(MmaConvGradWeight g, const ConstImage& bias_dy, float* db) const {
  if (!any(g.x[0]) || !any(g.dy) || mma_grad_weight_shared_bytes(storage_, g.kernel_w, g.stride) > granted_)
    return false;
  ScratchLayout layout;
  Operand x[2] = {operand(g.x[0], layout), operand(g.x[1], layout)}, dy = operand(g.dy, layout);
  g.x[0] = x[0].image, g.x[1] = x[1].image, g.dy = dy.image;
  // The bias's parts take the place of the weight's, which have been added by then.
  const size_t work = layout.add(std::max(mma_grad_weight_split(g).workspace_bytes, mma_grad_bias_bytes(bias_dy)));
  auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
  for (Operand& source : x) place(source, scratch, true);
  place(dy, scratch, true);
  g.x[0] = x[0].image, g.x[1] = x[1].image, g.dy = dy.image, g.workspace = scratch + work;
  kernels_.mma_conv_grad->weight(stream_, g);
  if (db != nullptr)
    kernels_.mma_conv_grad->bias(stream_,
                                 {.dy = bias_dy, .db = db, .accumulate = g.accumulate, .workspace = scratch + work});
  return true;
}

bool EagerMma::grad_weight(const ConvGradWeight& c) const {
  if (!takes(c.geometry, c.dy.c)) return false;
  const auto pad = static_cast<int>(c.geometry.pad);
  return weight_gradient({.x = {c.x0, c.x1},
                          .dy = c.dy,
                          .kernel_h = static_cast<int>(c.geometry.kernel_h),
                          .kernel_w = static_cast<int>(c.geometry.kernel_w),
                          .stride = static_cast<int>(c.geometry.stride),
                          .pad_h = pad,
                          .pad_w = pad,
                          .dw = c.dw,
                          .accumulate = c.accumulate},
                         c.dy, c.db);
}

bool EagerMma::upconv(const UpconvForward& c, const float* w) const {
  if (!narrow_ || !any(c.x) || !any(c.y)) return false;
  const MmaUpconvLayout weights = mma_upconv_layout(storage_, c.y.c, c.x.c, pitch_of(c.x.c));
  if (mma_conv_shared_bytes(weights.phase, 0) > granted_) return false;
  ScratchLayout layout;
  Operand x = operand(c.x, layout), y = operand(c.y, layout);
  const size_t packed = layout.add(weights.bytes());
  auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
  place(x, scratch, true);
  place(y, scratch, false);
  kernels_.mma_conv->pack_upconv(stream_, {.layout = weights, .w = w, .packed = scratch + packed});
  kernels_.mma_conv->upconv(
      stream_, {.layout = weights, .weights = scratch + packed, .bias = c.bias, .x = x.image, .y = y.image});
  if (y.copied) kernels_.elementwise->convert(stream_, {.x = y.image, .y = c.y});
  return true;
}

bool EagerMma::upconv_grad_weight(const UpconvGradWeight& c) const {
  if (!narrow_) return false;
  return weight_gradient({.x = {c.dy, {}},
                          .dy = c.x,
                          .kernel_h = 2,
                          .kernel_w = 2,
                          .stride = 2,
                          .pad_h = 0,
                          .pad_w = 0,
                          .dw = c.dw,
                          .exchanged = true,
                          .accumulate = c.accumulate},
                         c.dy, c.db);
}

}  // namespace furrow::gpu
