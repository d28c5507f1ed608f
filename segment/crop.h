// The square that the networks know around a face, cut out of a photo, and results carried back into the photo.
#pragma once

#include <cstdint>

#include "io/image.h"
#include "segment/faces.h"

namespace furrow {

// A rectangle in whole pixels of the photo; it may reach outside the photo.
struct Crop {
  int64_t x = 0, y = 0;            // left, top
  int64_t side_w = 0, side_h = 0;  // width, height, at least 1

  bool operator==(const Crop&) const = default;
};

// Relation of the finder's box to the FFHQ-like square around the same face, measured on FFHQ crops.
inline constexpr double kCropSide = 1.43;     // side of the square / side of the box
inline constexpr double kCropCentreX = 0.50;  // where the box's centre lies in the square, fraction from the left
inline constexpr double kCropCentreY = 0.55;  // and from the top

// The square around `face`: side round(1.43 * mean box side), placed so that the box's centre lies at (0.50, 0.55) of
// it, to the nearest pixel. It is not moved into the photo: the networks know the face's place in the square, not the
// photo's border. The face's box must overlap the photo.
Crop face_crop(const Face& face, int64_t photo_w, int64_t photo_h);

// The photo as its own crop (`--crop none`).
Crop whole_photo(int64_t photo_w, int64_t photo_h);

// The part of `crop` that lies inside the photo; side_w or side_h is 0 where they do not meet.
Crop inside(const Crop& crop, int64_t photo_w, int64_t photo_h);

// The crop's pixels, side_w x side_h, the photo's channels. Pixels outside the photo repeat the nearest edge pixel:
// black would put a hard edge, which looks like a wrinkle, and a step in brightness at the photo's border, and a mirror
// image would show wrinkles twice.
io::Image cut(const io::Image& photo, const Crop& crop);

// Writes a crop-sized picture (mask or probability, side_w x side_h) into `photo`, which has as many channels: pixel
// (i, j) of the crop goes to (x + i, y + j), and what lies outside the photo is dropped. The rest of `photo` is left
// as it is, so a mask that starts at 0 reports nothing outside the crop.
void paste(const io::Image& crop_picture, const Crop& crop, io::Image& photo);

// As `paste`, keeping the larger of the two values where crops of several faces overlap.
void paste_max(const io::Image& crop_picture, const Crop& crop, io::Image& photo);

// As `paste` for row-major single-channel floats: `from` is side_w x side_h, `to` is photo_w x photo_h.
void paste(const float* from, const Crop& crop, float* to, int64_t photo_w, int64_t photo_h);

}  // namespace furrow
