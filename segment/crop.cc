#include "segment/crop.h"

#include <algorithm>
#include <cmath>

#include "kernels/checked.h"
#include "kernels/error.h"

namespace furrow {
namespace {

// Calls row(source offset, target offset, count) in elements for every row of the crop that lies inside the photo;
// source offsets count within the crop, target offsets within the photo.
template <class Row>
void for_each_inner_row(const Crop& crop, int64_t photo_w, int64_t photo_h, Row&& row) {
  const Crop part = inside(crop, photo_w, photo_h);
  if (part.side_w == 0) return;
  for (int64_t y = part.y; y < part.y + part.side_h; ++y)
    row((y - crop.y) * crop.side_w + (part.x - crop.x), y * photo_w + part.x, part.side_w);
}

void require_fit(const io::Image& picture, const Crop& crop, const io::Image& photo) {
  require(picture.width == crop.side_w && picture.height == crop.side_h && picture.channels == photo.channels,
          "paste: a picture of the crop's size and the photo's channels");
}

}  // namespace

Crop face_crop(const Face& face, int64_t photo_w, int64_t photo_h) {
  require(face.w > 0 && face.h > 0 && face.x < static_cast<double>(photo_w) && face.y < static_cast<double>(photo_h) &&
              face.x + face.w > 0 && face.y + face.h > 0,
          "face_crop: the box overlaps the photo");
  const int64_t side = std::max<int64_t>(1, std::llround(kCropSide * 0.5 * (face.w + face.h)));
  const double length = static_cast<double>(side);
  return {std::llround(face.x + 0.5 * face.w - kCropCentreX * length),
          std::llround(face.y + 0.5 * face.h - kCropCentreY * length), side, side};
}

Crop whole_photo(int64_t photo_w, int64_t photo_h) { return {0, 0, photo_w, photo_h}; }

Crop inside(const Crop& crop, int64_t photo_w, int64_t photo_h) {
  const int64_t x0 = std::max<int64_t>(crop.x, 0), x1 = std::min(crop.x + crop.side_w, photo_w);
  const int64_t y0 = std::max<int64_t>(crop.y, 0), y1 = std::min(crop.y + crop.side_h, photo_h);
  if (x1 <= x0 || y1 <= y0) return {};
  return {x0, y0, x1 - x0, y1 - y0};
}

io::Image cut(const io::Image& photo, const Crop& crop) {
  require(photo.width > 0 && photo.height > 0 && crop.side_w > 0 && crop.side_h > 0, "cut: a photo and a crop");
  (void)(Checked::from_signed(crop.side_w) * Checked::from_signed(crop.side_h) * Checked::from_signed(photo.channels));
  io::Image out(crop.side_w, crop.side_h, photo.channels);
  const int64_t channels = photo.channels;
  // Columns [left, right) of the crop lie over the photo; the others repeat its first or last column.
  const int64_t left = std::clamp<int64_t>(-crop.x, 0, crop.side_w);
  const int64_t right = std::clamp<int64_t>(photo.width - crop.x, left, crop.side_w);
  for (int64_t j = 0; j < crop.side_h; ++j) {
    const uint8_t* from = photo.row(std::clamp<int64_t>(crop.y + j, 0, photo.height - 1));
    uint8_t* to = out.row(j);
    for (int64_t i = 0; i < left; ++i) std::copy_n(from, channels, to + i * channels);
    if (right > left) std::copy_n(from + (crop.x + left) * channels, (right - left) * channels, to + left * channels);
    const uint8_t* last = from + (photo.width - 1) * channels;
    for (int64_t i = right; i < crop.side_w; ++i) std::copy_n(last, channels, to + i * channels);
  }
  return out;
}

void paste(const io::Image& crop_picture, const Crop& crop, io::Image& photo) {
  require_fit(crop_picture, crop, photo);
  const int64_t channels = photo.channels;
  for_each_inner_row(crop, photo.width, photo.height, [&](int64_t from, int64_t to, int64_t count) {
    std::copy_n(crop_picture.pixels.data() + from * channels, count * channels, photo.pixels.data() + to * channels);
  });
}

void paste_max(const io::Image& crop_picture, const Crop& crop, io::Image& photo) {
  require_fit(crop_picture, crop, photo);
  const int64_t channels = photo.channels;
  for_each_inner_row(crop, photo.width, photo.height, [&](int64_t from, int64_t to, int64_t count) {
    const uint8_t* source = crop_picture.pixels.data() + from * channels;
    uint8_t* target = photo.pixels.data() + to * channels;
    for (int64_t i = 0; i < count * channels; ++i) target[i] = std::max(target[i], source[i]);
  });
}

void paste(const float* from, const Crop& crop, float* to, int64_t photo_w, int64_t photo_h) {
  for_each_inner_row(crop, photo_w, photo_h, [&](int64_t source, int64_t target, int64_t count) {
    std::copy_n(from + source, count, to + target);
  });
}

}  // namespace furrow
