// Which pictures a run trains on and measures, and which part of them.
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/device.h"
#include "segment/model.h"
#include "tests/train/tiny_run.h"
#include "train/setup.h"

namespace furrow::testing {
namespace {

using train::TrainJob;

using DataChoices = TinyRun;

TEST_F(DataChoices, FourFoldsMeasureEveryPictureOnce) {
  std::multiset<std::string> measured;
  for (int fold = 0; fold < 4; ++fold) {
    TrainJob one = job("run" + std::to_string(fold));
    one.options.split_rule = train::SplitRule::folds;
    one.options.split_folds = 4;
    one.options.split_fold = fold;
    one.options.epochs = 1;
    train::train(one);
    const auto run = nlohmann::json::parse(contents(one.run + "/run.json"));
    EXPECT_EQ(run["split"]["validation"].size(), 2u);
    EXPECT_EQ(run["data"]["train"], 6);
    for (const auto& id : run["split"]["validation"]) measured.insert(id.get<std::string>());
  }
  EXPECT_EQ(measured.size(), 8u);
  EXPECT_EQ(std::set<std::string>(measured.begin(), measured.end()).size(), 8u);
}

TEST_F(DataChoices, TrainingSeesCropsAndValidationWholePictures) {
  TrainJob one = job("run");
  one.options.size = 64;
  one.options.crop = 32;
  const train::Data data = train::open_data(one.options, {}, nullptr);
  const auto side = [&](bool validation) {
    data::Loader loader(*data.set, validation ? data.val : data.train,
                        train::loader_options(one.options, validation, 0),
                        train::augmentation(one.options, validation));
    return loader.next()->image.shape();
  };
  EXPECT_EQ(side(false), (Shape{2, 32, 32, 3}));
  EXPECT_EQ(side(true), (Shape{2, 64, 64, 3}));
  // One crop for a picture and an epoch, whatever the recipe; another in the next epoch.
  one.options.augment_recipe = "none";
  const data::Augment cut = train::augmentation(one.options, false);
  std::set<std::vector<uint8_t>> seen;
  for (uint32_t epoch = 0; epoch < 8; ++epoch) {
    data::Sample sample = data.set->load(data.train[0]), again = sample;
    cut(sample, {.seed = 1, .epoch = epoch, .item = 3});
    cut(again, {.seed = 1, .epoch = epoch, .item = 3});
    EXPECT_EQ(sample.image.pixels, again.image.pixels);
    seen.insert(sample.image.pixels);
  }
  EXPECT_GE(seen.size(), 6u);  // two of eight may share one of 1089 places, three hardly
}

TEST_F(DataChoices, ARunOnCropsResumesBitForBitAndKnowsItsSize) {
  const auto cropped = [&](const std::string& run) {
    TrainJob out = job(run);
    out.options.size = 64;
    out.options.crop = 32;
    return out;
  };
  train::train(cropped("whole"));
  TrainJob first = cropped("broken");
  int64_t done = 0;
  first.hooks.progress = [&](const train::TrainProgress&) { ++done; };
  first.hooks.interrupted = [&] { return done >= 4; };
  EXPECT_TRUE(train::train(first).interrupted);
  TrainJob rest = cropped("broken");
  rest.resume = true;
  rest.options.threads = 2;
  train::train(rest);
  EXPECT_EQ(tensors(last("broken")), tensors(last("whole")));
  EXPECT_EQ(Model::load(path("whole/model.safetensors")).info().size, 64);
}

TEST_F(DataChoices, ThePreflightTriesACropThatHasAWrinkle) {
  TrainJob one = job("run");
  one.options.size = 64;
  one.options.crop = 32;
  one.options.base = 4;
  one.options.learning_rate = 1e-2;
  const train::Preflight check = train::preflight(one);
  EXPECT_LT(check.loss_after, check.loss_before);
  TrainJob whole = one;
  whole.options.crop = 0;
  const train::Preflight large = train::preflight(whole);
  EXPECT_LT(check.memory.activations, large.memory.activations);
  EXPECT_LT(check.memory.data, large.memory.data);
  EXPECT_EQ(check.memory.validation, large.memory.validation);  // validation is the same
}

}  // namespace
}  // namespace furrow::testing
