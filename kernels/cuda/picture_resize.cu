// Pillow's resize of 8-bit pictures: a horizontal and a vertical pass of 22-bit fixed-point weights, in whole numbers,
// so that every device gives the bytes of io::resize. Source: libImaging/Resample.c and Convert.c of Pillow 9.4.
#include "kernels/cuda/picture_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kFraction = 22, kHalf = 1 << (kFraction - 1);

SIMT_DEVICE unsigned clip(int sum) { return static_cast<unsigned>(min(max(sum >> kFraction, 0), 255)); }

// v * alpha / 255 to the nearest, without dividing.
SIMT_DEVICE int premultiplied(int v, int alpha) {
  const int t = v * alpha + 128;
  return ((t >> 8) + t) >> 8;
}

// between[y, x, c] = clip(1/2 + sum over k of weights[x, k] * from[first_row + y, first[x] + k, c]).
// One thread per pixel (x, y), C sums in registers. Bytes: count[x] * C read (neighbours overlap in L1), C written.
// Grid: {to_width / 32, rows / 8 (looped), 1}, block {32, 8}, no shared memory. Sums run over k upwards; int32 never
// overflows: weights of Pillow's filters sum to 1 in magnitude below 2, times 255 is below 2^31.
template <int C, bool premultiply>
__global__ void __launch_bounds__(256) resize_columns(const uint8_t* __restrict__ from, int width, gpu::ResizeAxis axis, int first_row,
                                                      int rows, int to_width, uint8_t* __restrict__ between) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (x >= to_width) return;
  const int first = axis.first[x], count = axis.count[x];
  const int32_t* weights = axis.weights + static_cast<int64_t>(x) * axis.stride;
  for (int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); y < rows; y += static_cast<int>(gridDim.y * blockDim.y)) {
    const uint8_t* pixel = from + (static_cast<int64_t>(first_row + y) * width + first) * C;
    int sum[C];
    SIMT_UNROLL
    for (int c = 0; c < C; ++c) sum[c] = kHalf;
    for (int k = 0; k < count; ++k, pixel += C) {
      const int weight = weights[k];
      SIMT_UNROLL
      for (int c = 0; c < C; ++c) {
        const int v = premultiply && c < 3 ? premultiplied(pixel[c], pixel[C - 1]) : pixel[c];
        sum[c] += v * weight;
      }
    }
    uint8_t* out = between + (static_cast<int64_t>(y) * to_width + x) * C;
    SIMT_UNROLL
    for (int c = 0; c < C; ++c) out[c] = static_cast<uint8_t>(clip(sum[c]));
  }
}

// Undoes premultiplying for the pixel in the four bytes of `rgba`: 255 * v / alpha, rounded down, at most 255.
SIMT_DEVICE void divide_by_alpha(unsigned (&rgba)[4]) {
  const unsigned alpha = rgba[3];
  if (alpha == 0 || alpha == 255) return;
  SIMT_UNROLL
  for (int c = 0; c < 3; ++c) rgba[c] = min(255 * rgba[c] / alpha, 255u);
}

// to[y, i] = clip(1/2 + sum over k of weights[y, k] * between[first[y] - first_row + k, i]), i a byte of the row.
// One thread per four bytes, as one 32-bit word where rows are whole words (`words`; 4 channels always are: the four
// bytes are then one pixel). Bytes: count[y] * 4 read, 4 written, coalesced; the weight is the same for a warp.
// Grid: {bytes / 128, to_height / 8 (looped), 1}, block {32, 8}, no shared memory. Sums run over k upwards.
template <bool words, bool premultiply>
__global__ void __launch_bounds__(256) resize_rows(const uint8_t* __restrict__ between, int row_bytes, gpu::ResizeAxis axis, int first_row,
                                                   int to_height, uint8_t* __restrict__ to) {
  const int i = 4 * static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= row_bytes) return;
  const int here = min(4, row_bytes - i);
  for (int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); y < to_height; y += static_cast<int>(gridDim.y * blockDim.y)) {
    const int count = axis.count[y];
    const int32_t* weights = axis.weights + static_cast<int64_t>(y) * axis.stride;
    const uint8_t* row = between + static_cast<int64_t>(axis.first[y] - first_row) * row_bytes + i;
    int sum[4] = {kHalf, kHalf, kHalf, kHalf};
    for (int k = 0; k < count; ++k, row += row_bytes) {
      const int weight = weights[k];
      if (words) {
        const uint32_t four = *reinterpret_cast<const uint32_t*>(row);
        SIMT_UNROLL
        for (int b = 0; b < 4; ++b) sum[b] += static_cast<int>(four >> (8 * b) & 255u) * weight;
      } else {
        SIMT_UNROLL
        for (int b = 0; b < 4; ++b) sum[b] += b < here ? row[b] * weight : 0;
      }
    }
    unsigned bytes[4];
    SIMT_UNROLL
    for (int b = 0; b < 4; ++b) bytes[b] = clip(sum[b]);
    if (premultiply) divide_by_alpha(bytes);
    uint8_t* out = to + static_cast<int64_t>(y) * row_bytes + i;
    if (words) {
      *reinterpret_cast<uint32_t*>(out) = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24;
    } else {
      SIMT_UNROLL
      for (int b = 0; b < 4; ++b)
        if (b < here) out[b] = static_cast<uint8_t>(bytes[b]);
    }
  }
}

template <int C, bool premultiply> void launch(gpu::Stream stream, const gpu::PictureResizeArgs& a) {
  const dim3 block(32, 8);
  LAUNCH(stream, dim3(picture_blocks(a.to_width, 32), picture_row_blocks(a.row_count, 8)), block, 0, (resize_columns<C, premultiply>), a.from, a.width,
         a.columns, a.first_row, a.row_count, a.to_width, a.workspace);
  const int row_bytes = a.to_width * C;
  const bool words = row_bytes % 4 == 0 && (reinterpret_cast<uintptr_t>(a.workspace) | reinterpret_cast<uintptr_t>(a.to)) % 4 == 0;
  require(words || !premultiply, "resize: RGBA pictures begin on 4 bytes");
  LAUNCH(stream, dim3(picture_blocks(row_bytes, 128), picture_row_blocks(a.to_height, 8)), block, 0,
         (words ? resize_rows<true, premultiply> : resize_rows<false, false>), a.workspace, row_bytes, a.rows, a.first_row, a.to_height, a.to);
}

}  // namespace

void picture_resize(gpu::Stream stream, const gpu::PictureResizeArgs& a) {
  require(a.width > 0 && a.height > 0 && a.to_width > 0 && a.to_height > 0, "resize: empty picture");
  require(a.first_row >= 0 && a.row_count > 0 && a.first_row + a.row_count <= a.height, "resize: rows outside the picture");
  require(!a.premultiply || a.channels == 4, "resize: only RGBA is premultiplied");
  switch (a.channels) {
    case 1: return launch<1, false>(stream, a);
    case 3: return launch<3, false>(stream, a);
    case 4: return a.premultiply ? launch<4, true>(stream, a) : launch<4, false>(stream, a);
    default: require(false, "resize: 1, 3 or 4 channels");
  }
}

}  // namespace furrow::SIMT_NS
