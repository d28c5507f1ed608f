// A quadrilateral of a picture pulled into a rectangle, with the numbers of Pillow.
#pragma once

#include <array>
#include <cstdint>

#include "io/image.h"

namespace furrow::io {

// Corners in pixels of the picture (whole numbers are pixels' edges; they may lie outside): x, y of the upper left,
// lower left, lower right and upper right one.
using Quad = std::array<double, 8>;

// Image.transform((width, height), Image.QUAD, corners, Image.BILINEAR), byte for byte (Pillow 9.5 and 13.0 tried):
// with u = x + .5, v = y + .5 and As = 1 / width, At = 1 / height, result pixel (x, y) is taken at
//   nw + (ne - nw) As u + (sw - nw) At v + (se - sw - ne + nw) As At u v,
// in double, from left to right. Bilinear between the four pixels about it (x first, edge pixels repeated), cut to 8
// bits, not rounded; 0 where it is outside the picture. Nothing is averaged where the picture shrinks.
// Preconditions (ErrorCode::internal): sides >= 1, three channels.
Image pull_quad(const Image& image, const Quad& corners, int64_t width, int64_t height);

}  // namespace furrow::io
