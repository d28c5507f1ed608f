// Convolution forward, and the table of the family.
#include "kernels/cuda/conv_tile.h"

namespace furrow::SIMT_NS {

void conv_forward(gpu::Stream stream, const gpu::ConvForward& a) {
  const ConvGeometry& g = a.geometry;
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "conv: geometry");
  require(a.x0.h + 2 * g.pad >= g.kernel_h && a.x0.w + 2 * g.pad >= g.kernel_w,
          "conv: the kernel is larger than the input");
  const int out_h = static_cast<int>(g.out(a.x0.h, g.kernel_h)), out_w = static_cast<int>(g.out(a.x0.w, g.kernel_w));
  const auto is = [&](const gpu::ConstImage& image, int h, int w, int c) {
    return !image || (image.n == a.x0.n && image.h == h && image.w == w && image.c == c);
  };
  require(!a.x1 || (a.x1.n == a.x0.n && a.x1.h == a.x0.h && a.x1.w == a.x0.w), "conv: the two sources differ in size");
  require(is(a.y, out_h, out_w, a.oc) && is(a.residual, out_h, out_w, a.oc) && is(a.pooled, out_h / 2, out_w / 2, a.oc),
          "conv: output shape");
  if (a.x0.n == 0 || a.oc == 0) return;
  TileProblem p{};
  p.x[0] = tile_source(a.x0, "conv: x0 is not float32");
  p.x[1] = tile_source(a.x1, "conv: x1 is not float32");
  p.n = a.x0.n, p.in_h = a.x0.h, p.in_w = a.x0.w;
  p.out_h = out_h, p.out_w = out_w, p.oc = a.oc;
  p.kernel_h = static_cast<int>(g.kernel_h), p.kernel_w = static_cast<int>(g.kernel_w),
  p.stride = static_cast<int>(g.stride);
  p.pad_h = p.pad_w = static_cast<int>(g.pad);
  p.relu = a.act == Activation::relu;
  p.weights = a.weights, p.bias = a.bias;
  const TileProblem::Source residual = tile_source(a.residual, "conv: residual is not float32");
  p.residual = residual.data, p.residual_pitch = residual.pitch;
  p.y = tile_target(a.y, "conv: y is not float32");
  p.pooled = tile_target(a.pooled, "conv: pooled is not float32");
  p.head = a.head;
  launch_conv_tile(stream, p, gpu::conv_tiling(g.kernel_h, g.kernel_w, g.stride));
}

const gpu::ConvKernels conv_kernels{
    .pack = conv_pack,
    .forward = conv_forward,
    .grad_input = conv_grad_input,
    .grad_weight = conv_grad_weight,
    .pack_upconv = upconv_pack,
    .upconv = upconv_forward,
    .upconv_grad_input = upconv_grad_input,
    .upconv_grad_weight = upconv_grad_weight,
};

}  // namespace furrow::SIMT_NS
