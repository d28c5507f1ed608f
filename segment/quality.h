// Whether a face is pictured well enough for its wrinkles to be found.
#pragma once

#include <cstdint>

#include "io/image.h"
#include "segment/faces.h"

namespace furrow {

// The first that holds, in this order: a face that is too small or too dark looks blurred as well.
enum class FaceStatus : uint8_t { ok, too_small, too_dark, blurred };
const char* name_of(FaceStatus status);  // "ok", "too_small", "too_dark", "blurred"

struct FaceQuality {
  double scale = 0;       // photo pixels per model pixel, along one side of the crop
  double brightness = 0;  // mean BT.601 gray of the middle 60 % x 60 % of the face's box, 0..255
  // Standard deviation of the 4-neighbour Laplacian of the box's gray at 256 x 256 (Pillow's BILINEAR, 8 pixels of
  // border left out), divided by that of the gray itself, so that contrast and light cancel; 0 for a box of one colour.
  // After J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
  double sharpness = 0;
  FaceStatus status() const;
};

// Where a face stops being fit. Measured on 24 portraits of 1024 x 1024 and furrow-mini-2 (docs/results.md): blurred
// by a Gaussian of 2 pixels, sharpness 0.08..0.18, 72 % of the centre line is still found; of 3 pixels, 0.05..0.10,
// 6 %. At 30 % of the light, brightness 37..53, 78 % is found; at 20 %, 25..36, 44 %, and every sixth face is missed.
// Reduced to a scale of 0.48, 87 % of the centre line, in face widths, is found, at 0.39 63 %, at 0.30 29 %.
inline constexpr double kSmallestScale = 0.4;
inline constexpr double kLeastBrightness = 40;
inline constexpr double kLeastSharpness = 0.09;

// `photo`: RGB; `crop_side`: pixels of the photo along the square that is cut out; `model_side`: pixels the network
// sees of it. The face's box is cut at the photo's border and must overlap the photo.
FaceQuality face_quality(const io::Image& photo, const Face& face, int64_t crop_side, int64_t model_side);

}  // namespace furrow
