// A JPEG component's samples brought to the picture's resolution, as libjpeg-turbo does by default.
#pragma once

#include <cstdint>
#include <vector>

#include "io/jpeg_planes.h"

namespace furrow::io {

// Rows of a plane, `across` times as wide and `down` times as high as it (whole numbers from 1 to 4). Doubling is
// linear interpolation between the centres of samples ("fancy upsampling": each output lies a quarter of a step from
// one sample and three quarters from the next); other factors repeat samples. Samples beyond an edge are the edge's.
// With a, b the nearer and the farther sample, n, m the sums 3 a + b of two rows in the nearer and the farther column:
//   2 x 1: (3 a + b + 1) / 4 towards the left, (3 a + b + 2) / 4 towards the right; at an edge a itself
//   1 x 2: (3 a + b + 1) / 4 upwards, (3 a + b + 2) / 4 downwards
//   2 x 2: (3 n + m + 8) / 16 towards the left, (3 n + m + 7) / 16 towards the right; m = n at an edge
// Planes of one or two columns are not interpolated where their width is doubled (2 x 1 and 2 x 2): samples repeat.
class JpegUpsampler {
 public:
  // `plane` must outlive this.
  JpegUpsampler(const JpegPlane& plane, int across, int down);

  // Row y of the result, at least across * plane.width samples; valid until the next call.
  const uint8_t* row(int64_t y);

 private:
  enum class Method { none, across, down, both, repeat };
  void double_across(const uint8_t* in);
  void double_down(const uint8_t* near, const uint8_t* far, int bias);
  void double_both(const uint8_t* near, const uint8_t* far);
  void repeat(const uint8_t* in);

  const JpegPlane& plane_;
  const int across_, down_;
  Method method_ = Method::repeat;
  std::vector<uint8_t> row_;
  std::vector<uint16_t> sums_;  // 3 a + b per column
};

}  // namespace furrow::io
