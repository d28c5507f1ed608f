// The exponential moving average of a network's weights: smoother than the last step's, and as a rule better.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "nn/network.h"

namespace furrow::train {

// After update t (from 1) of the optimiser, with value v of a parameter or a running statistic:
//   a <- a + (1 - d) (v - a),  d = min(decay, (1 + t) / (10 + t)),
// so the first steps do not linger; counters are copied. Element by element in the network's type, so the same bits for
// any number of threads. Source: Polyak and Juditsky 1992, with the ramp of TensorFlow's ExponentialMovingAverage.
class WeightAverage {
 public:
  // A second network of the same shapes with the values of `trained`, which is loaded and outlives this. 0 < decay < 1.
  WeightAverage(const Network& trained, double decay);

  // Where the parameters live on a device, FlatParameters::publish() comes first.
  void update(int64_t t);

  const Network& network() const { return *average_; }
  // Goes on from a checkpoint: strict as Module::load().
  void load(const NamedTensors& tensors) { average_->load(tensors, average_->dtype()); }

 private:
  double decay_;
  std::unique_ptr<Network> average_;
  std::vector<std::pair<const Parameter*, Parameter*>> pairs_;  // trained, averaged
};

}  // namespace furrow::train
