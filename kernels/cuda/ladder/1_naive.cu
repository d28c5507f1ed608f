// Step 1: one thread per output, straight from the formula.
//
// Each multiply-accumulate (MAC) loads one float of x and one of w: 8 bytes for 2 operations. The threads of a warp are
// neighbours in oc, so they load the same x (one broadcast) and w values that lie 9*pitch floats apart (32 cache lines
// per load instruction). Everything is loaded again for every output; only the caches know that it was there before.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {
namespace {

// Grid: {outputs / 256}, block 256, no shared memory. Order of the sum: ic upwards for each tap; their sums, kh and
// kw upwards, are added to the bias (two short sums round less than one long one).
__global__ void __launch_bounds__(256) ladder_1(const float* __restrict__ x, int n, int h, int w, int ic, int x_pitch,
                                                const float* __restrict__ weights, const float* __restrict__ bias,
                                                int oc, float* __restrict__ y, int y_pitch) {
  const int64_t output = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (output >= static_cast<int64_t>(n) * h * w * y_pitch) return;
  const int c = static_cast<int>(output % y_pitch);
  const int64_t pixel = output / y_pitch;
  if (c >= oc) {   // the pad channels hold zeros
    y[output] = 0.0f;
    return;
  }
  const int column = static_cast<int>(pixel % w), row = static_cast<int>(pixel / w % h);
  float sum = bias[c];
  for (int kh = 0; kh < 3; ++kh) {
    for (int kw = 0; kw < 3; ++kw) {
      const int r = row + kh - 1, s = column + kw - 1;
      if (r < 0 || r >= h || s < 0 || s >= w) continue;   // zero outside
      const float* from = x + (pixel + (kh - 1) * static_cast<int64_t>(w) + kw - 1) * x_pitch;
      const float* tap = weights + (static_cast<int64_t>(c) * 9 + kh * 3 + kw) * x_pitch;
      float part = 0.0f;
      for (int i = 0; i < ic; ++i) part = fmaf(from[i], tap[i], part);
      sum += part;
    }
  }
  y[output] = ladder_relu(sum);
}

}  // namespace

void ladder_naive(gpu::Stream stream, const gpu::LadderArgs& a) {
  check_ladder(a, DType::f32);
  const int64_t outputs = a.y.pixels() * a.y.pitch;
  LAUNCH(stream, dim3(static_cast<unsigned>(ladder_tiles(outputs, 256))), dim3(256), 0, ladder_1, static_cast<const float*>(a.x.data), a.x.n,
         a.x.h, a.x.w, a.x.c, a.x.pitch, static_cast<const float*>(a.w), a.b, a.y.c, static_cast<float*>(a.y.data), a.y.pitch);
}

}  // namespace furrow::SIMT_NS
