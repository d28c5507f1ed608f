// Forward convolution on tensor cores, with everything that follows it fused.
//
// D[oc, pixel] = W[oc, K] * X[pixel, K]: weights are operand A, segments of 8 pixels of one row operand B, so a thread holds
// whole 2x2 pooling windows of its channels, and its bias is one value per accumulator row.
//
// A block computes 8 rows x TW columns of pixels for BM output channels; each warp 32 channels x 8 x 8 pixels. K is walked in
// steps of one kernel column of one chunk of channels: the halo tile of a chunk serves all its taps (double-buffered; 1-wide
// kernels, where every step is a chunk, keep three), the weights of a step (KH x BM rows, packed as they lie in shared memory)
// are triple-buffered. One barrier per step: it closes step s-1, whose buffers then take step s+2, and opens step s.
// Halo columns are stored by residue modulo the stride, so that 8 neighbouring outputs read 8 neighbouring rows of shared
// memory at any stride and ldmatrix never meets a bank twice.
//
// Bytes: each source once per tile of output channels plus its halo, weights once per block (from the L2 cache), results once.
// Grid: one block per pixel tile and tile of output channels, channels fastest so that blocks that share a halo run
// together; with a head, one block per pixel tile, which walks the tiles of channels (the head needs them all).
// Sums: one chain of K/16 (tf32 K/8) float32 additions per accumulator, in the order chunk, kx, k, ky. Tensor cores may cut
// where IEEE rounds, so a chain errs by at most 2^-23 of the running sum per link: 1152 links for 1024 channels x 3x3 in tf32,
// 1.4e-4 of the largest running sum, below the 1e-3 (f16 2e-3, bf16 1e-2) allowed. That is why there is no outer sum.
// Source: halo tiles with a shared-memory swizzle and mma.sync, as in CUTLASS's implicit GEMM; layouts by PTX ISA 9.0.
#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_conv_epilogue.h"
#include "kernels/cuda/mma_tiles.h"

