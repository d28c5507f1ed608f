// 2x2 stride-2 transposed convolution on tensor cores, laid at (top, left) of a zero frame.
#include "kernels/cuda/mma_conv_mainloop.h"

namespace furrow::SIMT_NS::tc {
namespace {

// Where the pixels computed for one phase lie in the frame: (2y + top, 2x + left) with the phase in top and left.
struct PhaseWindow {
  int n, h, w, source_h, source_w, top, left;
  SIMT_DEVICE int64_t pixel(int y, int x) const {
    const int to_y = 2 * y + top, to_x = 2 * x + left;
    const bool inside = y < source_h && x < source_w && to_y >= 0 && to_y < h && to_x >= 0 && to_x < w;
    return inside ? (static_cast<int64_t>(n) * h + to_y) * w + to_x : -1;
  }
};

struct Frame {
  int h, w, top, left;
};

// y[n,2h+i+top,2w+j+left,oc] = b[oc] + sum over ic of w[oc,i,j,ic] * x[n,h,w,ic]: a 1x1 convolution per phase (i,j),
// whose pixels are stored two apart. Bytes: x once per phase and tile of channels (from the L2 cache after the first),
// weights once per block, y once. Grid: one block per pixel tile of x, phase and tile of channels, the last fastest.
// Block: 128 threads; shared memory gpu::mma_conv_shared_bytes. Order of the sums: mma_conv_mainloop.h.
template <class T, class B>
__global__ void __launch_bounds__(B::kThreads, B::kBlocksPerSm)
    mma_upconv_kernel(const ConvParams p, const Frame frame) {
  DYNAMIC_SHARED(unsigned char, memory);
  const int part = static_cast<int>(blockIdx.x % static_cast<unsigned>(4 * p.oc_tiles)), tile = part % p.oc_tiles,
            phase = part / p.oc_tiles;
  const PixelTile at = pixel_tile<B>(p, blockIdx.x / static_cast<unsigned>(4 * p.oc_tiles));
  float acc[B::kMi][gpu::kMmaRows][4];
  accumulate<T, B>(p, at, static_cast<const unsigned char*>(p.weights) + part * p.tile_bytes, memory, acc);
  finish<T, B>(p, at, tile, memory, acc,
               PhaseWindow{at.n, frame.h, frame.w, p.h, p.w, frame.top + phase / 2, frame.left + phase % 2});
}

// Zeros in the pixels of a frame that the doubled picture does not cover: y's bytes there are written once, 16 per
// thread. Grid-stride, blocks of 256, no shared memory; no sums.
constexpr int kMarginThreads = 256;
struct MarginParams {
  uint4* y;
  int64_t vectors;
  int per_pixel, covered_h, covered_w;
  Frame frame;
};
__global__ void __launch_bounds__(kMarginThreads) mma_upconv_margin_kernel(const MarginParams p) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kMarginThreads + threadIdx.x; i < p.vectors;
       i += static_cast<int64_t>(gridDim.x) * kMarginThreads) {
    const int64_t pixel = i / p.per_pixel;
    const int x = static_cast<int>(pixel % p.frame.w) - p.frame.left,
              y = static_cast<int>(pixel / p.frame.w % p.frame.h) - p.frame.top;
    if (y < 0 || x < 0 || y >= p.covered_h || x >= p.covered_w) p.y[i] = make_uint4(0, 0, 0, 0);
  }
}

template <class T, class B>
void launch_block(gpu::Stream stream, const gpu::MmaUpconv& c) {
  const gpu::MmaConvLayout& l = c.layout.phase;
  ConvParams p{};
  p.x[0] = {c.x.data, c.x.pitch, l.chunks[0]};
  p.h = p.out_h = c.x.h, p.w = p.out_w = c.x.w, p.spacing = p.kernel_h = p.kernel_w = p.stride = 1;
  p.weights = c.weights, p.tile_bytes = static_cast<int64_t>(l.bytes()) / l.oc_tiles(), p.bias = c.bias;
  p.oc = l.shape.oc, p.oc_tiles = l.oc_tiles();
  p.tiles_x = (c.x.w + B::kColumns - 1) / B::kColumns, p.tiles_y = (c.x.h + gpu::kMmaRows - 1) / gpu::kMmaRows;
  p.y = {c.y.data, c.y.pitch};
  divide_shared_memory(l, p);
  const int64_t blocks = static_cast<int64_t>(p.tiles_x) * p.tiles_y * c.x.n * 4 * p.oc_tiles;
  require(blocks > 0 && blocks <= 0x7fffffff, "mma_upconv: the picture is too large for one launch");
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(B::kThreads), gpu::mma_conv_shared_bytes(l, 0),
         (mma_upconv_kernel<T, B>), p, Frame{c.y.h, c.y.w, c.top, c.left});
}

template <class T>
void launch_typed(gpu::Stream stream, const gpu::MmaUpconv& c) {
  const gpu::MmaConvLayout& l = c.layout.phase;
  if (l.block_oc == 32)
    return l.row_bytes == 64 ? launch_block<T, ConvBlock<1, 4, 64, false>>(stream, c)
                             : launch_block<T, ConvBlock<1, 4, 32, false>>(stream, c);
  return l.row_bytes == 64 ? launch_block<T, ConvBlock<2, 2, 64, false>>(stream, c)
                           : launch_block<T, ConvBlock<2, 2, 32, false>>(stream, c);
}

}  // namespace

void mma_upconv(gpu::Stream stream, const gpu::MmaUpconv& c) {
  const gpu::MmaConvShape& s = c.layout.phase.shape;
  require(c.x && c.y && c.weights != nullptr && c.x.type == s.type && c.y.type == s.type && c.x.n == c.y.n,
          "mma_upconv: an image is missing or not the layout's");
  require(c.x.c == s.c[0] && c.x.pitch == s.pitch[0] && c.y.c == s.oc && c.y.pitch >= s.oc, "mma_upconv: channels");
  const int per_vector = 16 / c.layout.phase.element();
  require(c.x.pitch % per_vector == 0 && c.y.pitch % per_vector == 0,
          "mma_upconv: a pitch is not a multiple of 16 bytes");
  require(on_16_bytes(c.x.data) && on_16_bytes(c.y.data) && on_16_bytes(c.weights),
          "mma_upconv: an image or the weights do not start on 16 bytes");
  if (c.y.pixels() == 0 || c.y.c == 0) return;
  require(c.x.pixels() > 0, "mma_upconv: a source without pixels");
  switch (s.type) {
    case DType::f16: launch_typed<f16>(stream, c); break;
    case DType::bf16: launch_typed<bf16>(stream, c); break;
    default: require(s.type == DType::f32, "mma_upconv: type"); launch_typed<float>(stream, c);
  }
  if (c.top <= 0 && c.left <= 0 && 2 * c.x.h + c.top >= c.y.h && 2 * c.x.w + c.left >= c.y.w) return;  // covered
  const int per_pixel = c.y.pitch / per_vector;
  const MarginParams m{static_cast<uint4*>(c.y.data), c.y.pixels() * per_pixel, per_pixel, 2 * c.x.h, 2 * c.x.w,
                       {c.y.h, c.y.w, c.top, c.left}};
  const int64_t blocks = (m.vectors + kMarginThreads - 1) / kMarginThreads;
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks < 65535 ? blocks : 65535)), dim3(kMarginThreads), 0,
         mma_upconv_margin_kernel, m);
}

}  // namespace furrow::SIMT_NS::tc
