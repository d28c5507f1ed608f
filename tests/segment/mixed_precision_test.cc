// Which layers go back to float32, and which come again, with an agreement that adds up.
#include "segment/mixed_precision.h"

#include <gtest/gtest.h>

#include "kernels/error.h"

namespace furrow {
namespace {

// 1 less the costs of the layers in bytes, which need not be what `moved` says of them.
struct Costs {
  std::vector<double> of_layer;
  int asked = 0;
  double operator()(const std::vector<MixedLayer>& layers) {
    ++asked;
    double agreement = 1;
    for (size_t i = 0; i < layers.size(); ++i) agreement -= layers[i].in_bytes ? of_layer[i] : 0;
    return agreement;
  }
};

std::vector<bool> in_bytes(const std::vector<MixedLayer>& layers) {
  std::vector<bool> out;
  for (const MixedLayer& layer : layers) out.push_back(layer.in_bytes);
  return out;
}

TEST(Settle, LeavesAllInBytesWhereThatIsEnough) {
  std::vector<MixedLayer> layers = {{0.5, 1}, {0.1, 2}};
  Costs costs{{0.004, 0.005}};
  EXPECT_NEAR(settle(layers, 0.99, std::ref(costs)), 0.991, 1e-12);
  EXPECT_EQ(in_bytes(layers), std::vector<bool>({true, true}));
  EXPECT_EQ(costs.asked, 1);
}

// The first moves more, the second more for its multiplications.
TEST(Settle, TheMostHarmForItsMultiplicationsGoesFirst) {
  std::vector<MixedLayer> layers = {{0.4, 1000}, {0.3, 100}, {0.1, 100}};
  Costs costs{{0.01, 0.01, 0.001}};
  EXPECT_NEAR(settle(layers, 0.985, std::ref(costs)), 0.989, 1e-12);
  EXPECT_EQ(in_bytes(layers), std::vector<bool>({true, false, true}));
}

// What moves logits most may cost the masks nothing: once the others are gone it comes again, the largest first.
TEST(Settle, WhatWentWithoutNeedComesAgain) {
  std::vector<MixedLayer> layers = {{0.9, 10}, {0.8, 10}, {0.7, 20}, {0.1, 10}};
  Costs costs{{0.001, 0.02, 0.001, 0.0}};
  // 0.978; less the first 0.979; less the second 0.999: the first comes again, the second does not fit.
  EXPECT_NEAR(settle(layers, 0.99, std::ref(costs)), 0.998, 1e-12);
  EXPECT_EQ(in_bytes(layers), std::vector<bool>({true, false, true, true}));
  EXPECT_EQ(costs.asked, 5);

  std::vector<MixedLayer> sizes = {{0.9, 10}, {0.95, 20}, {0.5, 5}};
  Costs room_for_one{{0.006, 0.006, 0.006}};
  settle(sizes, 0.993, std::ref(room_for_one));
  EXPECT_EQ(in_bytes(sizes), std::vector<bool>({false, true, false})) << "of those that fit alone the largest";
}

TEST(Settle, NothingInBytesMustBeEnough) {
  std::vector<MixedLayer> layers = {{0.5, 1}};
  EXPECT_THROW(settle(layers, 0.99, [](const std::vector<MixedLayer>&) { return 0.5; }), Error);
}

}  // namespace
}  // namespace furrow
