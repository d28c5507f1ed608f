// Flat parameters, and freezing what they leave out, on `ref`.
#include "nn/flat_parameters.h"

#include <gtest/gtest.h>

#include "nn/freeze.h"
#include "tests/nn/small_batch.h"

namespace furrow {
namespace {

TEST(FlatParameters, AreWindowsOfTheNetwork) {
  const auto network = random_network(kSmall, 1);
  const NamedTensors before = network->state();
  auto backend = ref_backend();
  FlatParameters flat(*network, *backend);
  const NamedTensors after = network->state();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(std::ranges::equal(before[i].bytes, after[i].bytes));
  size_t trained = 0;
  int64_t end = 0;
  for (const Module::Keyed& k : network->parameters()) {
    if (!k.parameter->trainable) continue;
    const FlatParameters::Entry& entry = flat.entries()[trained++];
    EXPECT_EQ(entry.key, k.key);
    EXPECT_GE(entry.first, end);
    EXPECT_EQ(entry.first % 16, 0);
    end = entry.first + entry.count;
    EXPECT_EQ(k.parameter->value.values<double>().data(), flat.values().values<double>().data() + entry.first) << k.key;
    flat.values().values<double>()[static_cast<size_t>(entry.first)] = 7;
    EXPECT_EQ(k.parameter->value.values<double>()[0], 7);
  }
  EXPECT_EQ(trained, flat.entries().size());
  EXPECT_LE(end, flat.count());
  network->load(before, DType::f64);  // windows are gone
  flat.rebind();
  EXPECT_EQ(flat.values().values<double>()[0], network->parameters()[0].parameter->value.values<double>()[0]);
  EXPECT_EQ(network->parameters()[0].parameter->value.values<double>().data(), flat.values().values<double>().data());
}

TEST(FlatParameters, SegmentsLeaveOutNormsAndBiases) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  const FlatParameters flat(*network, *backend);
  const auto all = flat.segments(0.25, Decayed::all), weights = flat.segments(0.25, Decayed::weights);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].first, 0);
  EXPECT_EQ(all[0].weight_decay, 0.25f);
  for (const FlatParameters::Entry& entry : flat.entries()) {
    const auto next = std::ranges::find_if(weights, [&](const OptimSegment& s) { return s.first > entry.first; });
    const bool norm_or_bias = entry.key.ends_with("bias") || entry.parameter->dims.size() == 1;
    EXPECT_EQ(std::prev(next)->weight_decay, norm_or_bias ? 0 : 0.25f) << entry.key;
  }
}

TEST(FlatParameters, BuffersGoIntoNamedArraysAndBack) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  const FlatParameters flat(*network, *backend);
  Tensor moment = random_tensor(flat.values().shape(), 3), back = flat.zeros();
  const NamedTensors named = flat.named(moment, "m.");
  EXPECT_EQ(named[0].name, "m.inc.double_conv.0.weight");
  flat.take(named, "m.", back);
  for (const FlatParameters::Entry& entry : flat.entries())
    EXPECT_TRUE(same(FlatParameters::window(moment, entry), FlatParameters::window(back, entry))) << entry.key;
  const auto refusal = [&](NamedTensors from) {
    Tensor untouched = flat.zeros();
    try {
      flat.take(from, "m.", untouched);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      EXPECT_TRUE(same(untouched, flat.zeros()));
      return error.reason();
    }
    return std::string("accepted");
  };
  NamedTensors cut = named;
  cut.pop_back();
  EXPECT_EQ(refusal(cut), "no array m.outc.conv.bias to go on from");
  NamedTensors other = named;
  other[0].dims[0] = 2;
  EXPECT_NE(refusal(other).find("m.inc.double_conv.0.weight is 2x3x3x3"), std::string::npos) << refusal(other);
}

TEST(Freeze, TakesTheEncoderOutAndItsStatisticsAlong) {
  for (const auto statistics : {FrozenStatistics::fixed, FrozenStatistics::moving}) {
    const auto network = random_network(kSmall, 1);
    freeze(*network, network->encoder(), statistics);
    auto backend = ref_backend();
    const NamedTensors before = network->state();
    TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{})});
    train.run(batch_of(2, 5), 1e-2);
    const NamedTensors after = network->state();
    for (size_t i = 0; i < before.size(); ++i) {
      const std::string& key = before[i].name;
      const bool encoder = key.starts_with("inc.") || key.starts_with("down");
      const bool buffer = key.find("running") != std::string::npos || key.ends_with("tracked");
      const bool moves = !encoder || (buffer && statistics == FrozenStatistics::moving);
      EXPECT_EQ(!std::ranges::equal(before[i].bytes, after[i].bytes), moves) << key;
    }
    for (const FlatParameters::Entry& entry : train.parameters().entries()) EXPECT_FALSE(entry.key.starts_with("down"));
  }
}

TEST(Freeze, RefusesWhatIsNotThere) {
  const auto network = random_network(kSmall, 1);
  const auto refusal = [&](const std::vector<std::string>& prefixes) {
    try {
      freeze(*network, prefixes, FrozenStatistics::fixed);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::configuration);
      for (const Module::Keyed& k : network->parameters()) EXPECT_FALSE(k.parameter->frozen) << k.key;
      return error.line();
    }
    return std::string("accepted");
  };
  EXPECT_NE(refusal({"inc", "down"}).find("nothing to freeze under \"down\"; the network has down1, down2"),
            std::string::npos);
  EXPECT_NE(refusal({"inc", "down1", "down2", "down3", "down4", "up1", "up2", "up3", "up4", "outc"}).find("everything"),
            std::string::npos);
}

}  // namespace
}  // namespace furrow
