// A small network's batch, for the tests of training.
#pragma once

#include "nn/train_step.h"
#include "tests/nn/support.h"

namespace furrow {

inline const Architecture kSmall{.base = 1};

inline Tensor targets(const Shape& shape, uint64_t seed) {
  Tensor t = random_tensor(shape, seed, 0, 1);
  for (double& value : t.values<double>()) value = value > 0.8;
  return t;
}

inline std::vector<MicroBatch> batch_of(int64_t images, uint64_t seed, int64_t h = 19, int64_t w = 22) {
  return {{random_tensor({images, h, w, 3}, seed), targets({images, h, w, 1}, seed + 1)}};
}

inline bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::f64 ? std::ranges::equal(a.values<double>(), b.values<double>())
                                 : std::ranges::equal(a.values<float>(), b.values<float>());
}

}  // namespace furrow