namespace furrow::SIMT_NS::tc {
namespace {

// Rows and columns of source pixels that a block reads, and where column x of a row lies.
template <class B> struct Halo {
  int rows, columns, residue_columns, stride;
  SIMT_BOTH int bytes() const { return rows * residue_columns * stride * B::kRowBytes; }
  SIMT_DEVICE int row_stride() const { return residue_columns * stride * B::kRowBytes; }
  SIMT_DEVICE int place(int column) const { return stride == 1 ? column : column % stride * residue_columns + column / stride; }
};

template <class B> SIMT_BOTH Halo<B> make_halo(int kernel_h, int kernel_w, int stride) {
  if constexpr (B::kThree) kernel_h = kernel_w = 3, stride = 1;
  const int columns = (B::kColumns - 1) * stride + kernel_w;
  return {(gpu::kMmaRows - 1) * stride + kernel_h, columns, (columns + stride - 1) / stride, stride};
}

// Starts the copies of one chunk's halo tile: pixels outside the source and channels past its pitch become zeros.
template <class T, class B>
SIMT_DEVICE void load_halo(const ConvParams& p, const Halo<B>& halo, unsigned char* to, int chunk, int n, int top, int left) {
  constexpr int kVectors = B::kRowBytes / 16, kPerVector = 16 / static_cast<int>(sizeof(T));
  const bool second = chunk >= p.x[0].chunks;
  const T* const x = static_cast<const T*>(second ? p.x[1].data : p.x[0].data);
  const int pitch = second ? p.x[1].pitch : p.x[0].pitch;
  const int first = (second ? chunk - p.x[0].chunks : chunk) * (B::kRowBytes / static_cast<int>(sizeof(T)));
  for (int i = static_cast<int>(threadIdx.x); i < halo.rows * halo.columns * kVectors; i += B::kThreads) {
    const int v = i % kVectors, column = i / kVectors % halo.columns, row = i / kVectors / halo.columns;
    int y = top + row, x_at = left + column;
    bool inside = y >= 0 && x_at >= 0 && first + v * kPerVector < pitch;
    if constexpr (!B::kThree)
      if (p.spacing > 1) {
        inside = inside && y % p.spacing == 0 && x_at % p.spacing == 0;
        y /= p.spacing, x_at /= p.spacing;
      }
    inside = inside && y < p.h && x_at < p.w;
    const int64_t at = inside ? ((static_cast<int64_t>(n) * p.h + y) * p.w + x_at) * pitch + first + v * kPerVector : 0;
    const int place = halo.place(column);
    cp_async_16(to + row * halo.row_stride() + place * B::kRowBytes + swizzled_vector<B::kRowBytes>(place, v), x + at, inside);
  }
}

// One kernel column of one chunk: acc += W * X for its KH taps.
template <class T, class B>
SIMT_DEVICE void multiply(const ConvParams& p, const Halo<B>& halo, const unsigned char* xs, const unsigned char* ws, int kx,
                          float (&acc)[B::kMi][gpu::kMmaRows][4]) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5;
  // ldmatrix: lanes 0-15 name rows of a pixel row (or of 16 output channels) ...
  const int pixel = halo.place((warp / B::kWarpsM) * 8 * halo.stride + kx) + (lane & 7), lower = lane >> 4;
  const unsigned char* const w_row = ws + ((warp % B::kWarpsM) * B::kMi * 16 + (lane & 15)) * B::kRowBytes;
  SIMT_UNROLL
  for (int k = 0; k < B::kRowBytes / 32; ++k) {
    const unsigned char* const x_at = xs + pixel * B::kRowBytes + swizzled_vector<B::kRowBytes>(pixel, 2 * k + (lane >> 3 & 1));
    const unsigned char* const w_at = w_row + swizzled_vector<B::kRowBytes>(lane & 15, 2 * k + (lane >> 4));
    const auto tap = [&](int ky, const uint32_t (*b)[2]) {
      SIMT_UNROLL
      for (int i = 0; i < B::kMi; ++i) {
        uint32_t a[4];
        ldmatrix_x4(a, w_at + (ky * B::kOc + i * 16) * B::kRowBytes);
        SIMT_UNROLL
        for (int j = 0; j < gpu::kMmaRows; ++j) mma<T>(acc[i][j], a, b[j]);
      }
    };
    if constexpr (B::kThree) {   // the 10 rows of the halo once for all three taps of the column
      uint32_t b[gpu::kMmaRows + 2][2];
      SIMT_UNROLL
      for (int j = 0; j < gpu::kMmaRows + 2; j += 2) load_pixels<T>(b[j], b[j + 1], x_at + (j + lower) * halo.row_stride());
      SIMT_UNROLL
      for (int ky = 0; ky < 3; ++ky) tap(ky, b + ky);
    } else {
      for (int ky = 0; ky < p.kernel_h; ++ky) {
        uint32_t b[gpu::kMmaRows][2];
        SIMT_UNROLL
        for (int j = 0; j < gpu::kMmaRows; j += 2)
          load_pixels<T>(b[j], b[j + 1], x_at + ((j + lower) * halo.stride + ky) * halo.row_stride());
        tap(ky, b);
      }
    }
  }
}

template <class T, class B>
__global__ void __launch_bounds__(B::kThreads) mma_conv_kernel(const ConvParams p) {
  DYNAMIC_SHARED(unsigned char, memory);
  const int kernel_w = B::kThree ? 3 : p.kernel_w, kernel_h = B::kThree ? 3 : p.kernel_h;
  const Halo<B> halo = make_halo<B>(kernel_h, kernel_w, p.stride);
  const int halo_bytes = halo.bytes(), halos = kernel_w == 1 ? 3 : 2, step_bytes = kernel_h * B::kOc * B::kRowBytes;
  unsigned char* const weights = memory + halos * halo_bytes;

  int64_t block = blockIdx.x;
  const bool all_tiles = p.head.channels > 0;
  const int first_tile = all_tiles ? 0 : static_cast<int>(block % p.oc_tiles), last_tile = all_tiles ? p.oc_tiles : first_tile + 1;
  if (!all_tiles) block /= p.oc_tiles;
  PixelTile at;
  at.column = static_cast<int>(block % p.tiles_x) * B::kColumns;
  at.row = static_cast<int>(block / p.tiles_x % p.tiles_y) * gpu::kMmaRows;
  at.n = static_cast<int>(block / p.tiles_x / p.tiles_y);
  const int top = at.row * p.stride - p.pad_h, left = at.column * p.stride - p.pad_w;
  const int chunks = p.x[0].chunks + p.x[1].chunks, steps = chunks * kernel_w;

  for (int tile = first_tile; tile < last_tile; ++tile) {
    const unsigned char* const packed = static_cast<const unsigned char*>(p.weights) + static_cast<int64_t>(tile) * steps * step_bytes;
    const auto load = [&](int step) {
      if (step < steps) {
        if (step % kernel_w == 0) {
          const int chunk = step / kernel_w;
          load_halo<T>(p, halo, memory + chunk % halos * halo_bytes, chunk, at.n, top, left);
        }
        const unsigned char* const from = packed + static_cast<int64_t>(step) * step_bytes;
        unsigned char* const to = weights + step % 3 * step_bytes;
        for (int i = static_cast<int>(threadIdx.x) * 16; i < step_bytes; i += B::kThreads * 16) cp_async_16(to + i, from + i, true);
      }
      cp_async_commit();
    };
    float acc[B::kMi][gpu::kMmaRows][4];
    SIMT_UNROLL
    for (int i = 0; i < B::kMi; ++i)
      SIMT_UNROLL
      for (int j = 0; j < gpu::kMmaRows; ++j)
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e) acc[i][j][e] = 0;
    load(0);
    load(1);
    for (int step = 0; step < steps; ++step) {
      cp_async_wait<1>();   // of all groups but the newest: step has arrived
      __syncthreads();
      load(step + 2);
      multiply<T>(p, halo, memory + step / kernel_w % halos * halo_bytes, weights + step % 3 * step_bytes, step % kernel_w, acc);
    }
    __syncthreads();   // the buffers become staging rows
    finish<T, B>(p, at, tile, memory, acc);
    if (all_tiles) add_to_head<B>(p, tile, tile == 0, reinterpret_cast<float*>(memory + p.head_offset), acc);
    __syncthreads();   // and buffers again
  }
  if (all_tiles) store_head<B>(p, at, reinterpret_cast<const float*>(memory + p.head_offset));
}

