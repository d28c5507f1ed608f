#include "segment/map_back.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/error.h"

namespace furrow {

PlaneResizer::Taps PlaneResizer::tap(int64_t in, int64_t out, int64_t i) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), half = std::max(scale, 1.0);
  const double centre = (static_cast<double>(i) + 0.5) * scale;
  const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - half + 0.5), 0);
  const int64_t last = std::min<int64_t>(static_cast<int64_t>(centre + half + 0.5), in);
  std::vector<double> weights;
  double sum = 0;
  for (int64_t x = first; x < last; ++x) {
    weights.push_back(std::max(0.0, 1.0 - std::abs((static_cast<double>(x) + 0.5 - centre) / half)));
    sum += weights.back();
  }
  Taps taps{first, {}};
  for (double w : weights) taps.weights.push_back(static_cast<float>(w / sum));
  return taps;
}

std::vector<PlaneResizer::Taps> PlaneResizer::taps(int64_t in, int64_t out) {
  std::vector<Taps> all;
  all.reserve(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) all.push_back(tap(in, out, i));
  return all;
}

PlaneResizer::PlaneResizer(int64_t in_width, int64_t in_height, int64_t out_width, int64_t out_height, Sink sink)
    : in_width_(in_width),
      in_height_(in_height),
      out_width_(out_width),
      out_height_(out_height),
      sink_(std::move(sink)) {
  require(in_width > 0 && in_height > 0 && out_width > 0 && out_height > 0, "PlaneResizer: empty plane");
  if (in_width_ != out_width_) columns_ = taps(in_width_, out_width_);
  const double half = std::max(static_cast<double>(in_height_) / static_cast<double>(out_height_), 1.0);
  ring_rows_ = std::min<int64_t>(in_height_, static_cast<int64_t>(std::ceil(2 * half)) + 2);
  ring_.resize(static_cast<size_t>(ring_rows_ * out_width_));
  out_.resize(static_cast<size_t>(out_width_));
}

void PlaneResizer::push(std::span<const float> row) {
  require(pushed_ < in_height_ && row.size() == static_cast<size_t>(in_width_), "PlaneResizer::push: row");
  float* to = ring_.data() + pushed_ % ring_rows_ * out_width_;
  if (in_width_ == out_width_) {
    std::ranges::copy(row, to);
  } else {
    for (int64_t x = 0; x < out_width_; ++x) {
      const Taps& column = columns_[static_cast<size_t>(x)];
      float sum = 0;
      for (size_t k = 0; k < column.weights.size(); ++k)
        sum += column.weights[k] * row[static_cast<size_t>(column.first) + k];
      to[x] = sum;
    }
  }
  ++pushed_;
  while (emitted_ < out_height_) {
    const Taps rows = in_height_ == out_height_ ? Taps{emitted_, {1.0f}} : tap(in_height_, out_height_, emitted_);
    if (rows.first + static_cast<int64_t>(rows.weights.size()) > pushed_) return;
    emit(rows);
  }
}

void PlaneResizer::emit(const Taps& rows) {
  for (size_t k = 0; k < rows.weights.size(); ++k) {
    const float* from = ring_.data() + (rows.first + static_cast<int64_t>(k)) % ring_rows_ * out_width_;
    const float w = rows.weights[k];
    if (k == 0) {
      for (int64_t x = 0; x < out_width_; ++x) out_[static_cast<size_t>(x)] = w * from[x];
    } else {
      for (int64_t x = 0; x < out_width_; ++x) out_[static_cast<size_t>(x)] += w * from[x];
    }
  }
  sink_(emitted_++, out_);
}

}  // namespace furrow
