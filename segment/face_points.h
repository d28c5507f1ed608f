// Where a face's parts lie, from its label map: what the regions of skin (face_regions.h) are laid out by.
#pragma once

#include <optional>
#include <string>

#include "io/picture.h"
#include "segment/crop.h"

namespace furrow {

struct Point {
  double x = 0, y = 0;
};

// The axes of a face: the origin between the eyes, a along the line through them towards the subject's left (to the
// right in the picture), b across it towards the mouth; the unit is the distance between the eyes' centres.
struct FaceFrame {
  Point origin;
  double unit = 0;              // pixels of the photo
  double along_x = 1, along_y = 0;  // of length 1
  Point photo(double a, double b) const {
    return {origin.x + unit * (a * along_x - b * along_y), origin.y + unit * (a * along_y + b * along_x)};
  }
  Point face(double x, double y) const {
    const double dx = (x - origin.x) / unit, dy = (y - origin.y) / unit;
    return {dx * along_x + dy * along_y, dy * along_x - dx * along_y};
  }
};

// Extents of the parts in that frame. Of pairs, [0] is the subject's right, [1] the left, and a is counted from the
// middle outwards, so that both are alike in a symmetric face.
struct FacePoints {
  FaceFrame frame;
  double eye_inner[2], eye_outer[2], eye_bottom[2];
  double brow_inner[2], brow_top[2];  // of a brow that cannot be seen: where it usually is
  double nose_side[2], nose_bottom;
  double mouth_corner[2], mouth_height, lip_bottom;  // mouth_height: b of its middle
  double chin;                                       // lowest skin below the mouth
};

// The points of the face inside `crop`. labels: the classes of segment/face_classes.h by number, of the photo's size or
// scaled over it (KeptPixels). Nothing, and the reason in words, where an eye (or a glass before it), the nose, the
// mouth or the chin is not among the labels. The layout was drawn from frontal faces: b of a face that is turned is
// right, a is squeezed on the far side with the labels.
std::optional<FacePoints> find_face_points(const io::LabelMap& labels, int64_t photo_w, int64_t photo_h,
                                           const Crop& crop, std::string& why_not);

// The same of a texture map in FFHQ-UV's layout, side x side: every map has its parts in one place.
// Source: the boxes of the unwrapping step of Bai et al., "FFHQ-UV", CVPR 2023 (eyes, nose base, mouth at 1024 x 1024).
FacePoints ffhq_uv_points(int64_t side);

}  // namespace furrow
