// The gradient of a convolution with respect to its input: the tiled kernel over dy, with transposed weights.
#include "kernels/cuda/conv_tile.h"

namespace furrow::SIMT_NS {

// Stride 1: flipped taps and pad kernel-1-pad make it a forward convolution of dy. Each source is a launch of its own.
void conv_grad_input(gpu::Stream stream, const gpu::ConvGradInput& a) {
  const ConvGeometry& g = a.geometry;
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "conv_grad_input: geometry");
  const int64_t inputs = int64_t{a.inputs0} + a.inputs1, taps = g.kernel_h * g.kernel_w;
  const gpu::ConvTiling tiling = gpu::conv_grad_tiling(g);
  float* packed = a.scratch;
  for (const int i : {0, 1}) {
    const gpu::Image& dx = i == 0 ? a.dx0 : a.dx1;
    const int channels = i == 0 ? a.inputs0 : a.inputs1;
    if (!dx || channels == 0 || dx.pixels() == 0) continue;
    require(
        dx.c == channels && dx.n == a.dy.n && a.dy.h == g.out(dx.h, g.kernel_h) && a.dy.w == g.out(dx.w, g.kernel_w),
        "conv_grad_input: shapes");
    launch_pack(stream, {.w = a.w + (i == 0 ? 0 : a.inputs0),
                         .packed = packed,
                         .outputs = channels,
                         .inputs0 = a.dy.c,
                         .inputs1 = 0,
                         .taps = static_cast<int>(taps),
                         .chunk = tiling.chunk,
                         .output_stride = 1,
                         .input_stride = taps * inputs,
                         .tap_stride = inputs,
                         .flip = g.stride == 1});
    TileProblem p{};
    p.x[0] = tile_source(a.dy, "conv_grad_input: dy is not float32");
    p.n = dx.n, p.in_h = a.dy.h, p.in_w = a.dy.w;
    p.out_h = dx.h, p.out_w = dx.w, p.oc = channels;
    p.kernel_h = static_cast<int>(g.kernel_h), p.kernel_w = static_cast<int>(g.kernel_w),
    p.stride = static_cast<int>(g.stride);
    p.transposed = g.stride != 1;
    p.pad_h = static_cast<int>(p.transposed ? g.pad : g.kernel_h - 1 - g.pad);
    p.pad_w = static_cast<int>(p.transposed ? g.pad : g.kernel_w - 1 - g.pad);
    p.weights = packed;
    p.y = tile_target(dx, "conv_grad_input: dx is not float32");
    if (a.accumulate) p.residual = p.y.data, p.residual_pitch = p.y.pitch;
    launch_conv_tile(stream, p, tiling);
    packed += gpu::conv_packed_floats(tiling, channels, taps, a.dy.c, 0);
  }
}

}  // namespace furrow::SIMT_NS
