// From samples to tensors. Private to data/loader.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "data/loader.h"

namespace furrow::data {

// Writes samples into the places of a batch.
class BatchFiller {
 public:
  BatchFiller(const LoaderOptions& options, bool labels);

  // {1, H, W, channels of the image tensor}. ErrorCode::malformed where the pictures of the sample differ in size or do
  // not have the channels that data/sample.h says.
  static Shape shape_of(const Sample& sample);
  // The tensors for `count` samples of this shape.
  void allocate(const Shape& shape, int64_t count, Batch& batch) const;
  // `sample`, of the batch's shape, becomes entry `at`.
  void fill(const Sample& sample, int64_t at, Batch& batch) const;

 private:
  using Table = std::array<float, 256>;
  std::array<Table, 4> tables_;  // channels R, G, B, texture
  bool labels_;
};

}  // namespace furrow::data
