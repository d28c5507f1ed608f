// From decoded rows to an upright RGB picture: transparency composited, EXIF orientation applied, in one pass.
#pragma once

#include <cstdint>

#include "io/image.h"
#include "io/picture.h"

namespace furrow::io {

// Turns `pixels` pixels of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha) channels into RGB.
void to_rgb(const uint8_t* from, int64_t pixels, int channels, Background background, uint8_t* rgb);

// Takes pixels where they stand in the file and puts them where they are seen.
class UprightImage {
 public:
  // width, height as stored; orientation 1..8 as EXIF numbers them (5..8 swap the sides).
  UprightImage(int64_t width, int64_t height, int orientation);

  // Pixels (x0, y), (x0 + dx, y) ... of the stored picture: `count` RGB triples.
  void put(int64_t y, int64_t x0, int64_t dx, int64_t count, const uint8_t* rgb);

  Image image;

 private:
  int64_t origin_, step_x_, step_y_;  // pixel (x, y) is seen at origin_ + x * step_x_ + y * step_y_, counted in pixels
};

}  // namespace furrow::io
