// Which bytes a network's values become (nn/quantisation.h), from values that photos gave.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "nn/quantisation.h"

namespace furrow {

// How often values fell where: kBins equal bins over [-reach, reach], reach a power of two that doubles, and bins join
// in pairs, when a value lies beyond it.
class Histogram {
 public:
  static constexpr size_t kBins = 4096;
  void add(std::span<const float> values);  // those that are not finite are left out
  // The bytes of least mean squared error over what was added: of ranges [low, high] around 0 that are cut to
  // 64/64, 63/64 ... 16/64 of what was seen, the one whose error inside, a step squared over 12, and outside together
  // is least. Source: as the MSE calibration of Wu et al. 2020, arXiv:2004.09602, section 5. Of no values but 0:
  // scale 1.
  Quantised best() const;

 private:
  void reach_out(double value);
  double reach_ = 0x1p-10, low_ = 0, high_ = 0;
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kBins);
};

// Of every value of a network by its name.
class Calibration {
 public:
  void add(const std::string& name, std::span<const float> values) { histograms_[name].add(values); }
  Quantisation best() const;

 private:
  std::map<std::string, Histogram> histograms_;
};

}  // namespace furrow