template <class T, class B> void launch_block(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvLayout& l = c.layout;
  ConvParams p{};
  for (int i = 0; i < 2; ++i) p.x[i] = {c.x[i].data, c.x[i].pitch, l.chunks[i]};
  p.h = c.x[0].h, p.w = c.x[0].w, p.spacing = c.x_spacing;
  p.kernel_h = l.shape.kernel_h, p.kernel_w = l.shape.kernel_w, p.stride = l.shape.stride, p.pad_h = c.pad_h, p.pad_w = c.pad_w;
  p.weights = c.weights, p.bias = c.bias, p.relu = c.relu;
  p.oc = l.shape.oc, p.oc_tiles = l.oc_tiles(), p.out_h = c.out_h, p.out_w = c.out_w;
  p.tiles_x = (c.out_w + B::kColumns - 1) / B::kColumns, p.tiles_y = (c.out_h + gpu::kMmaRows - 1) / gpu::kMmaRows;
  p.residual = {const_cast<void*>(c.residual.data), c.residual.pitch};
  p.y = {c.y.data, c.y.pitch}, p.pooled = {c.pooled.data, c.pooled.pitch};
  p.head = c.head;
  const size_t shared = gpu::mma_conv_shared_bytes(l, c.head.channels), pipeline = gpu::mma_conv_shared_bytes(l, 0);
  p.head_offset = static_cast<int>(pipeline);
  require(pipeline >= Staging<T, B>::kBytes * (B::kThreads / 32), "mma_conv: staging rows need more memory than the pipeline's");
  require(shared <= gpu::kMmaSharedLimit, "mma_conv: the kernel is too large for shared memory");
  const int64_t blocks = static_cast<int64_t>(p.tiles_x) * p.tiles_y * c.x[0].n * (c.head.channels > 0 ? 1 : p.oc_tiles);
  require(blocks > 0 && blocks <= 0x7fffffff, "mma_conv: the result is empty or too large for one launch");
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(B::kThreads), shared, (mma_conv_kernel<T, B>), p);
}

