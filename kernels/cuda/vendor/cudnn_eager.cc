#include "kernels/cuda/vendor/cudnn_eager.h"

#include <algorithm>
#include <utility>

namespace furrow::gpu {
namespace {

size_t narrow_bytes(const Image& image) {
  return static_cast<size_t>(image.pixels() * image.pitch) * size_of(image.type);
}

Image wide_image(int n, int h, int w, int c, void* data) { return {data, DType::f32, n, h, w, c, c}; }

int extent_of(int64_t value) { return static_cast<int>(value); }

// Numbers of rows, one a row: what Pad moves between tensors of different width.
Image as_rows(int64_t rows, int width, void* data) { return wide_image(extent_of(rows), 1, width, 1, data); }

}  // namespace

// One of two inputs: its channels among those of the weights.
struct CudnnEager::Source {
  int first = 0, channels = 0, all = 0;
};

// An image in the storage type with pixels on 16 bytes, its place in scratch memory; its data after place().
struct CudnnEager::Narrow {
  ConstImage wide;
  Image image;
  size_t at = 0;
};

int CudnnEager::pitch_of(int channels) const {
  const int step = 16 / static_cast<int>(size_of(on_.storage));
  return (channels + step - 1) / step * step;
}

CudnnEager::Narrow CudnnEager::narrow(const ConstImage& wide, ScratchLayout& layout) const {
  Narrow out{.wide = wide, .image = {nullptr, on_.storage, wide.n, wide.h, wide.w, wide.c, pitch_of(wide.c)}};
  if (wide) out.at = layout.add(narrow_bytes(out.image));
  return out;
}

// {pitch(oc), kernel_h, kernel_w, pitch(ic)}: the libraries are given whole pitches.
CudnnEager::Narrow CudnnEager::narrow_weights(const ConvGeometry& g, int oc, int ic, ScratchLayout& layout) const {
  Narrow out{.wide = {},
             .image = {nullptr, on_.storage, oc, extent_of(g.kernel_h), extent_of(g.kernel_w), ic, pitch_of(ic)}};
  Image whole = out.image;
  whole.n = pitch_of(oc);
  out.at = layout.add(narrow_bytes(whole));
  return out;
}

void CudnnEager::place(Narrow& image, std::byte* scratch) const { image.image.data = scratch + image.at; }

void CudnnEager::fill(Narrow& image, std::byte* scratch) const {
  if (!image.wide) return;
  place(image, scratch);
  on_.kernels.elementwise->convert(on_.stream, {.x = image.wide, .y = image.image});
}

// The source's channels of w {oc,kernel_h,kernel_w,all}; where there are two sources, by way of a dense slice.
void CudnnEager::fill_weights(Narrow& to, std::byte* scratch, const float* w, const Source& source,
                              size_t slice) const {
  place(to, scratch);
  const Image& image = to.image;
  void* values = const_cast<float*>(w);
  if (source.channels != source.all) {
    const Image part = as_rows(image.pixels(), source.channels, scratch + slice);
    on_.kernels.resample->pad(on_.stream,
                              {.x = as_rows(image.pixels(), source.all, values), .y = part, .left = -source.first});
    values = part.data;
  }
  on_.kernels.elementwise->convert(on_.stream,
                                   {.x = wide_image(image.n, image.h, image.w, image.c, values), .y = image});
  if (const size_t rest =
          static_cast<size_t>(pitch_of(image.n) - image.n) * narrow_bytes(image) / static_cast<size_t>(image.n);
      rest > 0)
    on_.runtime.zero(on_.stream, static_cast<std::byte*>(image.data) + narrow_bytes(image), rest);
}

CudnnProblem CudnnEager::problem(ConvPass pass, const ConstImage& x, const ConstImage& y,
                                 const ConvGeometry& geometry) const {
  const int c = pitch_of(x.c), oc = pitch_of(y.c);
  return {.pass = pass,
          .type = on_.storage,
          .n = x.n,
          .h = x.h,
          .w = x.w,
          .c = c,
          .x_pitch = c,
          .oc = oc,
          .y_pitch = oc,
          .geometry = geometry};
}

bool CudnnEager::forward(const ConvForward& c, const float* w) const {
  const ConstImage wide[2] = {c.x0, c.x1};
  const int count = c.x1 ? 2 : 1, all = c.x0.c + c.x1.c, oc = pitch_of(c.oc);
  ScratchLayout layout;
  CudnnProblem problems[2];
  size_t work = 0;
  for (int i = 0; i < count; ++i) {
    CudnnProblem& p = problems[i] = problem(ConvPass::forward, wide[i], c.y, c.geometry);
    const bool last = i + 1 == count;
    p.y_is_f32 = !last;
    p.added = i == 1;
    p.bias = last && c.bias != nullptr;
    p.relu = last && c.act == Activation::relu;
    if (!on_.cudnn.can(p)) return false;
    work = std::max(work, workspace(p));
  }
  layout.add(work);  // first: it begins where the block does
  Narrow x[2] = {narrow(c.x0, layout), narrow(c.x1, layout)}, y = narrow(c.y, layout), weights[2];
  for (int i = 0; i < count; ++i) weights[i] = narrow_weights(c.geometry, c.oc, wide[i].c, layout);
  const int64_t rows = weights[0].image.pixels();
  const size_t slice =
      layout.add(count == 1 ? 0 : static_cast<size_t>(rows * std::max(c.x0.c, c.x1.c)) * sizeof(float));
  const size_t sums = layout.add(count == 1 ? 0 : static_cast<size_t>(c.y.pixels() * oc) * sizeof(float));
  const size_t bias = layout.add(c.bias == nullptr ? 0 : static_cast<size_t>(oc) * sizeof(float));
  auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
  if (c.bias != nullptr) {
    on_.runtime.zero(on_.stream, scratch + bias, static_cast<size_t>(oc) * sizeof(float));
    on_.runtime.copy(on_.stream, scratch + bias, c.bias, static_cast<size_t>(c.oc) * sizeof(float));
  }
  place(y, scratch);
  for (int i = 0; i < count; ++i) {
    fill(x[i], scratch);
    fill_weights(weights[i], scratch, w, {.first = i == 0 ? 0 : c.x0.c, .channels = wide[i].c, .all = all}, slice);
    on_.cudnn.run(problems[i], {.x = x[i].image.data,
                                .w = weights[i].image.data,
                                .y = problems[i].y_is_f32 ? scratch + sums : y.image.data,
                                .added = scratch + sums,
                                .bias = scratch + bias,
                                .workspace = scratch});
  }
  on_.kernels.elementwise->convert(on_.stream, {.x = y.image, .y = c.y});
  return true;
}

bool CudnnEager::grad_input(const ConvGradInput& c) const {
  const Image to[2] = {c.dx0, c.dx1};
  const int channels[2] = {c.inputs0, c.inputs1}, all = c.inputs0 + c.inputs1;
  const auto wanted = [&](int i) { return to[i] && to[i].pixels() > 0 && to[i].c > 0; };
  for (int i = 0; i < 2; ++i)
    if (wanted(i) && !on_.cudnn.can(problem(ConvPass::grad_input, to[i], c.dy, c.geometry))) return false;
  for (int i = 0; i < 2; ++i) {
    if (!wanted(i)) continue;
    const CudnnProblem p = problem(ConvPass::grad_input, to[i], c.dy, c.geometry);
    ScratchLayout layout;
    layout.add(workspace(p));
    Narrow dy = narrow(c.dy, layout), dx = narrow(to[i], layout),
           weights = narrow_weights(c.geometry, c.dy.c, channels[i], layout);
    const size_t slice =
        layout.add(channels[i] == all ? 0 : static_cast<size_t>(weights.image.pixels() * channels[i]) * sizeof(float));
    const Image& d = to[i];
    const size_t widened = layout.add(c.accumulate ? static_cast<size_t>(d.pixels() * d.c) * sizeof(float) : 0);
    auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
    fill(dy, scratch);
    fill_weights(weights, scratch, c.w, {.first = i == 0 ? 0 : c.inputs0, .channels = channels[i], .all = all}, slice);
    place(dx, scratch);
    on_.cudnn.run(p, {.x = dx.image.data, .w = weights.image.data, .y = dy.image.data, .workspace = scratch});
    const Image result = c.accumulate ? wide_image(d.n, d.h, d.w, d.c, scratch + widened) : d;
    on_.kernels.elementwise->convert(on_.stream, {.x = dx.image, .y = result});
    if (c.accumulate) on_.kernels.elementwise->add(on_.stream, {.a = d, .b = result, .y = d});
  }
  return true;
}

bool CudnnEager::grad_weight(const ConvGradWeight& c) const {
  const ConstImage wide[2] = {c.x0, c.x1};
  const int all = c.x0.c + c.x1.c, sources = c.x1 ? 2 : 1;
  for (int i = 0; i < sources; ++i)
    if (!on_.cudnn.can(problem(ConvPass::grad_weight, wide[i], c.dy, c.geometry))) return false;
  for (int i = 0; i < sources; ++i) {
    const CudnnProblem p = problem(ConvPass::grad_weight, wide[i], c.dy, c.geometry);
    ScratchLayout layout;
    layout.add(workspace(p));
    Narrow x = narrow(wide[i], layout), dy = narrow(c.dy, layout),
           dw = narrow_weights(c.geometry, c.dy.c, wide[i].c, layout);
    const int64_t rows = dw.image.pixels();
    const size_t widened = layout.add(static_cast<size_t>(rows * wide[i].c) * sizeof(float));
    auto* scratch = static_cast<std::byte*>(staged_.scratch(layout.bytes()));
    fill(x, scratch);
    fill(dy, scratch);
    place(dw, scratch);
    on_.cudnn.run(p, {.x = x.image.data, .w = dw.image.data, .y = dy.image.data, .workspace = scratch});
    const Image& narrow_dw = dw.image;
    on_.kernels.elementwise->convert(
        on_.stream,
        {.x = narrow_dw, .y = wide_image(narrow_dw.n, narrow_dw.h, narrow_dw.w, narrow_dw.c, scratch + widened)});
    // Into its channels: the first source's call writes zeros into the second one's, which adds to them.
    on_.kernels.resample->pad(on_.stream, {.x = as_rows(rows, wide[i].c, scratch + widened),
                                           .y = as_rows(rows, all, c.dw),
                                           .left = i == 0 ? 0 : c.x0.c,
                                           .accumulate = c.accumulate || i == 1});
  }
  if (c.db == nullptr) return true;
  on_.kernels.mma_conv_grad->bias(
      on_.stream,
      {.dy = c.dy, .db = c.db, .accumulate = c.accumulate, .workspace = staged_.scratch(mma_grad_bias_bytes(c.dy))});
  return true;
}

}  // namespace furrow::gpu
