// The inner loops of convolutions in 8 bits: u8 activations times s8 weights, summed exactly in 32 bits.
//
// One text (byte_rows.h) compiled for AVX-512 with VNNI, AVX2 and any CPU. Sums of integers have one value in any
// order, and what follows them rounds operation by operation, so all three give the same bits. Activations lie in the
// layout of layout.h with a byte in place of a float; strides of sources count bytes. Nothing here allocates, locks or
// throws.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::cpu {

constexpr int64_t kByteGroup = 4;  // channels that one 32-bit lane holds

// As ConvSource (row_kernels.h), of pixels of 16 bytes.
struct ByteSource {
  const uint8_t* x = nullptr;
  int64_t row_stride = 0, block_stride = 0, channels = 0;  // channels 0: no such source
};

// Results as bytes, 16 a pixel: quantise(), below, of what they are in float32.
struct ByteResult {
  uint8_t* y = nullptr;
  float inverse = 1, zero = 0;
};

// y[o][lane] = act(scale[lane] * (start[lane] + sum of w * x[kh][first_column + o*stride + kw][ic]) + bias[lane]) for o
// < width: the sum in 32 bits, made float32, multiplied and added to, each rounded.
// w: [source][block][kh][group of 4 channels][kw] of what pack_byte_weights() makes of 16 x 4 weights; those of
// channels that do not exist are 0, so that what lies in a spare lane of x does not matter.
struct ByteRow {
  ByteSource source[2];
  const std::byte* w = nullptr;
  const int32_t* start = nullptr;
  const float *scale = nullptr, *bias = nullptr;
  int64_t kernel_h = 3, kernel_w = 3, stride = 1;
  int64_t kh_begin = 0, kh_end = 3;  // kernel rows inside the image
  int64_t first_column = 0;          // may be -1, the padding pixel, which holds the zero point
  int64_t width = 0;
  bool relu = false;
  float* y = nullptr;  // 16 a pixel; null: `bytes` it is
  ByteResult bytes;
};

struct ByteKernels {
  const char* isa;                                                 // "avx512vnni"
  int tile;                                                        // pixels per register tile
  int lanes;                                                       // channels of one
  int weight_bytes;                                                // of one weight as it is packed
  void (*pack)(const int8_t (&w)[16][kByteGroup], std::byte* to);  // 16 channels of y x 4 of x: 64 * weight_bytes
  void (*conv3)(const ByteRow&);                                   // kernel_w 3, stride 1
  void (*conv)(const ByteRow&);                                    // any kernel width, stride 1 or 2
  // Both columns that a transposed 2x2 convolution makes of each pixel, of kernel_h 4 and kernel_w 1: y[2*o + j] by
  // kernel row kh_begin + j and start[16*j + lane], for o < width.
  void (*up)(const ByteRow&);
  // to[p] = the maximum of pixels 2p and 2p + 1 of two rows of 16 bytes a pixel, for p < width.
  void (*pool)(const uint8_t* upper, const uint8_t* lower, int64_t width, uint8_t* to);
  // y[i] = min(max(x[i] * inverse + zero, 0), 255), rounded to the nearest integer, ties to even; NaN becomes 0.
  void (*quantise)(const float* x, int64_t count, float inverse, float zero, uint8_t* y);
};

extern const ByteKernels kPortableBytes;
#if defined(__x86_64__)
extern const ByteKernels kAvx2Bytes;        // needs AVX2
extern const ByteKernels kAvx512VnniBytes;  // needs AVX-512F and AVX-512 VNNI
#endif

}  // namespace furrow::cpu
