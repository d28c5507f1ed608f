#include "losses/metrics_tolerance.h"

#include <algorithm>
#include <vector>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr uint8_t kFar = kLargestRadius + 1;

uint8_t next(uint8_t distance) { return std::min(static_cast<uint8_t>(distance + 1), kFar); }

// Of a mask: distance of every pixel to the nearest set pixel of its own row, at most kLargestRadius + 1.
class RowDistances {
 public:
  RowDistances(std::span<const uint8_t> mask, std::span<const uint8_t> region, int64_t width, int64_t height)
      : width_(width), height_(height), distances_(mask.size()) {
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* row = distances_.data() + y * width;
      for (int64_t x = 0; x < width; ++x) {
        const auto at = static_cast<size_t>(y * width + x);
        const bool set = mask[at] != 0 && (region.empty() || region[at] != 0);
        row[x] = set ? 0 : x > 0 ? next(row[x - 1]) : kFar;
      }
      for (int64_t x = width - 2; x >= 0; --x) row[x] = std::min(row[x], next(row[x + 1]));
    }
  }

  bool set(int64_t x, int64_t y) const { return distances_[static_cast<size_t>(y * width_ + x)] == 0; }

  // Whether a set pixel lies within the disc around (x, y) whose row dy away reaches reach[|dy|] to either side.
  bool near(int64_t x, int64_t y, std::span<const uint8_t> reach) const {
    const auto radius = static_cast<int64_t>(reach.size()) - 1;
    for (int64_t v = std::max<int64_t>(0, y - radius); v <= std::min(height_ - 1, y + radius); ++v)
      if (distances_[static_cast<size_t>(v * width_ + x)] <= reach[static_cast<size_t>(v < y ? y - v : v - y)])
        return true;
    return false;
  }

 private:
  int64_t width_, height_;
  std::vector<uint8_t> distances_;
};

double fraction(PixelCount over, PixelCount under) {
  return under == 0 ? 0.0 : static_cast<double>(over) / static_cast<double>(under);
}

}  // namespace

NearCounts& operator+=(NearCounts& to, const NearCounts& more) {
  to.predicted += more.predicted;
  to.predicted_near += more.predicted_near;
  to.truth += more.truth;
  to.truth_near += more.truth_near;
  return to;
}

NearCounts count_near(std::span<const uint8_t> predicted, std::span<const uint8_t> truth,
                      std::span<const uint8_t> region, int64_t width, int64_t height, int radius) {
  require(width >= 0 && height >= 0 && predicted.size() == static_cast<size_t>(width * height) &&
              truth.size() == predicted.size() && (region.empty() || region.size() == predicted.size()),
          "count_near: lengths");
  require(radius >= 0 && radius <= kLargestRadius, "count_near: radius");
  std::vector<uint8_t> reach(static_cast<size_t>(radius) + 1);
  for (int dy = 0; dy <= radius; ++dy) {
    int dx = 0;
    while ((dx + 1) * (dx + 1) + dy * dy <= radius * radius) ++dx;
    reach[static_cast<size_t>(dy)] = static_cast<uint8_t>(dx);
  }
  const RowDistances p(predicted, region, width, height), t(truth, region, width, height);
  NearCounts counts;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (p.set(x, y)) {
        ++counts.predicted;
        counts.predicted_near += t.near(x, y, reach);
      }
      if (t.set(x, y)) {
        ++counts.truth;
        counts.truth_near += p.near(x, y, reach);
      }
    }
  }
  return counts;
}

NearRates pooled_near_rates(const NearCounts& counts) {
  const double precision = fraction(counts.predicted_near, counts.predicted),
               recall = fraction(counts.truth_near, counts.truth), sum = precision + recall;
  return {precision, recall, sum > 0 ? 2 * precision * recall / sum : 0};
}

NearRates picture_near_rates(const NearCounts& counts) {
  if (counts.predicted == 0 && counts.truth == 0) return {1, 1, 1};
  return pooled_near_rates(counts);
}

}  // namespace furrow
