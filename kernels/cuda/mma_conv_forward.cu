// Forward convolution on tensor cores, with everything that follows it fused: y = act(W * [x0, x1] + b + residual), its
// 2x2 maximum, a 1x1 head.
#include "kernels/cuda/mma_conv_mainloop.h"

namespace furrow::SIMT_NS::tc {
namespace {

// Bytes: each source once per tile of output channels plus its halo, weights once per block (from the L2 cache),
// results once. Grid: one block per pixel tile and tile of output channels, channels fastest so that blocks that share
// a halo run together; with a head, one block per pixel tile, which walks the tiles of channels (the head needs them
// all). Block: 128 threads; shared memory gpu::mma_conv_shared_bytes. Order of the sums: mma_conv_mainloop.h.
template <class T, class B>
__global__ void __launch_bounds__(B::kThreads, B::kBlocksPerSm) mma_conv_kernel(const ConvParams p) {
  DYNAMIC_SHARED(unsigned char, memory);
  int64_t block = blockIdx.x;
  const bool all_tiles = p.head.channels > 0;
  const int first_tile = all_tiles ? 0 : static_cast<int>(block % p.oc_tiles),
            last_tile = all_tiles ? p.oc_tiles : first_tile + 1;
  if (!all_tiles) block /= p.oc_tiles;
  const PixelTile at = pixel_tile<B>(p, block);
  for (int tile = first_tile; tile < last_tile; ++tile) {
    float acc[B::kMi][gpu::kMmaRows][4];
    accumulate<T, B>(p, at, static_cast<const unsigned char*>(p.weights) + tile * p.tile_bytes, memory, acc);
    finish<T, B>(p, at, tile, memory, acc, Window{at.n, p.out_h, p.out_w});
    if (all_tiles) add_to_head<B>(p, tile, tile == 0, reinterpret_cast<float*>(memory + p.head_offset), acc);
    __syncthreads();  // the rows of results become buffers again
  }
  if (all_tiles) store_head<B>(p, at, reinterpret_cast<const float*>(memory + p.head_offset));
}

template <class T, class B>
void launch_block(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvLayout& l = c.layout;
  ConvParams p{};
  for (int i = 0; i < 2; ++i) p.x[i] = {c.x[i].data, c.x[i].pitch, l.chunks[i]};
  p.h = c.x[0].h, p.w = c.x[0].w, p.spacing = c.x_spacing;
  p.kernel_h = l.shape.kernel_h, p.kernel_w = l.shape.kernel_w, p.stride = l.shape.stride, p.pad_h = c.pad_h,
  p.pad_w = c.pad_w;
  p.weights = c.weights, p.bias = c.bias, p.relu = c.relu;
  p.oc = l.shape.oc, p.oc_tiles = l.oc_tiles(), p.tile_bytes = static_cast<int64_t>(l.bytes()) / l.oc_tiles(),
  p.out_h = c.out_h, p.out_w = c.out_w;
  p.tiles_x = (c.out_w + B::kColumns - 1) / B::kColumns, p.tiles_y = (c.out_h + gpu::kMmaRows - 1) / gpu::kMmaRows;
  p.residual = {const_cast<void*>(c.residual.data), c.residual.pitch};
  p.y = {c.y.data, c.y.pitch}, p.pooled = {c.pooled.data, c.pooled.pitch};
  p.head = c.head;
  divide_shared_memory(l, p);
  const size_t shared = gpu::mma_conv_shared_bytes(l, c.head.channels);
  require(shared <= gpu::kMmaSharedLimit, "mma_conv: the kernel is too large for shared memory");
  const int64_t blocks =
      static_cast<int64_t>(p.tiles_x) * p.tiles_y * c.x[0].n * (c.head.channels > 0 ? 1 : p.oc_tiles);
  require(blocks > 0 && blocks <= 0x7fffffff, "mma_conv: the result is too large for one launch");
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(B::kThreads), shared, (mma_conv_kernel<T, B>), p);
}

template <class T>
void launch_typed(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvLayout& l = c.layout;
  const bool three = l.shape.kernel_h == 3 && l.shape.kernel_w == 3 && l.shape.stride == 1 && c.x_spacing == 1;
  const auto rows = [&](auto wide, auto narrow) {
    if (l.row_bytes == 64)
      launch_block<T, decltype(wide)>(stream, c);
    else
      launch_block<T, decltype(narrow)>(stream, c);
  };
  if (l.block_oc == 32) {
    if (three)
      rows(ConvBlock<1, 4, 64, true>{}, ConvBlock<1, 4, 32, true>{});
    else
      rows(ConvBlock<1, 4, 64, false>{}, ConvBlock<1, 4, 32, false>{});
  } else {
    if (three)
      rows(ConvBlock<2, 2, 64, true>{}, ConvBlock<2, 2, 32, true>{});
    else
      rows(ConvBlock<2, 2, 64, false>{}, ConvBlock<2, 2, 32, false>{});
  }
}

void check_image(const gpu::ConstImage& i, const gpu::MmaConv& c, int h, int w, const char* problem) {
  require(!i || (i.type == c.layout.shape.type && i.n == c.x[0].n && i.h == h && i.w == w && i.c == c.layout.shape.oc &&
                 i.pitch >= i.c && i.pitch * c.layout.element() % 16 == 0 && on_16_bytes(i.data)),
          problem);
}

}  // namespace

void mma_conv(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvShape& s = c.layout.shape;
  for (int i = 0; i < 2; ++i) {
    const gpu::ConstImage& x = c.x[i];
    require(static_cast<bool>(x) == (s.pitch[i] > 0) && x.c == s.c[i] && x.pitch == s.pitch[i] && x.pitch >= x.c,
            "mma_conv: a source is not the layout's");
    require(!x || (x.type == s.type && x.pitch * c.layout.element() % 16 == 0), "mma_conv: a source's type or pitch");
    require(on_16_bytes(x.data), "mma_conv: a source does not start on 16 bytes");
    require(!x || (x.n == c.x[0].n && x.h == c.x[0].h && x.w == c.x[0].w), "mma_conv: the two sources differ in size");
  }
  require(c.x[0] && c.weights != nullptr && c.x_spacing >= 1, "mma_conv: no source or no weights");
  require(on_16_bytes(c.weights), "mma_conv: the weights do not start on 16 bytes");
  require(c.out_h >= 0 && c.out_w >= 0, "mma_conv: the result's size");
  check_image(c.residual, c, c.out_h, c.out_w, "mma_conv: residual");
  check_image(c.y, c, c.out_h, c.out_w, "mma_conv: y");
  check_image(c.pooled, c, c.out_h / 2, c.out_w / 2, "mma_conv: pooled");
  require(c.head.channels >= 0 && c.head.channels <= gpu::kMmaMaxHead, "mma_conv: channels of the head");
  if (c.x[0].n == 0 || c.out_h == 0 || c.out_w == 0 || s.oc == 0) return;
  require(c.x[0].h > 0 && c.x[0].w > 0, "mma_conv: a source without pixels");
  switch (s.type) {
    case DType::f16: return launch_typed<f16>(stream, c);
    case DType::bf16: return launch_typed<bf16>(stream, c);
    default: require(s.type == DType::f32, "mma_conv: type"); return launch_typed<float>(stream, c);
  }
}

}  // namespace furrow::SIMT_NS::tc
