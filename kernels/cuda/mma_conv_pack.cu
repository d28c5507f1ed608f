// Weights into the shared-memory images of the tensor-core convolution, on the device, and the family's table.
//
// packed[e] for every element e of the layout (gpu::MmaConvLayout): one thread each, grid-stride; moves 4 bytes in and the
// element out. No arithmetic but the rounding to the storage type.
#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {

void mma_conv(gpu::Stream stream, const gpu::MmaConv& c);

namespace {

struct PackParams {
  const float* w;
  void* packed;
  int64_t elements;
  int ic, first_ic;              // of w
  bool flipped;
  int rows, block_oc, row_bytes, chunks0, chunks, c0, c1, kernel_h, kernel_w;
};

template <class T> SIMT_DEVICE T rounded_weight(float x) { return from_float<T>(x); }
template <> SIMT_DEVICE float rounded_weight<float>(float x) {
  union { uint32_t u; float f; } value{to_tf32(x)};
  return value.f;
}

constexpr int kPackThreads = 256;

template <class T> __global__ void __launch_bounds__(kPackThreads) mma_conv_pack_kernel(const PackParams p) {
  constexpr int kPerVector = 16 / static_cast<int>(sizeof(T));
  const int vectors = p.row_bytes / 16, row_channels = vectors * kPerVector;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * kPackThreads + threadIdx.x; e < p.elements; e += static_cast<int64_t>(gridDim.x) * kPackThreads) {
    int64_t rest = e;
    const auto next = [&rest](int extent) {
      const int index = static_cast<int>(rest % extent);
      rest /= extent;
      return index;
    };
    const int within = next(kPerVector), place = next(vectors), row = next(p.block_oc), ky = next(p.kernel_h), kx = next(p.kernel_w);
    const int chunk = next(p.chunks), m = static_cast<int>(rest) * p.block_oc + row;
    const int v = (p.row_bytes == 64 ? swizzled_vector<64>(row, place) : swizzled_vector<32>(row, place)) / 16;   // its own inverse
    const bool second = chunk >= p.chunks0;
    const int channel = (second ? chunk - p.chunks0 : chunk) * row_channels + v * kPerVector + within;
    float value = 0;
    if (m < p.rows && channel < (second ? p.c1 : p.c0)) {
      const int k = second ? p.c0 + channel : channel;
      const int64_t at = p.flipped ? ((static_cast<int64_t>(k) * p.kernel_h + p.kernel_h - 1 - ky) * p.kernel_w + p.kernel_w - 1 - kx) * p.ic + p.first_ic + m
                                   : ((static_cast<int64_t>(m) * p.kernel_h + ky) * p.kernel_w + kx) * p.ic + k;
      value = p.w[at];
    }
    static_cast<T*>(p.packed)[e] = rounded_weight<T>(value);
  }
}

void mma_conv_pack(gpu::Stream stream, const gpu::MmaConvPack& c) {
  const gpu::MmaConvLayout& l = c.layout;
  const gpu::MmaConvShape& s = l.shape;
  if (c.flipped) require(s.c[0] == c.oc && s.c[1] == 0 && c.first_ic >= 0 && c.first_ic + s.oc <= c.ic, "mma_conv_pack: the layout is not of this gradient");
  else require(s.oc == c.oc && s.c[0] + s.c[1] == c.ic, "mma_conv_pack: the layout is not of these weights");
  const int64_t elements = static_cast<int64_t>(l.bytes()) / l.element();
  const PackParams p{c.w, c.packed, elements, c.ic, c.first_ic, c.flipped, s.oc, l.block_oc, l.row_bytes,
                     l.chunks[0], l.all_chunks(), s.c[0], s.c[1], s.kernel_h, s.kernel_w};
  const int64_t wanted = (elements + kPackThreads - 1) / kPackThreads;
  const dim3 grid(static_cast<unsigned>(wanted < 65535 ? wanted : 65535));
  switch (s.type) {
    case DType::f16: LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<f16>, p); break;
    case DType::bf16: LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<bf16>, p); break;
    default:
      require(s.type == DType::f32, "mma_conv_pack: type");
      LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<float>, p);
  }
}

}  // namespace
}  // namespace furrow::SIMT_NS::tc

namespace furrow::SIMT_NS {

const gpu::MmaConvKernels mma_conv_kernels{.conv = tc::mma_conv, .pack = tc::mma_conv_pack};

}  // namespace furrow::SIMT_NS
