// The 2x2 stride-2 transposed convolution and its input gradient: the tiled kernel, with other strides.
#include "kernels/cuda/conv_tile.h"

namespace furrow::SIMT_NS {

// y[n, 2h+i+top, 2w+j+left, oc] = b[oc] + sum over ic of w[oc,i,j,ic] * x[n,h,w,ic]: the gather form of the transposed
// convolution with pad -top, -left, where each of the four phases has one tap.
void upconv_forward(gpu::Stream stream, const gpu::UpconvForward& a) {
  require(a.x.n == a.y.n && a.x.c > 0, "upconv: shapes");
  if (a.y.pixels() == 0 || a.y.c == 0) return;
  TileProblem p{};
  p.x[0] = tile_source(a.x, "upconv: x is not float32");
  p.n = a.x.n, p.in_h = a.x.h, p.in_w = a.x.w;
  p.out_h = a.y.h, p.out_w = a.y.w, p.oc = a.y.c;
  p.kernel_h = p.kernel_w = p.stride = 2;
  p.pad_h = -a.top, p.pad_w = -a.left;
  p.transposed = p.bias_inside = true;
  p.weights = a.weights, p.bias = a.bias;
  p.y = tile_target(a.y, "upconv: y is not float32");
  launch_conv_tile(stream, p, gpu::kUpconvTiling);
}

// dx[n,h,w,ic] = sum over i,j,oc of w[oc,i,j,ic] * dy[n,2h+i,2w+j,oc]: a 2x2 convolution of stride 2.
void upconv_grad_input(gpu::Stream stream, const gpu::UpconvGradInput& a) {
  require(a.dy.n == a.dx.n && a.dy.h == 2 * a.dx.h && a.dy.w == 2 * a.dx.w, "upconv_grad_input: shapes");
  if (a.dx.pixels() == 0 || a.dx.c == 0) return;
  launch_pack(stream, {.w = a.w,
                       .packed = a.scratch,
                       .outputs = a.dx.c,
                       .inputs0 = a.dy.c,
                       .inputs1 = 0,
                       .taps = 4,
                       .chunk = gpu::kUpconvTiling.chunk,
                       .output_stride = 1,
                       .input_stride = int64_t{4} * a.dx.c,
                       .tap_stride = a.dx.c,
                       .flip = false});
  TileProblem p{};
  p.x[0] = tile_source(a.dy, "upconv_grad_input: dy is not float32");
  p.n = a.dx.n, p.in_h = a.dy.h, p.in_w = a.dy.w;
  p.out_h = a.dx.h, p.out_w = a.dx.w, p.oc = a.dx.c;
  p.kernel_h = p.kernel_w = p.stride = 2;
  p.weights = a.scratch;
  p.y = tile_target(a.dx, "upconv_grad_input: dx is not float32");
  if (a.accumulate) p.residual = p.y.data, p.residual_pitch = p.y.pitch;
  launch_conv_tile(stream, p, gpu::kUpconvTiling);
}

}  // namespace furrow::SIMT_NS
