// The picture at every size the face finder looks at, a band of rows at a time, as integral images.
#pragma once

#include <cstdint>
#include <vector>

#include "segment/gray.h"

namespace furrow {

// The picture shrunk by `scale`; the cascade's window slides over it in steps of `step` pixels both ways.
struct PyramidLevel {
  float scale = 1;
  int width = 0, height = 0;  // of the shrunk picture
  int step = 1;               // 2 below scale 2, else 1
  int side = 0;               // of the window in pixels of the unshrunk picture
  int columns = 0;            // windows per row: at x = 0, step, ... (columns - 1) * step
  int end_y = 0;              // windows start at rows y = 0, step, ... < end_y
};

// The levels that OpenCV's detectMultiScale (4.6) visits for windows of `window` pixels: scales factor^k in single
// precision, from the first whose window is at least `min_side` to the last that fits into the picture; sizes rounded
// half to even. None for a picture smaller than that.
// The one difference: where no level has windows of `min_side`, OpenCV falls back to a smaller one; here there is none.
std::vector<PyramidLevel> pyramid_levels(int width, int height, int window, double factor, int min_side);

// How one axis of a picture is shrunk: pixel i mixes source pixels first[i] and first[i] + 1 as (256 - w) : w.
struct LinearAxis {
  std::vector<int> first;
  std::vector<uint16_t> weight;
};

// Bilinear without antialiasing, pixel centres aligned, weights rounded to 1/256 (OpenCV's INTER_LINEAR_EXACT on 8-bit
// pictures). 1 < source, 1 <= target.
LinearAxis linear_axis(int source, int target);

// Sums over rows [top, top + rows) of one level, from the band's top and the picture's left: entry (y, c), 0 <= y <=
// rows, 0 <= c <= width, is the sum of all (squared) pixels above row top + y and left of column c, modulo 2^32.
// Window sums are differences of entries, so neither the band's origin nor the wrapping shows in them.
// Column c lies at `column(c)`: in order for step 1; for step 2 even columns come first, then odd ones, so that
// neighbouring windows are neighbours in memory.
struct IntegralBand {
  int stride = 0;  // entries per row, even
  int step = 1;
  std::vector<uint32_t> sum, square;

  int column(int c) const { return step == 1 ? c : (c & 1) * (stride / 2) + (c >> 1); }
  const uint32_t* sum_row(int y) const { return sum.data() + static_cast<int64_t>(y) * stride; }
  const uint32_t* square_row(int y) const { return square.data() + static_cast<int64_t>(y) * stride; }
};

// Scratch of one worker, kept between bands.
struct BandScratch {
  std::vector<uint16_t> mixed;  // a row of the picture, mixed vertically, 8 fractional bits
  std::vector<uint8_t> shrunk;  // a row of the level
};

// Shrinks and integrates rows [top, top + rows) of `level` into `band`, whose stride and step are set.
void integrate_band(const GrayPicture& picture, const PyramidLevel& level, const LinearAxis& x_axis,
                    const LinearAxis& y_axis, int top, int rows, BandScratch& scratch, IntegralBand& band);

}  // namespace furrow
