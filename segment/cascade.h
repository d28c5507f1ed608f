// The frontal-face cascade as data: boosted stages of stumps, each a threshold on one Haar-like feature.
// Source: P. Viola, M. Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001;
// R. Lienhart, J. Maydt, "An extended set of Haar-like features", ICIP 2002. The numbers are those of OpenCV's
// haarcascade_frontalface_default.xml, turned into a table by cmake/compact_cascade.cc when Furrow is built.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace furrow {

// A rectangle of pixels inside the 24 x 24 window: left, top, width, height.
struct CascadeRect {
  uint8_t x, y, w, h;
};

// One stump. feature = sum over rects of weight * (sum of the rectangle's pixels) / (window area * window deviation);
// the stump votes `left` where feature < threshold, else `right`. Two rectangles: the third has weight 0.
struct CascadeStump {
  CascadeRect rect[3];
  int8_t weight[3];  // whole numbers in the file
  float threshold, left, right;
};

// A window goes on to the next stage where the votes of stumps [first, first + count) add up to at least `threshold`.
struct CascadeStage {
  int first, count;
  float threshold;
};

struct Cascade {
  int window;  // side of the square window, pixels
  std::span<const CascadeStage> stages;
  std::span<const CascadeStump> stumps;
};

const Cascade& frontal_face_cascade();

// The licence that the cascade's file carries; belongs into THIRD_PARTY_NOTICES of everything that contains the table.
std::string_view frontal_face_cascade_notice();

}  // namespace furrow
