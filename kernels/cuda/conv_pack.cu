// Weights into the order of the tiled convolution kernel, on the device.
#include "kernels/cuda/conv_tile.h"

namespace furrow::SIMT_NS {

namespace {

constexpr int kThreads = 256;

// packed[tile][chunk of x0, of x1][tap][i][o] = w as PackProblem says, 0 in padding. Bytes: w once, packed once.
// grid: x = ceil(packed floats / 256); block: 256, one float each, no shared memory; no sums.
__global__ void __launch_bounds__(kThreads) pack_weights(PackProblem p, int64_t floats) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= floats) return;
  const int chunks0 = (p.inputs0 + p.chunk - 1) / p.chunk, chunks = chunks0 + (p.inputs1 + p.chunk - 1) / p.chunk;
  const int lane = static_cast<int>(at % gpu::kConvChannelTile);
  int64_t rest = at / gpu::kConvChannelTile;
  const int i = static_cast<int>(rest % p.chunk);
  rest /= p.chunk;
  const int tap = static_cast<int>(rest % p.taps);
  rest /= p.taps;
  const int chunk = static_cast<int>(rest % chunks),
            output = static_cast<int>(rest / chunks) * gpu::kConvChannelTile + lane;
  const bool second = chunk >= chunks0;
  const int own = (second ? chunk - chunks0 : chunk) * p.chunk + i;  // within its source
  const int64_t input = second ? p.inputs0 + own : own;
  const bool exists = output < p.outputs && own < (second ? p.inputs1 : p.inputs0);
  p.packed[at] =
      exists ? p.w[output * p.output_stride + input * p.input_stride + (p.flip ? p.taps - 1 - tap : tap) * p.tap_stride]
             : 0.0f;
}

}  // namespace

void launch_pack(gpu::Stream stream, const PackProblem& p) {
  const auto floats =
      static_cast<int64_t>(gpu::conv_packed_floats({p.chunk, false}, p.outputs, p.taps, p.inputs0, p.inputs1));
  if (floats == 0) return;
  const int64_t blocks = (floats + kThreads - 1) / kThreads;
  require(blocks < (int64_t{1} << 31), "conv: weights of more blocks than a grid has");
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, pack_weights, p, floats);
}

void conv_pack(gpu::Stream stream, const gpu::ConvPack& a) {
  const ConvGeometry& g = a.geometry;
  const int taps = static_cast<int>(g.kernel_h * g.kernel_w);
  const int64_t inputs = int64_t{a.inputs0} + a.inputs1;
  launch_pack(stream, {.w = a.w,
                       .packed = a.packed,
                       .outputs = a.oc,
                       .inputs0 = a.inputs0,
                       .inputs1 = a.inputs1,
                       .taps = taps,
                       .chunk = gpu::conv_tiling(g.kernel_h, g.kernel_w, g.stride).chunk,
                       .output_stride = taps * inputs,
                       .input_stride = 1,
                       .tap_stride = inputs,
                       .flip = false});
}

void upconv_pack(gpu::Stream stream, const gpu::UpconvPack& a) {
  launch_pack(stream, {.w = a.w,
                       .packed = a.packed,
                       .outputs = a.oc,
                       .inputs0 = a.ic,
                       .inputs1 = 0,
                       .taps = 4,
                       .chunk = gpu::kUpconvTiling.chunk,
                       .output_stride = int64_t{4} * a.ic,
                       .input_stride = 1,
                       .tap_stride = a.ic,
                       .flip = false});
}

}  // namespace furrow::SIMT_NS
