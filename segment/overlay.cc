#include "segment/overlay.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr int64_t kDash = 6;  // pixels of black, then of white, times the thickness

void blend(uint8_t* pixel, const std::array<uint8_t, 3>& colour, int weight) {  // weight 0 .. 256
  for (size_t c = 0; c < 3; ++c)
    pixel[c] = static_cast<uint8_t>((pixel[c] * (256 - weight) + colour[c] * weight + 128) >> 8);
}

// The parts of `box`'s frame that lie in the row; the frame is drawn inwards.
void draw_box(const OverlayRow& row, const OverlayBox& box, uint8_t* out) {
  const int64_t y = row.y, thick = 1 + std::min(row.width, row.height) / 1024;
  if (y < box.y0 || y >= box.y1) return;
  const bool horizontal = y < box.y0 + thick || y >= box.y1 - thick;
  const auto span = [&](int64_t from, int64_t to) {
    for (int64_t x = std::max<int64_t>(from, 0); x < std::min(to, row.width); ++x) {
      const int64_t along = (x - box.x0) + (y - box.y0);
      std::fill_n(out + 3 * x, 3, along / (kDash * thick) % 2 == 0 ? 0 : 255);
    }
  };
  if (horizontal) return span(box.x0, box.x1);
  span(box.x0, std::min(box.x0 + thick, box.x1));
  span(std::max(box.x1 - thick, box.x0), box.x1);
}

bool touches(const OverlayRow& row, int64_t x, int threshold) {
  return (x > 0 && row.mask[x - 1] >= threshold) || (x + 1 < row.width && row.mask[x + 1] >= threshold) ||
         (row.above && row.above[x] >= threshold) || (row.below && row.below[x] >= threshold);
}

}  // namespace

void overlay_row(const OverlayRow& row, const OverlayStyle& style, uint8_t* out) {
  const int full = static_cast<int>(std::lround(256 * style.opacity));
  const int threshold = style.threshold;
  for (int64_t x = 0; x < row.width; ++x) {
    uint8_t* pixel = out + 3 * x;
    const uint8_t* from = row.photo + x * row.channels;
    const std::array<uint8_t, 3> photo = {from[0], from[row.channels / 2], from[row.channels - 1]};
    std::copy(photo.begin(), photo.end(), pixel);
    const int value = row.mask[x];
    if (style.proportional) {
      blend(pixel, style.fill, (full * value + 127) / 255);
    } else if (value >= threshold) {
      blend(pixel, style.fill, full);
    }
    if (style.outlined && value < threshold && touches(row, x, threshold)) blend(pixel, style.outline, 256);
  }
  for (const OverlayBox& box : style.boxes) draw_box(row, box, out);
}

io::Image overlay(const io::Image& photo, const io::Image& mask, const OverlayStyle& style) {
  require(photo.channels == 1 || photo.channels == 3, "overlay: the photo is neither gray nor RGB");
  require(mask.channels == 1, "overlay: the mask is not gray");
  require(photo.width == mask.width && photo.height == mask.height, "overlay: photo and mask differ in size");
  require(style.opacity >= 0 && style.opacity <= 1, "overlay: opacity outside 0 .. 1");
  io::Image out(photo.width, photo.height, 3);
  for (int64_t y = 0; y < photo.height; ++y) {
    const OverlayRow row{.width = photo.width,
                         .height = photo.height,
                         .y = y,
                         .channels = photo.channels,
                         .photo = photo.row(y),
                         .mask = mask.row(y),
                         .above = y > 0 ? mask.row(y - 1) : nullptr,
                         .below = y + 1 < photo.height ? mask.row(y + 1) : nullptr};
    overlay_row(row, style, out.row(y));
  }
  return out;
}

}  // namespace furrow
