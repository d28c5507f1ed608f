// Convolutions on tensor cores (mma.sync): arguments, packed weights, and the table of launch functions.
//
// Storage f16 and bf16 multiply exactly and add in float32; f32 is rounded to TensorFloat-32 on the way into the
// multiplier. Whatever the storage, memory is walked in rows of 16-byte vectors, so one text serves all three.
//
// Where a tap lies outside the picture its weight is multiplied by a zero: an infinite or NaN weight makes border
// results NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"
#include "kernels/planned.h"

namespace furrow::gpu {

// Most channels of a fused head: their sums are kept in shared memory.
constexpr int kMmaMaxHead = 32;
// Dynamic shared memory that the largest parts (sm_90, sm_100) grant a block; sm_80 grants 163 KB, sm_86, 89, 120 99
// KB.
constexpr size_t kMmaSharedLimit = 227 * 1024;

constexpr int kMmaRows = 8;  // output rows of a block

// What a convolution's packed weights depend on.
struct MmaConvShape {
  DType type = DType::f16;  // storage of sources, weights and results: f16, bf16, f32
  int oc = 0;
  int c[2] = {0, 0}, pitch[2] = {0, 0};  // of the sources; c[1] == pitch[1] == 0 where there is one
  int kernel_h = 3, kernel_w = 3, stride = 1;
};

// The order of packed weights: exact images of shared memory, one after another in the order the kernel consumes them.
//   [oc tile][chunk of source 0, then of source 1][kx][ky][oc in tile][row of row_bytes, its 16-byte vectors swizzled]
// A chunk is row_bytes of channels; channels beyond a source's c and rows beyond oc are zeros, but for the second copy of
// the weights of sources of at most kSplitChannels channels in 16 bits, from channel kSplitChannels on
// (kernels/cuda/image.h). f32 weights are rounded to TensorFloat-32 here, once.
struct MmaConvLayout {
  MmaConvShape shape = {};
  int block_oc = 64;       // output channels of a block: 32 or 64
  int block_columns = 16;  // output columns of a block; its rows are kMmaRows
  int row_bytes = 64;      // bytes of channels staged at once: 32 or 64
  int chunks[2] = {0, 0};

