#include "segment/tile.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace furrow {

std::vector<int64_t> window_starts(int64_t length, int64_t window) {
  require(length > 0 && window > 0, "window_starts: empty side");
  if (length <= window) return {0};
  const int64_t step = std::max<int64_t>(window - (window + 3) / 4, 1);  // overlap: a quarter, rounded up
  const int64_t steps = (length - window + step - 1) / step;
  std::vector<int64_t> starts;
  for (int64_t i = 0; i <= steps; ++i) starts.push_back((length - window) * i / steps);
  return starts;
}

std::vector<double> window_weights(int64_t window) {
  std::vector<double> weights(static_cast<size_t>(window));
  for (int64_t i = 0; i < window; ++i) {
    const double s = std::sin(std::numbers::pi * (static_cast<double>(i) + 0.5) / static_cast<double>(window));
    weights[static_cast<size_t>(i)] = s * s;
  }
  return weights;
}

namespace {

// Sum of the weights of all windows over each pixel of one axis; the sum of the product weights is a product of these.
std::vector<double> weight_sums(int64_t length, const std::vector<int64_t>& starts,
                                const std::vector<double>& weights) {
  std::vector<double> sums(static_cast<size_t>(length));
  for (int64_t start : starts) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (const size_t at = static_cast<size_t>(start) + i; at < sums.size()) sums[at] += weights[i];
    }
  }
  return sums;
}

// Rows of weighted sums of a picture, window by window; rows that no later window touches are handed out and forgotten.
class ScoreBand {
 public:
  ScoreBand(int64_t width, int64_t window)
      : width_(width), window_(window), sums_(static_cast<size_t>(width * window)) {}

  // Adds row y of the picture: values[i] * shares[i] * row_share from column `left` on.
  void add(int64_t y, int64_t left, std::span<const float> values, std::span<const double> shares, double row_share) {
    float* sums = row(y) + left;
    for (size_t i = 0; i < shares.size(); ++i) sums[i] += static_cast<float>(row_share * shares[i] * values[i]);
  }

  void finish(int64_t y, const RowSink& sink) {
    float* sums = row(y);
    for (int64_t x = 0; x < width_; ++x) sums[x] = std::clamp(sums[x], 0.0f, 1.0f);  // rounding may pass 1 by an ulp
    sink(y, std::span<const float>(sums, static_cast<size_t>(width_)));
    std::fill(sums, sums + width_, 0.0f);
  }

 private:
  float* row(int64_t y) { return sums_.data() + y % window_ * width_; }  // a ring of `window` rows
  int64_t width_, window_;
  std::vector<float> sums_;
};

// What each pixel of one window contributes along one axis: its weight over the sum of weights.
std::vector<double> shares_of(int64_t start, int64_t length, const std::vector<double>& weights,
                              const std::vector<double>& sums) {
  std::vector<double> shares(std::min(weights.size(), static_cast<size_t>(length)));
  for (size_t i = 0; i < shares.size(); ++i) shares[i] = weights[i] / sums[static_cast<size_t>(start) + i];
  return shares;
}

}  // namespace

void run_tiled(int64_t width, int64_t height, int64_t window, const WindowSource& source, const WindowFunction& compute,
               const RowSink& sink) {
  const std::vector<int64_t> columns = window_starts(width, window), rows = window_starts(height, window);
  io::Image rgb(window, window, 3);
  std::vector<float> plane(static_cast<size_t>(window * window));
  const auto row_of = [&](size_t y) { return std::span<const float>(plane).subspan(y * static_cast<size_t>(window)); };
  if (columns.size() == 1 && rows.size() == 1) {
    source(0, 0, rgb);
    compute(rgb, plane);
    for (int64_t y = 0; y < height; ++y) sink(y, row_of(static_cast<size_t>(y)).first(static_cast<size_t>(width)));
    return;
  }
  const std::vector<double> weights = window_weights(window);
  const std::vector<double> column_sums = weight_sums(width, columns, weights),
                            row_sums = weight_sums(height, rows, weights);
  ScoreBand band(width, window);
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::vector<double> row_shares = shares_of(rows[r], height, weights, row_sums);
    for (const int64_t left : columns) {
      source(left, rows[r], rgb);
      compute(rgb, plane);
      const std::vector<double> shares = shares_of(left, width, weights, column_sums);
      for (size_t y = 0; y < row_shares.size(); ++y) {
        band.add(rows[r] + static_cast<int64_t>(y), left, row_of(y), shares, row_shares[y]);
      }
    }
    const int64_t done = r + 1 < rows.size() ? rows[r + 1] : height;
    for (int64_t y = rows[r]; y < done; ++y) band.finish(y, sink);
  }
}

}  // namespace furrow
