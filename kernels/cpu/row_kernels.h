// What the instruction-set files offer: the inner loops of the back-end, each over one row of one block of 16 channels.
//
// One text (conv_rows.h, other_rows.h, short_rows.h) compiled once per instruction set (conv_portable.cc, conv_avx2.cc,
// conv_avx512.cc); the schedules (conv.cc, upconv.cc, resample.cc) see only this table. Nothing here allocates,
// locks or throws. Strides count floats; x and y rows are as layout.h describes them.
#pragma once

#include <cstdint>

namespace furrow::cpu {

// One source of a convolution: `x` is pixel 0 of the row that kernel row `kh_begin` reads, in the first channel block.
struct ConvSource {
  const float* x = nullptr;
  int64_t row_stride = 0, block_stride = 0, lanes = 16, channels = 0;  // channels 0: no such source
};

constexpr int64_t kShortBlocks = 4;  // blocks of y that a call of conv_short or conv3_short computes at most

// y[o][lane] = act(bias[lane] + sum of w * x[kh][first_column + o*stride + kw][ic]) for o < width, summed over source,
// block, kh, kw, ic in this order by conv and over source, block, kh, ic, kw by the others, always by the same parts:
// the bits of a value depend on nothing but the inputs.
// w: [source][block][kh][ic][kw][16], `ic` running over the channels that exist.
struct ConvRow {
  ConvSource source[2];
  const float* w = nullptr;
  const float* bias = nullptr;
  int64_t kernel_h = 3, kernel_w = 3, stride = 1;
  int64_t kh_begin = 0, kh_end = 3;  // kernel rows inside the image
  int64_t kw_begin = 0, kw_end = 3;  // kernel columns inside the image (conv3 takes all three)
  int64_t first_column = 0;          // may be -1, the zero pixel
  int64_t part = 128;                // of a sum: part_of() in steps.h
  int64_t width = 0;
  bool relu = false;
  int64_t lanes = 16;  // of the 16 per pixel of y, those that are channels; the rest may stay unwritten
  float* y = nullptr;
  // conv_short and conv3_short alone, whose `lanes` may be those of up to kShortBlocks blocks:
  int64_t w_block = 0, y_block = 0;  // floats from one block's weights and row of y to the next
  int64_t y_pixel = 16;              // floats from one pixel of y to the next
  bool add_y = false;                // what y holds is a term of its sum
};

// One output row i of a 2x2 stride-2 transposed convolution: y[2*w + j][lane] = bias[lane] + sum over ic of w *
// x[w][ic]. weights: [ic][j][16] of that i and output block.
struct UpconvRow {
  ConvSource source;
  const float* w = nullptr;
  const float* bias = nullptr;
  int64_t part = 128;  // of a sum: part_of() in steps.h
  int64_t width = 0;   // of x
  int64_t lanes = 16;
  float* y = nullptr;
};

// One row of weighted means of pixels, or of what such means send back: y[o][c] = [y[o][c] +] sum over `rows` and over
// columns[first[o]] .. columns[first[o + 1]] of row.weight * column.weight * row.x[column.at][c], for o < width and c <
// channels. In double, rounded once (kernels/short_sums.h), with the same bits on every instruction set.
struct MixColumn {
  int64_t at;
  double weight;
};
struct MixSource {
  const float* x;  // pixel 0 of the row
  double weight;
};
struct MixRow {
  const MixSource* rows = nullptr;
  int64_t row_count = 0;
  const MixColumn* columns = nullptr;
  const int64_t* first = nullptr;  // width + 1 numbers
  int64_t width = 0, channels = 0;
  int64_t pixel = 0;   // floats from one pixel to the next, of x and of y
  bool add_y = false;  // what y holds is a term of its sum
  float* y = nullptr;
};

struct RowKernels {
  const char* isa;                // "avx512"
  int lanes;                      // floats per register
  int conv_tile;                  // pixels per register tile of conv3 and conv
  int short_tile, short3_tile;    // of conv_short, of conv3_short
  void (*conv3)(const ConvRow&);  // kernel_w 3, stride 1
  void (*conv)(const ConvRow&);   // any kernel width and stride
  void (*upconv)(const UpconvRow&);
  // Any kernel width and stride, by one chain in double that starts at bias (and y) and is rounded once: short sums
  // (kernels/short_sums.h). Its sources may have any number of lanes.
  void (*conv_short)(const ConvRow&);
  void (*conv3_short)(const ConvRow&);  // the same bits for kernel_w 3, all of it, stride 1 and sources of 4 lanes
  // y[o] = max(upper[2o], upper[2o+1], lower[2o], lower[2o+1]), NaN wins; pixels of `lanes` floats (4 or 16).
  void (*pool)(const float* upper, const float* lower, int64_t width, int64_t lanes, float* y);
  void (*mix)(const MixRow&);
};

extern const RowKernels kPortableRows;
#if defined(__x86_64__)
extern const RowKernels kAvx2Rows;    // needs AVX2 and FMA
extern const RowKernels kAvx512Rows;  // needs AVX-512F
#endif

}  // namespace furrow::cpu
