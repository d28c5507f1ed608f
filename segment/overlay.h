// The photo with its wrinkles marked: a translucent fill, a one-pixel outline, the face crop as a dashed line.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "io/image.h"

namespace furrow {

// A rectangle in pixel edges, half open: [x0, x1) x [y0, y1). May reach beyond the picture.
struct OverlayBox {
  int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Default colours: "sky blue" and "blue" of the palette of Okabe and Ito (Color Universal Design, 2008), which stays
// distinguishable under protanopia, deuteranopia and tritanopia. Blue is the one hue that no skin has, and a light fill
// within a dark outline shows on light and on dark skin, and in a black-and-white print.
struct OverlayStyle {
  std::array<uint8_t, 3> fill = {86, 180, 233};
  std::array<uint8_t, 3> outline = {0, 114, 178};
  double opacity = 0.5;       // of the fill, 0 .. 1
  bool outlined = true;       // clear pixels that touch a set one by an edge get the outline's colour
  uint8_t threshold = 128;    // a mask value is set from here on: fits masks of 0 and 255 and 8-bit probabilities
  bool proportional = false;  // the fill's opacity grows with the value (probabilities), also below the threshold
  std::vector<OverlayBox>
      boxes;  // dashed black and white, one pixel thick (one more for every 1,024 of the shorter side)
};

// Marks `mask` (gray, as large as the photo: a mask of 0 and 255, or a probability times 255) on `photo` (gray or RGB).
// The result is RGB. Throws ErrorCode::internal where sizes or channels do not fit, or opacity is outside 0 .. 1.
io::Image overlay(const io::Image& photo, const io::Image& mask, const OverlayStyle& style = {});

// Where a row lies in its picture.
struct OverlayRow {
  int64_t width = 0, height = 0, y = 0;
  int channels = 3;                // of the photo: 1 or 3
  const uint8_t* photo = nullptr;  // width x channels values
  const uint8_t* mask = nullptr;   // width values
  const uint8_t* above = nullptr;  // the mask's rows y - 1 and y + 1; nullptr outside the picture
  const uint8_t* below = nullptr;
};

// One row of the same overlay, for pictures too large to hold: writes 3 x width values to `out` (which may be row.photo
// where that is RGB). Keeps no state, so rows may come in any order and from any thread.
void overlay_row(const OverlayRow& row, const OverlayStyle& style, uint8_t* out);

}  // namespace furrow
