// Resizing with the numbers of OpenCV, which resizes differently from Pillow (io/resize.h) under the same names: its
// filters are not stretched when a picture shrinks, and its nearest pixel is another one. Old training pipelines used
// it.
#pragma once

#include <cstdint>

#include "io/image.h"

namespace furrow::io {

enum class OpencvFilter { nearest, linear, lanczos4 };

// cv2.resize(image, (width, height), interpolation=...) byte for byte (tests/datasets/resize_opencv_test.cc), for 8
// bits and 1 or 3 channels; with s = source / result, and where the size stays a copy:
//   nearest   source pixel floor(i * s)
//   linear    2 taps about (i + .5) * s - .5, weights rounded to 11 fractional bits; where both sides exactly halve,
//             the rounded mean of 2 x 2 pixels
//   lanczos4  8 taps about the same place, border repeated, weights rounded to 11 bits and not normalised again: a
//             phase of exactly one half darkens by 0.1 % along each axis
// Rows before columns, 32-bit integers in between. Source: modules/imgproc/src/resize.cpp of OpenCV 4.6, whose results
// the wheel opencv-python-headless 4.10.0.84 repeats on every case of the test, with Intel's IPP on and off.
// Preconditions (ErrorCode::internal): sizes >= 1, 1 or 3 channels.
Image resize_opencv(const Image& image, int64_t width, int64_t height, OpencvFilter filter);

}  // namespace furrow::io
