// Weights into the order of the tiled convolution kernel, on the host.
#include "kernels/cuda/conv.h"

namespace furrow::gpu {
namespace {

template <class T>
void pack_into(const T* w, int64_t outputs, int64_t inputs0, int64_t inputs, int64_t taps, const ConvTiling& tiling,
               std::vector<float>& packed) {
  const int64_t chunk = tiling.chunk, chunks0 = (inputs0 + chunk - 1) / chunk;
  const int64_t chunks = chunks0 + (inputs - inputs0 + chunk - 1) / chunk;
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t i = 0; i < inputs; ++i) {
        const int64_t own = i < inputs0 ? i : i - inputs0;  // within its source
        const int64_t at = (o / kConvChannelTile * chunks + (i < inputs0 ? 0 : chunks0) + own / chunk) * taps + tap;
        packed[static_cast<size_t>((at * chunk + own % chunk) * kConvChannelTile + o % kConvChannelTile)] =
            static_cast<float>(w[(o * taps + tap) * inputs + i]);
      }
}

std::vector<float> pack(const Tensor& w, const ConvTiling& tiling, int64_t inputs0) {
  const Shape s = w.shape();
  require(inputs0 >= 0 && inputs0 <= s.c, "pack_conv: more channels than the weight has");
  std::vector<float> packed(conv_packed_floats(tiling, s.n, s.h * s.w, inputs0, s.c - inputs0));
  if (w.dtype() == DType::f64)
    pack_into(w.values<double>().data(), s.n, inputs0, s.c, s.h * s.w, tiling, packed);
  else
    pack_into(w.values<float>().data(), s.n, inputs0, s.c, s.h * s.w, tiling, packed);
  return packed;
}

}  // namespace

std::vector<float> pack_conv(const Tensor& w, const ConvGeometry& g, int64_t inputs0) {
  require(w.shape().h == g.kernel_h && w.shape().w == g.kernel_w,
          "pack_conv: the weight's kernel size is not the geometry's");
  return pack(w, conv_tiling(g.kernel_h, g.kernel_w, g.stride), inputs0);
}

std::vector<float> pack_upconv(const Tensor& w) {
  require(w.shape().h == 2 && w.shape().w == 2, "pack_upconv: the kernel is not 2x2");
  return pack(w, kUpconvTiling, w.shape().c);
}

}  // namespace furrow::gpu
