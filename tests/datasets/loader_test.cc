// The loader: the same batches whatever the threads, errors in their place, no hanging, resumption.
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <set>
#include <thread>

#include "kernels/error.h"
#include "kernels/random.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT

class LoaderTest : public testing::Test {
 protected:
  static constexpr int kItems = 11, kSide = 12;

  void SetUp() override {
    for (int i = 0; i < kItems; ++i) {
      const std::string id = std::to_string(100 + i);
      folder_.write("i/" + id + ".png", photo(kSide, kSide, static_cast<uint64_t>(i)));
      folder_.write("m/" + id + ".png", sparse(kSide, kSide, static_cast<uint64_t>(i)));
      pairs_.push_back({id, folder_.path("i/" + id + ".png"), folder_.path("m/" + id + ".png"), ""});
    }
  }
  Dataset dataset(DatasetOptions o = {}) const {
    o.width = o.height = kSide;
    return {pairs_, o};
  }
  static std::vector<int64_t> all() {
    std::vector<int64_t> positions(kItems);
    std::iota(positions.begin(), positions.end(), 0);
    return positions;
  }
  static LoaderOptions options(int threads, int64_t batch = 4) {
    LoaderOptions o;
    o.batch = batch;
    o.threads = threads;
    o.seed = 5;
    return o;
  }

  TempFolder folder_;
  std::vector<PairFiles> pairs_;
};

std::string bytes_of(const Batch& batch) {
  std::string text = std::to_string(batch.epoch) + "/" + std::to_string(batch.index) + ":";
  for (const int64_t item : batch.items) text += " " + std::to_string(item);
  const auto image = batch.image.values<float>();
  const auto target = batch.target.values<float>();
  text.append(reinterpret_cast<const char*>(image.data()), image.size_bytes());
  text.append(reinterpret_cast<const char*>(target.data()), target.size_bytes());
  return text;
}

// Everything that `batches` calls of next() give, ends of epochs included.
std::vector<std::string> run(Loader& loader, int calls) {
  std::vector<std::string> found;
  for (int i = 0; i < calls; ++i) {
    const auto batch = loader.next();
    found.push_back(batch ? bytes_of(*batch) : "end");
  }
  return found;
}

// Draws from its key alone, as augmentations must, and takes a different time for each item.
void shift(Sample& sample, const DrawKey& key) {
  const double u = Philox(key.seed).uniform(key.stream(), 0);
  std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(u * 2000)));
  for (uint8_t& p : sample.image.pixels) p = static_cast<uint8_t>(p + static_cast<int>(u * 200));
}

TEST_F(LoaderTest, SameBatchesWhateverTheThreads) {
  const Dataset data = dataset();
  Loader alone(data, all(), options(0), shift);
  const auto expected = run(alone, 12);
  EXPECT_EQ(std::ranges::count(expected, "end"), 3);  // 3 batches and an end, three times
  EXPECT_EQ(std::set<std::string>(expected.begin(), expected.end()).size(), 10u);
  for (const int threads : {1, 2, 3, 8}) {
    for (const int64_t prefetch : {1, 2, 6}) {
      LoaderOptions o = options(threads);
      o.prefetch = prefetch;
      Loader loader(data, all(), o, shift);
      EXPECT_EQ(run(loader, 12), expected) << threads << " threads, " << prefetch << " ahead";
    }
  }
}

