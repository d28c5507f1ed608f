#include "io/upright.h"

#include <cstring>

namespace furrow::io {
namespace {

// round(value / 255) for 0 <= value <= 255 * 255, exactly.
uint8_t divide_by_255(unsigned value) {
  value += 128;
  return static_cast<uint8_t>((value + (value >> 8)) >> 8);
}

}  // namespace

void to_rgb(const uint8_t* from, int64_t pixels, int channels, Background background, uint8_t* rgb) {
  if (channels == 3) {
    std::memcpy(rgb, from, static_cast<size_t>(3 * pixels));
    return;
  }
  const bool colour = channels == 4, drop = background == Background::drop;
  const unsigned behind = background == Background::white ? 255 : 0;
  for (int64_t i = 0; i < pixels; ++i, from += channels, rgb += 3) {
    const unsigned alpha = channels == 1 || drop ? 255 : from[channels - 1];
    for (int c = 0; c < 3; ++c) {
      const unsigned value = from[colour ? c : 0];
      rgb[c] = alpha == 255 ? static_cast<uint8_t>(value) : divide_by_255(value * alpha + behind * (255 - alpha));
    }
  }
}

UprightImage::UprightImage(int64_t width, int64_t height, int orientation)
    : image(orientation >= 5 ? height : width, orientation >= 5 ? width : height, 3) {
  const int64_t w = width, h = height;
  const auto place = [&](int64_t origin, int64_t step_x, int64_t step_y) {
    origin_ = origin;
    step_x_ = step_x;
    step_y_ = step_y;
  };
  switch (orientation) {
    case 2: place(w - 1, -1, w); break;        // mirrored
    case 3: place(w * h - 1, -1, -w); break;   // upside down
    case 4: place((h - 1) * w, 1, -w); break;  // both
    case 5: place(0, h, 1); break;             // rows are columns
    case 6: place(h - 1, h, -1); break;        // needs a quarter turn clockwise
    case 7: place(w * h - 1, -h, -1); break;   // 5 and upside down
    case 8: place((w - 1) * h, -h, 1); break;  // needs a quarter turn counter-clockwise
    default: place(0, 1, w);
  }
}

void UprightImage::put(int64_t y, int64_t x0, int64_t dx, int64_t count, const uint8_t* rgb) {
  uint8_t* to = image.pixels.data() + 3 * (origin_ + x0 * step_x_ + y * step_y_);
  const int64_t step = 3 * dx * step_x_;
  if (step == 3) {
    std::memcpy(to, rgb, static_cast<size_t>(3 * count));
    return;
  }
  for (int64_t i = 0; i < count; ++i, rgb += 3) { std::memcpy(to + i * step, rgb, 3); }
}

}  // namespace furrow::io
