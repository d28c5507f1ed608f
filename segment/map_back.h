// Mapping a result back: a probability plane, row by row, to the size of the crop it came from.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace furrow {

// Separable bilinear resize of a float plane by the rule of Pillow's BILINEAR on mode "F", in float: pixel i of the
// result has its centre at (i + 1/2) * scale, scale = in/out, and a triangle of half-width max(scale, 1) around it,
// normalised over the pixels that exist. So it interpolates where the plane grows and averages where it shrinks.
//
// Rows go in with push() in order and come out through the sink, in order, as soon as they are complete: memory is one
// row per row the triangle touches, whatever the height. Equal sizes pass rows on unchanged.
class PlaneResizer {
 public:
  using Sink = std::function<void(int64_t y, std::span<const float> row)>;
  PlaneResizer(int64_t in_width, int64_t in_height, int64_t out_width, int64_t out_height, Sink sink);

  // The next of in_height rows, in_width values.
  void push(std::span<const float> row);

 private:
  struct Taps {
    int64_t first;
    std::vector<float> weights;
  };
  static std::vector<Taps> taps(int64_t in, int64_t out);
  static Taps tap(int64_t in, int64_t out, int64_t i);
  void emit(const Taps& taps);

  int64_t in_width_, in_height_, out_width_, out_height_;
  Sink sink_;
  std::vector<Taps> columns_;
  int64_t ring_rows_, pushed_ = 0, emitted_ = 0;
  std::vector<float> ring_, out_;  // ring of horizontally resized rows: input row y at y % ring_rows_
};

}  // namespace furrow