TEST_F(LoaderTest, EachEpochHoldsEveryItemOnceInItsOwnOrder) {
  const Dataset data = dataset();
  Loader loader(data, {2, 3, 5, 7, 9}, options(2, 2));
  std::vector<std::vector<int64_t>> epochs;
  for (int e = 0; e < 4; ++e) {
    std::vector<int64_t> order;
    std::vector<size_t> sizes;
    while (const auto batch = loader.next()) {
      EXPECT_EQ(batch->epoch, static_cast<uint32_t>(e));
      EXPECT_EQ(batch->index, static_cast<int64_t>(sizes.size()));
      EXPECT_EQ(batch->image.shape(), (Shape{static_cast<int64_t>(batch->items.size()), kSide, kSide, 3}));
      order.insert(order.end(), batch->items.begin(), batch->items.end());
      sizes.push_back(batch->items.size());
    }
    EXPECT_EQ(sizes, (std::vector<size_t>{2, 2, 1}));
    epochs.push_back(order);
    std::ranges::sort(order);
    EXPECT_EQ(order, (std::vector<int64_t>{2, 3, 5, 7, 9}));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_EQ(loader.batches_given(), 12);
}

TEST_F(LoaderTest, OrderIsAFunctionOfSeedAndEpoch) {
  EXPECT_EQ(epoch_order(100, 1, 2), epoch_order(100, 1, 2));
  EXPECT_NE(epoch_order(100, 1, 2), epoch_order(100, 1, 3));
  EXPECT_NE(epoch_order(100, 1, 2), epoch_order(100, 2, 2));
  EXPECT_EQ(epoch_order(1, 1, 1), std::vector<int64_t>{0});
  EXPECT_TRUE(epoch_order(0, 1, 1).empty());
  // Each of 5 items is first in about a fifth of 5000 epochs: 1000 with a standard deviation of 28; five of them.
  std::vector<int> first(5);
  for (uint32_t e = 0; e < 5000; ++e) ++first[static_cast<size_t>(epoch_order(5, 3, e)[0])];
  for (const int count : first) EXPECT_NEAR(count, 1000, 140);
}

TEST_F(LoaderTest, WithoutShufflingAndWithoutTheRest) {
  const Dataset data = dataset();
  LoaderOptions o = options(2);
  o.shuffle = false;
  o.drop_last = true;
  Loader loader(data, all(), o);
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_EQ(loader.next()->items, (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(loader.next()->items, (std::vector<int64_t>{4, 5, 6, 7}));
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_EQ(loader.next()->items, (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST_F(LoaderTest, GoesOnWhereAnotherStopped) {
  const Dataset data = dataset();
  Loader whole(data, all(), options(2), shift);
  const auto expected = run(whole, 14);
  for (int cut = 0; cut < 10; ++cut) {
    LoaderPosition position;
    {
      Loader first(data, all(), options(3), shift);
      run(first, cut);
      position = first.position();
    }
    Loader second(data, all(), options(cut % 3), shift, position);
    EXPECT_EQ(run(second, 14 - cut), std::vector<std::string>(expected.begin() + cut, expected.end())) << cut;
  }
}

TEST_F(LoaderTest, PixelsAreScaledAsForInference) {
  const Dataset data = dataset();
  const struct {
    Scaling scaling;
    bool raw;
    double (*value)(double v, size_t c);
  } cases[] = {{Scaling::none, false, [](double v, size_t) { return v / 255; }},
               {Scaling::none, true, [](double v, size_t) { return v; }},
               {Scaling::half, false, [](double v, size_t) { return 2 * (v / 255) - 1; }},
               {Scaling::imagenet, false, [](double v, size_t c) {
                  constexpr double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
                  return (v / 255 - mean[c]) / deviation[c];
                }}};
  for (const auto& c : cases) {
    LoaderOptions o = options(1, 1);
    o.scaling = c.scaling;
    o.raw_scale = c.raw;
    Loader loader(data, {4}, o);
    const auto batch = loader.next();
    const Sample sample = data.load(4);
    const auto image = batch->image.values<float>();
    for (size_t i = 0; i < image.size(); ++i)
      ASSERT_EQ(image[i], static_cast<float>(c.value(sample.image.pixels[i], i % 3)));
    const auto target = batch->target.values<float>();
    for (size_t i = 0; i < target.size(); ++i) ASSERT_EQ(target[i], sample.target.pixels[i] ? 1.f : 0.f);
  }
}

TEST_F(LoaderTest, ClassesAreIntegersAndTexturesTheFourthChannel) {
  for (PairFiles& files : pairs_) files.texture = files.mask;
  DatasetOptions d;
  d.rule = {MaskKind::classes, {}, {}, {{0, 1}, {255, 0}}};
  const Dataset data = dataset(d);
  Loader loader(data, {3}, options(1, 1));
  const auto batch = loader.next();
  EXPECT_EQ(batch->image.shape(), (Shape{1, kSide, kSide, 4}));
  const auto labels = batch->target.values<int32_t>();
  const auto image = batch->image.values<float>();
  for (size_t i = 0; i < labels.size(); ++i) {
    ASSERT_EQ(labels[i], sparse(kSide, kSide, 3).pixels[i] ? 0 : 1);
    ASSERT_EQ(image[4 * i + 3], sparse(kSide, kSide, 3).pixels[i] ? 1.f : 0.f);
  }
}

TEST_F(LoaderTest, AugmentGetsTheKeyOfItsItem) {
  const Dataset data = dataset();
  std::atomic<int> wrong{0}, calls{0};
  LoaderOptions o = options(3);
  o.seed = uint64_t{1} << 40;
  Loader loader(data, all(), o, [&](Sample& sample, const DrawKey& key) {
    wrong += key.seed != uint64_t{1} << 40 || sample.id != std::to_string(100 + key.item) || key.epoch > 9;
    ++calls;
  });
  run(loader, 8);
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(calls, 2 * kItems);
}

TEST_F(LoaderTest, ErrorsComeInTheirPlaceAndStay) {
  const Dataset data = dataset();
  folder_.write("m/107.png", std::string("BM"));
  folder_.write("m/109.png", std::string());
  for (const int threads : {0, 1, 4}) {
    LoaderOptions o = options(threads);
    o.shuffle = false;
    Loader loader(data, all(), o);
    EXPECT_EQ(loader.next()->items.size(), 4u);
    for (int again = 0; again < 2; ++again) {
      try {
        loader.next();
        ADD_FAILURE() << "accepted";
      } catch (const Error& error) { EXPECT_NE(error.line().find("107.png"), std::string::npos) << error.line(); }
    }
    EXPECT_EQ(loader.position(), (LoaderPosition{0, 1}));
  }
}

TEST_F(LoaderTest, WhatAnAugmentationThrowsComesOutOfNext) {
  const Dataset data = dataset();
  for (const int threads : {0, 2}) {
    Loader loader(data, all(), options(threads), [](Sample&, const DrawKey&) { throw std::runtime_error("thrown"); });
    EXPECT_THROW(loader.next(), std::runtime_error);
  }
  Loader cut(data, all(), options(2), [](Sample& s, const DrawKey&) { s.target = io::Image(3, 3, 1); });
  EXPECT_THROW(cut.next(), Error);
}

TEST_F(LoaderTest, DifferentSizesInABatchAreNamedByPlace) {
  folder_.write("i/102.png", photo(20, 20, 2));
  folder_.write("m/102.png", sparse(20, 20, 2));
  DatasetOptions d;
  d.path = ResizePath::none;
  const Dataset data = dataset(d);
  for (const int threads : {0, 1, 4}) {
    LoaderOptions o = options(threads);
    o.shuffle = false;
    Loader loader(data, all(), o, shift);
    try {
      loader.next();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_NE(error.line().find("100 is 1x12x12x3, 102 is 1x20x20x3"), std::string::npos) << error.line();
    }
  }
}

TEST_F(LoaderTest, NeverMoreThanItsQueue) {
  const Dataset data = dataset();
  std::atomic<int> started{0};
  LoaderOptions o = options(4, 2);
  o.prefetch = 2;
  Loader loader(data, all(), o, [&](Sample&, const DrawKey&) { ++started; });
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LE(started, 2 + 2 * 2);  // one batch given, two ahead
}

TEST_F(LoaderTest, StopsWithoutHangingWhateverItDoes) {
  const Dataset data = dataset();
  for (int calls = 0; calls < 6; ++calls) {
    Loader loader(data, all(), options(4), shift);
    run(loader, calls);
  }
  // One thread stands inside an item while the loader goes away.
  std::atomic<bool> inside{false};
  {
    Loader loader(data, all(), options(2), [&](Sample&, const DrawKey&) {
      inside = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    });
    while (!inside) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  SUCCEED();
}

TEST_F(LoaderTest, WaitingIsMeasured) {
  const Dataset data = dataset();
  const Augment slow = [](Sample&, const DrawKey&) { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
  Loader in_place(data, all(), options(0), slow);
  in_place.next();
  EXPECT_GE(in_place.seconds_waited(), 0.04);  // four items
  EXPECT_EQ(in_place.batches_given(), 1);
}

TEST_F(LoaderTest, EpochsWithoutABatchAreConfigurationErrors) {
  const Dataset data = dataset();
  LoaderOptions o = options(1, 20);
  o.drop_last = true;
  EXPECT_THROW(Loader(data, all(), o), Error);
  EXPECT_THROW(Loader(data, {}, options(1)), Error);
  EXPECT_THROW(Loader(data, {99}, options(1)), Error);
}

}  // namespace
}  // namespace furrow::data
