// The main loop of the tensor-core convolutions: K walked in steps through triple-buffered shared memory.
//
// D[oc, pixel] = W[oc, K] * X[pixel, K]: weights are operand A, segments of 8 pixels of one row operand B, so a thread
// holds whole 2x2 pooling windows of its channels, and its bias is one value per accumulator row.
//
// A block computes 8 rows x TW columns of pixels for BM output channels; each warp 32 channels x 8 x 8 pixels. A step
// is one kernel column of one chunk of channels: the halo tile of a chunk serves all its taps (double-buffered; 1-wide
// kernels, where every step is a chunk, keep three), the weights of a step (KH x BM rows, packed as they lie in shared
// memory) are triple-buffered. One barrier per step: it closes step s-1, whose buffers then take step s+2, and opens
// step s. Halo columns are stored by residue modulo the stride, so that 8 neighbouring outputs read 8 neighbouring rows
// of shared memory at any stride and ldmatrix never meets a bank twice.
//
// Sums: chains of K/16 (tf32 K/8) links per accumulator, in the order chunk, kx, k, ky. A link adds 16 (8) products to
// the running sum, and tensor cores may cut each of these 17 (9) terms at 2^-23 of the largest. A chain has at most
// gpu::kMmaChain = 576 links, 1024 channels x 3x3 in 16 bits; what is longer is summed in runs of at most that (and one
// step), and the runs in float32 in shared memory: a second set of 64 accumulators does not fit a thread's registers
// where three blocks share a processor, and only the longest layers pay for it. So a sum errs, whatever its length, by
//   provable     576 * 17 * 2^-23 = 1.2e-3 (tf32, 9 terms: 6.2e-4) of the largest running sum, were every cut a whole unit
//                and of one sign, plus 2^-24 per run
//   all positive 2.0e-4, for cuts then lose half a unit, and mostly one per link
//   random signs 7.2e-6
// the last two as the largest of 100 sums of uniform products, cut so in a model of the instruction
// (emu::Options::cut_mma); not measured on a device. Allowed are 2e-3 in f16, of which rounding the result takes 4.9e-4,
// 1e-3 in tf32, whose operands' rounding is apart from this, and 1e-2 in bf16. Source: halo tiles with a shared-memory
// swizzle and mma.sync, as in CUTLASS's implicit GEMM; layouts by PTX ISA 9.0.
#pragma once

#include "kernels/cuda/mma_conv_epilogue.h"

namespace furrow::SIMT_NS::tc {

// Rows and columns of source pixels that a block reads, and where column x of a row lies.
template <class B>
struct Halo {
  int rows, columns, residue_columns, stride;
  SIMT_BOTH int bytes() const { return rows * residue_columns * stride * B::kRowBytes; }
  SIMT_DEVICE int row_stride() const { return residue_columns * stride * B::kRowBytes; }
  SIMT_DEVICE int place(int column) const {
    return stride == 1 ? column : column % stride * residue_columns + column / stride;
  }
};

template <class B>
SIMT_BOTH Halo<B> make_halo(int kernel_h, int kernel_w, int stride) {
  if constexpr (B::kThree) kernel_h = kernel_w = 3, stride = 1;
  const int columns = (B::kColumns - 1) * stride + kernel_w;
  return {(gpu::kMmaRows - 1) * stride + kernel_h, columns, (columns + stride - 1) / stride, stride};
}

// Starts the copies of one chunk's halo tile: pixels outside the source and channels past its pitch become zeros.
template <class T, class B>
SIMT_DEVICE void load_halo(const ConvParams& p, const Halo<B>& halo, unsigned char* to, int chunk, int n, int top,
                           int left) {
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
    cp_async_16(to + row * halo.row_stride() + place * B::kRowBytes + swizzled_vector<B::kRowBytes>(place, v), x + at,
                inside);
  }
}

