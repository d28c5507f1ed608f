// The colours of a JPEG's samples, as libjpeg-turbo and Pillow convert them to RGB.
#pragma once

#include <cstdint>

#include "io/jpeg_walk.h"

namespace furrow::io {

enum class JpegColours { gray, rgb, ycc, cmyk, ycck };

// What the components of a walked picture are. Three are YCbCr where a JFIF segment stands; otherwise as an Adobe
// segment says; otherwise RGB if they are numbered 'R', 'G', 'B'; otherwise YCbCr. Four are CMYK or YCCK, as the Adobe
// segment says.
JpegColours jpeg_colours(const JpegFile& file);

// `count` pixels from a row of each component (`rows`: as many as there are components) to RGB triples.
//   ycc: R = Y + 1.402 (Cr - 128), G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128), B = Y + 1.772 (Cb - 128),
//   clamped,
//        in fixed point of 16 bits with the constants rounded to five places (T.871, 7)
//   cmyk, ycck: stored inverted, as Adobe programs do: R = round(c K / 255), with c the stored cyan, or 255 - the red
//   of
//        the YCC part
void jpeg_to_rgb(JpegColours colours, const uint8_t* const* rows, int64_t count, uint8_t* rgb);

}  // namespace furrow::io
