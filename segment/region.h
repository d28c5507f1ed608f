// Region: one rectangle of the photo, the grid of model pixels laid over it, and what was found in it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "io/picture.h"
#include "segment/crop.h"
#include "segment/map_back.h"
#include "segment/segmenter.h"

namespace furrow {

// Which pixels of a photo count: all, or those whose label is one of the kept.
class KeptPixels {
 public:
  // labels: null keeps every pixel. Throws ErrorCode::malformed where its size fits neither rule of Segmenter::run, or
  // its label count differs from its size. Must outlive this object.
  KeptPixels(const io::LabelMap* labels, const std::vector<int>& kept, int64_t photo_w, int64_t photo_h);

  bool limited() const { return labels_ != nullptr; }
  // Of pixel (x, y) of the photo, which must be inside it.
  bool operator()(int64_t x, int64_t y) const {
    if (labels_ == nullptr) return true;
    if (!scaled_) return kept_[labels_->labels[static_cast<size_t>(y * photo_w_ + x)]];
    const int64_t lx = (2 * x + 1) * labels_->width / (2 * photo_w_),
                  ly = (2 * y + 1) * labels_->height / (2 * photo_h_);
    return kept_[labels_->labels[static_cast<size_t>(ly * labels_->width + lx)]];
  }

 private:
  const io::LabelMap* labels_;
  std::array<bool, 256> kept_{};
  int64_t photo_w_, photo_h_;
  bool scaled_ = false;
};

// A grid of columns x rows model pixels over a crop. Model pixel (i, j) has its centre on the photo's pixel
// (photo_x(i), photo_y(j)), which may lie outside the photo.
struct Grid {
  Crop crop;
  int64_t columns = 0, rows = 0;
  int64_t photo_x(int64_t i) const { return crop.x + (2 * i + 1) * crop.side_w / (2 * columns); }
  int64_t photo_y(int64_t j) const { return crop.y + (2 * j + 1) * crop.side_h / (2 * rows); }
};

// Blackens the model pixels of `rgb`, whose upper left corner is grid pixel (x0, y0), that lie outside the photo or are
// not kept: the input of models trained on masked photos.
void blacken(io::Image& rgb, const Grid& grid, int64_t x0, int64_t y0, const KeptPixels& kept, int64_t photo_w,
             int64_t photo_h);

// Takes the probabilities of a grid row by row; counts marks on the grid, carries rows back into the photo and
// thresholds them there.
class RegionResult {
 public:
  // `threshold`: probability a mark must exceed. The result's planes (probability, probability16) are written as rows
  // arrive, keeping the larger value; the mask is collected apart. All arguments must outlive this object.
  RegionResult(const Grid& grid, const KeptPixels& kept, double threshold, SegmentResult& result);

  // Row j of the grid; rows in order.
  void add(int64_t j, std::span<const float> probabilities);

  // After the last row. The mask of inside(crop), gray 0 | 255; may be called once.
  io::Image take_mask() { return std::move(mask_); }
  int64_t marked() const { return marked_; }              // model pixels of the photo that are marked
  int64_t model_pixels() const { return model_pixels_; }  // model pixels of the photo
  int64_t nan_pixels() const { return nan_pixels_; }      // model pixels whose probability is not a number
  int64_t mask_pixels() const { return mask_pixels_; }    // of the mask
  int64_t kept_pixels() const { return kept_pixels_; }    // of inside(crop)
  const Crop& visible() const { return visible_; }        // inside(crop)

 private:
  void add_photo_row(int64_t y, std::span<const float> row);

  Grid grid_;
  const KeptPixels& kept_;
  double threshold_;
  SegmentResult& result_;
  Crop visible_;
  io::Image mask_;
  int64_t marked_ = 0, model_pixels_ = 0, nan_pixels_ = 0, mask_pixels_ = 0, kept_pixels_ = 0;
  PlaneResizer resizer_;
};

}  // namespace furrow