// One kernel column of one chunk: acc += W * X for its KH taps.
template <class T, class B>
SIMT_DEVICE void multiply(const ConvParams& p, const Halo<B>& halo, const unsigned char* xs, const unsigned char* ws,
                          int kx, float (&acc)[B::kMi][gpu::kMmaRows][4]) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5;
  // ldmatrix: of pixels lanes 0-15 name the halo row j, both 16-byte halves of K, lanes 16-31 row j + 1; of weights lanes
  // 0-15 name 16 output channels, lanes 16-31 the same in the second half of K.
  const int pixel = halo.place((warp / B::kWarpsM) * 8 * halo.stride + kx) + (lane & 7), lower = lane >> 4;
  const unsigned char* const w_row = ws + ((warp % B::kWarpsM) * B::kMi * 16 + (lane & 15)) * B::kRowBytes;
  SIMT_UNROLL
  for (int k = 0; k < B::kRowBytes / 32; ++k) {
    const unsigned char* const x_at =
        xs + pixel * B::kRowBytes + swizzled_vector<B::kRowBytes>(pixel, 2 * k + (lane >> 3 & 1));
    const unsigned char* const w_at = w_row + swizzled_vector<B::kRowBytes>(lane & 15, 2 * k + (lane >> 4));
    const auto tap = [&](int ky, const uint32_t(*b)[2]) {
      SIMT_UNROLL
      for (int i = 0; i < B::kMi; ++i) {
        uint32_t a[4];
        ldmatrix_x4(a, w_at + (ky * B::kOc + i * 16) * B::kRowBytes);
        SIMT_UNROLL
        for (int j = 0; j < gpu::kMmaRows; ++j) mma<T>(acc[i][j], a, b[j]);
      }
    };
    if constexpr (B::kThree) {  // the 10 rows of the halo once for all three taps of the column
      uint32_t b[gpu::kMmaRows + 2][2];
      SIMT_UNROLL
      for (int j = 0; j < gpu::kMmaRows + 2; j += 2)
        load_pixels<T>(b[j], b[j + 1], x_at + (j + lower) * halo.row_stride());
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

// This thread's sums of runs: += acc, or = acc with `first`; acc = 0.
template <class B>
SIMT_DEVICE void end_run(float* sums, bool first, float (&acc)[B::kMi][gpu::kMmaRows][4]) {
  float* to = sums + threadIdx.x;
  SIMT_UNROLL
  for (int i = 0; i < B::kMi; ++i)
    SIMT_UNROLL
    for (int j = 0; j < gpu::kMmaRows; ++j)
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) {
        float& sum = to[((i * gpu::kMmaRows + j) * 4 + e) * B::kThreads];
        sum = first ? acc[i][j][e] : sum + acc[i][j][e];
        acc[i][j][e] = 0;
      }
}

// acc = the sums of one tile of pixels and output channels: `packed` are the tile's weights. On return all of `memory`
// is free.
template <class T, class B>
SIMT_DEVICE void accumulate(const ConvParams& p, const PixelTile& at, const unsigned char* packed,
                            unsigned char* memory, float (&acc)[B::kMi][gpu::kMmaRows][4]) {
  const int kernel_w = B::kThree ? 3 : p.kernel_w, kernel_h = B::kThree ? 3 : p.kernel_h;
  const Halo<B> halo = make_halo<B>(kernel_h, kernel_w, p.stride);
  const int halo_bytes = halo.bytes(), halos = kernel_w == 1 ? 3 : 2, step_bytes = kernel_h * B::kOc * B::kRowBytes;
  const int top = at.row * p.stride - p.pad_h, left = at.column * p.stride - p.pad_w;
  const int steps = (p.x[0].chunks + p.x[1].chunks) * kernel_w;
  unsigned char* const weights = memory + halos * halo_bytes;
  const auto load = [&](int step) {
    if (step < steps) {
      if (step % kernel_w == 0) {
        const int chunk = step / kernel_w;
        load_halo<T>(p, halo, memory + chunk % halos * halo_bytes, chunk, at.n, top, left);
      }
      const unsigned char* const from = packed + static_cast<int64_t>(step) * step_bytes;
      unsigned char* const to = weights + step % 3 * step_bytes;
      for (int i = static_cast<int>(threadIdx.x) * 16; i < step_bytes; i += B::kThreads * 16)
        cp_async_16(to + i, from + i, true);
    }
    cp_async_commit();
  };
  SIMT_UNROLL
  for (int i = 0; i < B::kMi; ++i)
    SIMT_UNROLL
    for (int j = 0; j < gpu::kMmaRows; ++j)
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) acc[i][j][e] = 0;
  float* const run_sums = reinterpret_cast<float*>(memory + p.run_offset);
  int in_run = 0, runs = 0;
  load(0);
  load(1);
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<1>();  // of all groups but the newest: step has arrived
    __syncthreads();
    load(step + 2);
    multiply<T>(p, halo, memory + step / kernel_w % halos * halo_bytes, weights + step % 3 * step_bytes,
                step % kernel_w, acc);
    if (++in_run == p.run_steps) end_run<B>(run_sums, runs++ == 0, acc), in_run = 0;
  }
  if (runs > 0) {
    SIMT_UNROLL
    for (int i = 0; i < B::kMi; ++i)
      SIMT_UNROLL
      for (int j = 0; j < gpu::kMmaRows; ++j)
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e)
          acc[i][j][e] += run_sums[((i * gpu::kMmaRows + j) * 4 + e) * B::kThreads + static_cast<int>(threadIdx.x)];
  }
  __syncthreads();
}

}  // namespace furrow::SIMT_NS::tc
