#include "train/average.h"

#include <algorithm>

#include "kernels/error.h"

namespace furrow::train {
namespace {

template <class T>
void move_towards(const Tensor& value, Tensor& average, double decay) {
  const auto from = value.values<T>();
  const auto to = average.values<T>();
  const T share = static_cast<T>(1 - decay);
  for (size_t i = 0; i < to.size(); ++i) to[i] += share * (from[i] - to[i]);
}

}  // namespace

WeightAverage::WeightAverage(const Network& trained, double decay)
    : decay_(decay), average_(build(trained.architecture())) {
  require(decay > 0 && decay < 1, "WeightAverage: a decay between 0 and 1");
  average_->load(trained.state(), trained.dtype());
  const std::vector<Module::Keyed> from = trained.parameters(), to = average_->parameters();
  require(from.size() == to.size(), "WeightAverage: the same parameters");
  for (size_t i = 0; i < from.size(); ++i) pairs_.emplace_back(from[i].parameter, to[i].parameter);
}

void WeightAverage::update(int64_t t) {
  const double ramp = static_cast<double>(1 + t) / static_cast<double>(10 + t);
  const double decay = std::min(decay_, ramp);
  for (const auto& [trained, averaged] : pairs_) {
    if (trained->value.dtype() == DType::f64)
      move_towards<double>(trained->value, averaged->value, decay);
    else if (trained->value.dtype() == DType::f32)
      move_towards<float>(trained->value, averaged->value, decay);
    else
      std::ranges::copy(trained->value.values<int64_t>(), averaged->value.values<int64_t>().begin());
  }
}

}  // namespace furrow::train
