#include "segment/region.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/error.h"

namespace furrow {
namespace {

std::string size_text(int64_t w, int64_t h) { return std::to_string(w) + "x" + std::to_string(h); }

// round(scale * p) with NaN as 0: 8- and 16-bit planes have no other word for it.
uint32_t quantise(float p, float scale) { return p > 0 ? static_cast<uint32_t>(std::min(p, 1.0f) * scale + 0.5f) : 0; }

}  // namespace

KeptPixels::KeptPixels(const io::LabelMap* labels, const std::vector<int>& kept, int64_t photo_w, int64_t photo_h)
    : labels_(labels), photo_w_(photo_w), photo_h_(photo_h) {
  for (int label : kept) {
    require(label >= 0 && label < 256, "KeptPixels: label outside 0..255");
    kept_[static_cast<size_t>(label)] = true;
  }
  if (labels == nullptr) return;
  constexpr int64_t kParserSide = 512;  // what the common face parsers write
  const bool same = labels->width == photo_w && labels->height == photo_h;
  scaled_ = !same && labels->width == kParserSide && labels->height == kParserSide && photo_w == photo_h;
  if (!same && !scaled_) {
    throw Error(ErrorCode::malformed, "the label map is " + size_text(labels->width, labels->height) +
                                          ", the photo is " + size_text(photo_w, photo_h))
        .hint("labels must have the photo's size (or be 512x512 for a square photo)");
  }
  if (static_cast<int64_t>(labels->labels.size()) != labels->width * labels->height) {
    throw Error(ErrorCode::malformed, "the label map holds " + std::to_string(labels->labels.size()) + " labels, not " +
                                          size_text(labels->width, labels->height));
  }
}

void blacken(io::Image& rgb, const Grid& grid, int64_t x0, int64_t y0, const KeptPixels& kept, int64_t photo_w,
             int64_t photo_h) {
  for (int64_t j = 0; j < rgb.height; ++j) {
    const int64_t y = grid.photo_y(y0 + j);
    for (int64_t i = 0; i < rgb.width; ++i) {
      const int64_t x = grid.photo_x(x0 + i);
      if (x >= 0 && x < photo_w && y >= 0 && y < photo_h && kept(x, y)) continue;
      std::fill_n(rgb.row(j) + 3 * i, 3, uint8_t{0});
    }
  }
}

RegionResult::RegionResult(const Grid& grid, const KeptPixels& kept, double threshold, SegmentResult& result)
    : grid_(grid),
      kept_(kept),
      threshold_(threshold),
      result_(result),
      visible_(inside(grid.crop, result.width, result.height)),
      mask_(visible_.side_w, visible_.side_h, 1),
      resizer_(grid.columns, grid.rows, grid.crop.side_w, grid.crop.side_h,
               [this](int64_t y, std::span<const float> row) { add_photo_row(y, row); }) {}

void RegionResult::add(int64_t j, std::span<const float> probabilities) {
  nan_pixels_ += std::ranges::count_if(probabilities, [](float p) { return std::isnan(p); });
  if (const int64_t y = grid_.photo_y(j); y >= 0 && y < result_.height) {
    for (int64_t i = 0; i < grid_.columns; ++i) {
      const int64_t x = grid_.photo_x(i);
      if (x < 0 || x >= result_.width) continue;
      ++model_pixels_;
      marked_ += probabilities[static_cast<size_t>(i)] > threshold_ && kept_(x, y);
    }
  }
  resizer_.push(probabilities);
}

void RegionResult::add_photo_row(int64_t crop_y, std::span<const float> row) {
  const int64_t y = grid_.crop.y + crop_y;
  if (y < visible_.y || y >= visible_.y + visible_.side_h) return;
  uint8_t* mask = mask_.row(y - visible_.y);
  const float* p = row.data() + (visible_.x - grid_.crop.x);
  for (int64_t i = 0; i < visible_.side_w; ++i) {
    if (!kept_(visible_.x + i, y)) continue;
    ++kept_pixels_;
    if (p[i] > threshold_) {
      mask[i] = 255;
      ++mask_pixels_;
    }
  }
  const int64_t at = y * result_.width + visible_.x;
  if (!result_.probability.pixels.empty()) {
    uint8_t* out = result_.probability.pixels.data() + at;
    for (int64_t i = 0; i < visible_.side_w; ++i)
      out[i] = std::max(out[i], static_cast<uint8_t>(quantise(p[i], 255.0f)));
  }
  if (!result_.probability16.empty()) {
    uint16_t* out = result_.probability16.data() + at;
    for (int64_t i = 0; i < visible_.side_w; ++i)
      out[i] = std::max(out[i], static_cast<uint16_t>(quantise(p[i], 65535.0f)));
  }
}

}  // namespace furrow