template <class T> void launch_typed(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvLayout& l = c.layout;
  const bool three = l.shape.kernel_h == 3 && l.shape.kernel_w == 3 && l.shape.stride == 1 && c.x_spacing == 1;
  const auto rows = [&](auto wide, auto narrow) {
    if (l.row_bytes == 64) launch_block<T, decltype(wide)>(stream, c);
    else launch_block<T, decltype(narrow)>(stream, c);
  };
  if (l.block_oc == 32) {
    if (three) rows(ConvBlock<1, 4, 64, true>{}, ConvBlock<1, 4, 32, true>{});
    else rows(ConvBlock<1, 4, 64, false>{}, ConvBlock<1, 4, 32, false>{});
  } else {
    if (three) rows(ConvBlock<2, 2, 64, true>{}, ConvBlock<2, 2, 32, true>{});
    else rows(ConvBlock<2, 2, 64, false>{}, ConvBlock<2, 2, 32, false>{});
  }
}

void check_image(const gpu::ConstImage& i, const gpu::MmaConv& c, int h, int w, const char* problem) {
  require(!i || (i.type == c.layout.shape.type && i.n == c.x[0].n && i.h == h && i.w == w && i.c == c.layout.shape.oc && i.pitch >= i.c &&
                 i.pitch * c.layout.element() % 16 == 0), problem);
}

}  // namespace

void mma_conv(gpu::Stream stream, const gpu::MmaConv& c) {
  const gpu::MmaConvShape& s = c.layout.shape;
  for (int i = 0; i < 2; ++i) {
    const gpu::ConstImage& x = c.x[i];
    require(static_cast<bool>(x) == (s.pitch[i] > 0) && x.c == s.c[i] && x.pitch == s.pitch[i] && x.pitch >= x.c, "mma_conv: a source is not the layout's");
    require(!x || (x.type == s.type && x.pitch * c.layout.element() % 16 == 0), "mma_conv: a source's type or pitch");
    require(!x || (x.n == c.x[0].n && x.h == c.x[0].h && x.w == c.x[0].w), "mma_conv: the two sources differ in size");
  }
  require(c.x[0] && c.weights != nullptr && c.x_spacing >= 1, "mma_conv: no source or no weights");
  check_image(c.residual, c, c.out_h, c.out_w, "mma_conv: residual");
  check_image(c.y, c, c.out_h, c.out_w, "mma_conv: y");
  check_image(c.pooled, c, c.out_h / 2, c.out_w / 2, "mma_conv: pooled");
  require(c.head.channels >= 0 && c.head.channels <= gpu::kMmaMaxHead, "mma_conv: channels of the head");
  switch (s.type) {
    case DType::f16: return launch_typed<f16>(stream, c);
    case DType::bf16: return launch_typed<bf16>(stream, c);
    default: require(s.type == DType::f32, "mma_conv: type"); return launch_typed<float>(stream, c);
  }
}

}  // namespace furrow::SIMT_NS::tc