  constexpr int element() const { return shape.type == DType::f32 ? 4 : 2; }
  constexpr bool splits(int source) const { return element() == 2 && shape.c[source] <= kSplitChannels; }
  constexpr int row_channels() const { return row_bytes / element(); }
  constexpr int oc_tiles() const { return (shape.oc + block_oc - 1) / block_oc; }
  constexpr int all_chunks() const { return chunks[0] + chunks[1]; }
  // Tensor-core additions in one result's sum.
  constexpr int64_t links() const {
    return static_cast<int64_t>(all_chunks()) * shape.kernel_h * shape.kernel_w * (row_bytes / 32);
  }
  constexpr size_t step_bytes() const { return static_cast<size_t>(shape.kernel_h) * block_oc * row_bytes; }
  constexpr size_t bytes() const { return step_bytes() * shape.kernel_w * all_chunks() * oc_tiles(); }
  // Where vector v (16 bytes) of row r lies inside its row. 8 consecutive rows at one v meet all 32 banks.
  constexpr int swizzled(int row, int v) const {
    const int vectors = row_bytes / 16, rows_per_line = 8 / vectors;
    return v ^ (row / rows_per_line % vectors);
  }
};

// longest_row: 32 where rows of 64 bytes would want more shared memory than the device grants; slower.
constexpr MmaConvLayout mma_conv_layout(const MmaConvShape& s, int longest_row = 64) {
  MmaConvLayout l{.shape = s};
  const int widest = (s.pitch[0] > s.pitch[1] ? s.pitch[0] : s.pitch[1]) * l.element();
  l.row_bytes = widest <= 32 ? 32 : longest_row;
  if (s.oc <= 32 && s.stride == 1) l.block_oc = 32, l.block_columns = 32;
  for (int i = 0; i < 2; ++i) l.chunks[i] = (s.pitch[i] * l.element() + l.row_bytes - 1) / l.row_bytes;
  return l;
}

// Shared memory in which one of a block's 4 warps turns its results into rows: 64 pixels and 16 pooled ones of 32
// channels.
constexpr size_t mma_staging_bytes(size_t element) { return (64 + 16) * (32 * element + 16); }

// Dynamic shared memory of a launch without a head, bytes: halo tiles and weights under way, later the rows of results.
constexpr size_t mma_conv_tile_bytes(const MmaConvLayout& l) {
  const int stride = l.shape.stride, columns = (l.block_columns - 1) * stride + l.shape.kernel_w;
  const size_t rows = static_cast<size_t>((kMmaRows - 1) * stride + l.shape.kernel_h);
  const size_t halo = rows * static_cast<size_t>((columns + stride - 1) / stride * stride * l.row_bytes);
  const size_t pipeline = halo * (l.shape.kernel_w == 1 ? 3 : 2) + 3 * l.step_bytes(),
               staging = 4 * mma_staging_bytes(static_cast<size_t>(l.element()));
  return pipeline > staging ? pipeline : staging;
}
// The longest sum that is one chain of tensor-core additions: 1024 channels x 3x3 of 16 bits. Longer ones (in f32 from
// half as many) are summed in runs of about as much, which a block adds in shared memory: a float per result.
constexpr int kMmaChain = 576;
constexpr size_t mma_conv_run_sums_bytes(const MmaConvLayout& l) {
  return l.links() > kMmaChain ? sizeof(float) * static_cast<size_t>(l.block_oc * kMmaRows * l.block_columns) : 0;
}
// The same with what else a launch wants: the sums of runs, and with a head a float per pixel, channel of the head and
// 32 output channels of a block. A device that grants less cannot run the shape.
constexpr size_t mma_conv_shared_bytes(const MmaConvLayout& l, int head_channels) {
  return mma_conv_tile_bytes(l) + mma_conv_run_sums_bytes(l) +
         sizeof(float) * static_cast<size_t>(head_channels * (l.block_oc / 32) * kMmaRows * l.block_columns);
}
// The layout with the longest rows that a device granting `granted` bytes can run; of 32-byte rows where it can run
// none.
constexpr MmaConvLayout mma_conv_layout_within(const MmaConvShape& s, int head_channels, size_t granted) {
  const MmaConvLayout l = mma_conv_layout(s, 64);
  return mma_conv_shared_bytes(l, head_channels) <= granted ? l : mma_conv_layout(s, 32);
}

// float64 weights {OC,KH,KW,C0+C1} (StepWeights::w) into layout.bytes() bytes of host memory.
void pack_mma_conv(const MmaConvLayout& layout, const Tensor& w, void* packed);

// 2x2 stride-2 transposed convolution: four 1x1 convolutions, one per phase (i, j) of the result, packed one after
// another.
struct MmaUpconvLayout {
  MmaConvLayout phase;
  constexpr size_t bytes() const { return 4 * phase.bytes(); }
};
constexpr MmaUpconvLayout mma_upconv_layout(DType type, int oc, int ic, int pitch) {
  return {mma_conv_layout(
      {.type = type, .oc = oc, .c = {ic, 0}, .pitch = {pitch, 0}, .kernel_h = 1, .kernel_w = 1, .stride = 1})};
}
// float64 weights {OC,2,2,IC} into layout.bytes() bytes of host memory.
void pack_mma_upconv(const MmaUpconvLayout& layout, const Tensor& w, void* packed);

// A 1x1 convolution of the result, w f32 {HEAD,1,1,OC}, b f32 {HEAD}: l = b + sum over oc of w * y, in float32, in a
// fixed order, from y before it is rounded. Any of the outputs may be null; all are dense {N,OH,OW,HEAD}.
struct MmaHead {
  int channels = 0;  // 0: no head
  const float *w = nullptr, *b = nullptr;
  float* logits = nullptr;
  float* probability = nullptr;  // 1/(1+exp(-l))
  uint8_t* mask = nullptr;       // probability > threshold ? 255 : 0
  float threshold = 0.5f;
};

// y = act(W * [x0, x1] + b + residual), y[.,oh,ow,.] for oh < out_h, ow < out_w, x zero outside. Then as asked y
// itself, its 2x2/2 maximum, the head. Every image has the layout's type, a pitch that is a multiple of 16 bytes, and
// zero pad channels.
struct MmaConv {
  MmaConvLayout layout;
  const void* weights = nullptr;  // packed
  const float* bias = nullptr;    // {OC}, may be null
  ConstImage x[2];
  // x is read as if x_spacing-1 rows and columns of zeros lay between its own: for the gradient of strided
  // convolutions.
  int x_spacing = 1;
  int pad_h = 1, pad_w = 1;
  bool relu = false;
  int out_h = 0, out_w = 0;
  ConstImage residual;  // may be y itself
  Image y, pooled;      // either may be null
  MmaHead head;
};

// Which convolution f32 weights {OC,KH,KW,IC} on the device are packed for.
enum class MmaWeights : uint8_t {
  forward,     // themselves
  flipped,     // the gradient of its input: taps reversed, OC and IC exchanged
  transposed,  // OC and IC exchanged: the gradient of a transposed convolution's input
};
struct MmaConvPack {
  MmaConvLayout layout;  // exchanged: shape.oc = input channels of the source, shape.c[0] = OC, one source
  const float* w = nullptr;
  int oc = 0, ic = 0;  // of w
  MmaWeights order = MmaWeights::forward;
  int first_ic = 0;  // exchanged: where the source's channels begin
  void* packed = nullptr;
};

// y[n,2h+i+top,2w+j+left,oc] = b[oc] + sum over ic of w[oc,i,j,ic] * x[n,h,w,ic] where that lies in y; the rest of y is
// 0.
struct MmaUpconv {
  MmaUpconvLayout layout;
  const void* weights = nullptr;  // packed
  const float* bias = nullptr;    // {OC}, may be null
  ConstImage x;
  Image y;
  int top = 0, left = 0;
};
// Device weights, f32 dense {OC,2,2,IC}, into a layout.
struct MmaUpconvPack {
  MmaUpconvLayout layout;
  const float* w = nullptr;
  void* packed = nullptr;
};

struct MmaConvKernels {
  void (*conv)(Stream, const MmaConv&);
  void (*pack)(Stream, const MmaConvPack&);
  void (*upconv)(Stream, const MmaUpconv&);
  void (*pack_upconv)(Stream, const MmaUpconvPack&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::MmaConvKernels mma_conv_kernels;
}
namespace furrow::cuda {
extern const gpu::MmaConvKernels mma_conv_kernels;
}
