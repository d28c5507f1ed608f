#include "segment/calibrate.h"

#include <algorithm>
#include <cmath>

namespace furrow {

void Histogram::reach_out(double value) {
  while (std::abs(value) >= reach_) {
    std::vector<uint64_t> joined(kBins);
    for (size_t i = 0; i < kBins; ++i) joined[kBins / 4 + i / 2] += counts_[i];
    counts_ = std::move(joined);
    reach_ *= 2;
  }
}

void Histogram::add(std::span<const float> values) {
  double low = low_, high = high_;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    low = std::min<double>(low, v), high = std::max<double>(high, v);
  }
  low_ = low, high_ = high;
  reach_out(std::max(-low, high));
  const double bins_per_unit = static_cast<double>(kBins / 2) / reach_;
  for (const float v : values)
    if (std::isfinite(v)) ++counts_[static_cast<size_t>((v + reach_) * bins_per_unit)];
}

Quantised Histogram::best() const {
  if (high_ - low_ <= 0) return {1, 0};
  double least = INFINITY, scale = 1;
  const double width = 2 * reach_ / kBins;
  for (int part = 64; part >= 16; --part) {
    const double low = low_ * part / 64, high = high_ * part / 64, step = (high - low) / 255;
    double error = 0;
    for (size_t i = 0; i < kBins; ++i) {
      const double at = (static_cast<double>(i) + 0.5) * width - reach_, beyond = std::max({low - at, at - high, 0.0});
      error += static_cast<double>(counts_[i]) * (beyond > 0 ? beyond * beyond : step * step / 12);
    }
    if (error < least) least = error, scale = step;
  }
  const double share = -low_ / (high_ - low_);
  scale = std::clamp<double>(scale, Quantised::kLeastScale, Quantised::kMostScale);
  return {static_cast<float>(scale), static_cast<int32_t>(std::lround(share * 255))};
}

Quantisation Calibration::best() const {
  Quantisation out;
  for (const auto& [name, histogram] : histograms_) out.values[name] = histogram.best();
  return out;
}

}  // namespace furrow
