// Weights into the shared-memory images of the tensor-core convolution, on the device, and the family's table.
//
// packed[e] for every element e of the layout (gpu::MmaConvLayout): one thread each, grid-stride; moves 4 bytes in and
// the element out. No arithmetic but the rounding to the storage type.
#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {

void mma_conv(gpu::Stream stream, const gpu::MmaConv& c);
void mma_upconv(gpu::Stream stream, const gpu::MmaUpconv& c);

namespace {

struct PackParams {
  const float* w;
  void* packed;
  int64_t elements;
  int64_t first, row_stride, ky_stride, kx_stride, k_stride;  // of w: row m of the matrix, tap, column k
  int rows, block_oc, row_bytes, chunks0, chunks, c0, c1, kernel_h, kernel_w;
};

template <class T>
SIMT_DEVICE T rounded_weight(float x) {
  return from_float<T>(x);
}
template <>
SIMT_DEVICE float rounded_weight<float>(float x) {
  union {
    uint32_t u;
    float f;
  } value{to_tf32(x)};
  return value.f;
}

constexpr int kPackThreads = 256;

// As above: packed[e] = the weight of its row, tap and channel, 0 in padding. Grid: at most 65535 blocks of 256, no
// shared memory.
template <class T>
__global__ void __launch_bounds__(kPackThreads) mma_conv_pack_kernel(const PackParams p) {
  constexpr int kPerVector = 16 / static_cast<int>(sizeof(T));
  const int vectors = p.row_bytes / 16, row_channels = vectors * kPerVector;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * kPackThreads + threadIdx.x; e < p.elements;
       e += static_cast<int64_t>(gridDim.x) * kPackThreads) {
    int64_t rest = e;
    const auto next = [&rest](int extent) {
      const int index = static_cast<int>(rest % extent);
      rest /= extent;
      return index;
    };
    const int within = next(kPerVector), place = next(vectors), row = next(p.block_oc), ky = next(p.kernel_h),
              kx = next(p.kernel_w);
    const int chunk = next(p.chunks), m = static_cast<int>(rest) * p.block_oc + row;
    const int v = (p.row_bytes == 64 ? swizzled_vector<64>(row, place) : swizzled_vector<32>(row, place)) /
                  16;  // its own inverse
    const bool second = chunk >= p.chunks0;
    int channel = (second ? chunk - p.chunks0 : chunk) * row_channels + v * kPerVector + within;
    const int channels = second ? p.c1 : p.c0;
    const bool copy = sizeof(T) == 2 && channels <= gpu::kSplitChannels && channel >= gpu::kSplitChannels;
    if (copy) channel -= gpu::kSplitChannels;  // the second one (kernels/cuda/image.h)
    float value = 0;
    if (m < p.rows && channel < channels) {
      const int k = second ? p.c0 + channel : channel;
      value = p.w[p.first + m * p.row_stride + ky * p.ky_stride + kx * p.kx_stride + k * p.k_stride];
    }
    T stored = rounded_weight<T>(value);
    if (copy && !isfinite(to_float(stored))) stored = rounded_weight<T>(0);  // times a remainder of 0 it is none
    static_cast<T*>(p.packed)[e] = stored;
  }
}

void launch_pack(gpu::Stream stream, const gpu::MmaConvLayout& l, PackParams p) {
  const gpu::MmaConvShape& s = l.shape;
  p.elements = static_cast<int64_t>(l.bytes()) / l.element();
  p.rows = s.oc, p.block_oc = l.block_oc, p.row_bytes = l.row_bytes, p.chunks0 = l.chunks[0], p.chunks = l.all_chunks();
  p.c0 = s.c[0], p.c1 = s.c[1], p.kernel_h = s.kernel_h, p.kernel_w = s.kernel_w;
  const int64_t wanted = (p.elements + kPackThreads - 1) / kPackThreads;
  const dim3 grid(static_cast<unsigned>(wanted < 65535 ? wanted : 65535));
  switch (s.type) {
    case DType::f16: LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<f16>, p); break;
    case DType::bf16: LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<bf16>, p); break;
    default:
      require(s.type == DType::f32, "mma_conv_pack: type");
      LAUNCH(stream, grid, dim3(kPackThreads), 0, mma_conv_pack_kernel<float>, p);
  }
}

void mma_conv_pack(gpu::Stream stream, const gpu::MmaConvPack& c) {
  const gpu::MmaConvShape& s = c.layout.shape;
  const bool exchanged = c.order != gpu::MmaWeights::forward, reversed = c.order == gpu::MmaWeights::flipped;
  if (exchanged)
    require(s.c[0] == c.oc && s.c[1] == 0 && c.first_ic >= 0 && c.first_ic + s.oc <= c.ic,
            "mma_conv_pack: the layout is not of this gradient");
  else
    require(s.oc == c.oc && s.c[0] + s.c[1] == c.ic, "mma_conv_pack: the layout is not of these weights");
  const int64_t kx = c.ic, ky = kx * s.kernel_w, oc = ky * s.kernel_h;
  PackParams p{.w = c.w,
               .packed = c.packed,
               .row_stride = exchanged ? 1 : oc,
               .ky_stride = reversed ? -ky : ky,
               .kx_stride = reversed ? -kx : kx,
               .k_stride = exchanged ? oc : 1};
  p.first = (exchanged ? c.first_ic : 0) + (reversed ? oc - kx : 0);
  launch_pack(stream, c.layout, p);
}

void mma_upconv_pack(gpu::Stream stream, const gpu::MmaUpconvPack& c) {
  const gpu::MmaConvLayout& l = c.layout.phase;
  const int64_t ic = l.shape.c[0];
  for (int phase = 0; phase < 4; ++phase)
    launch_pack(stream, l,
                {.w = c.w,
                 .packed = static_cast<unsigned char*>(c.packed) + static_cast<size_t>(phase) * l.bytes(),
                 .first = phase * ic,
                 .row_stride = 4 * ic,
                 .k_stride = 1});
}

}  // namespace
}  // namespace furrow::SIMT_NS::tc

namespace furrow::SIMT_NS {

const gpu::MmaConvKernels mma_conv_kernels{
    .conv = tc::mma_conv, .pack = tc::mma_conv_pack, .upconv = tc::mma_upconv, .pack_upconv = tc::mma_upconv_pack};

}  // namespace furrow::SIMT_NS
