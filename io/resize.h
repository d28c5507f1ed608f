// Resizing with the numbers of Pillow: the networks were trained on pictures that Pillow resized, and other libraries'
// filters of the same names differ by several gray levels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/image.h"

namespace furrow::io {

enum class Filter { nearest, bilinear, lanczos };

// The part of the source that becomes the whole result, in pixels: left, top, right, bottom. Corners may be fractions;
// they are rounded to float first, as Pillow does. Must lie within the picture and not be empty.
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Image.resize((width, height), filter) and the same with box=, byte for byte (tests/pictures/resize_test.cc), for 1
// and 3 channels. bilinear and lanczos are antialiased: with s = source / result, the filter is stretched by max(s, 1),
// its weights are normalised in double, rounded to 22 fractional bits, and rows are resized before columns with 8 bits
// in between. nearest takes the pixel under the centre. Source: libImaging/Resample.c and Geometry.c of Pillow 9.4.
// Preconditions (ErrorCode::internal): sizes >= 1, 1 or 3 channels, a box inside the picture.
Image resize(const Image& image, int64_t width, int64_t height, Filter filter);
Image resize(const Image& image, const Box& box, int64_t width, int64_t height, Filter filter);

// What resize() does along one axis, for devices that do it themselves: result i is
// clip((2^21 + sum over k < count[i] of weights[i*stride + k] * source[first[i] + k]) >> 22). `size`: of the source;
// [from, to): the box's edges. nearest has one weight of 2^22, or none where rounding leaves the picture.
struct AxisWeights {
  int stride = 1;
  std::vector<int32_t> first, count, weights;
};
AxisWeights axis_weights(int64_t size, double from, double to, int64_t result, Filter filter);

// A plane of float32 values (probabilities) at another size: bilinear, antialiased when it shrinks; the rule and the
// rounding of Pillow's BILINEAR on mode "F": weights and sums in double, float between rows and columns.
// `from`: width * height values, row-major; `to`: to_width * to_height. Values stay within the range of their sources
// (weights are positive and sum to 1) up to rounding of the last bit.
void resize_probability(std::span<const float> from, int64_t width, int64_t height, std::span<float> to,
                        int64_t to_width, int64_t to_height);

}  // namespace furrow::io
