// Whole runs on tiny pictures: they learn, they resume bit for bit, they say what is wrong.
#include "train/trainer.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/device.h"
#include "nn/step_peak.h"
#include "segment/model.h"
#include "tests/train/tiny_run.h"
#include "train/run_folder.h"

namespace furrow::testing {
namespace {

using train::TrainJob;
using train::TrainResult;

class Trainer : public TinyRun {
 protected:
  // Runs until `steps` optimiser steps of this session are done.
  static TrainResult interrupted_after(TrainJob job, int64_t steps) {
    int64_t done = 0;
    job.hooks.progress = [&](const train::TrainProgress&) { ++done; };
    job.hooks.interrupted = [&] { return done >= steps; };
    return train::train(job);
  }
  std::vector<nlohmann::json> log(const std::string& run) const {
    std::vector<nlohmann::json> out;
    std::ifstream in(path(run + "/metrics.jsonl"));
    for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
    return out;
  }
};

TEST_F(Trainer, LearnsAndLeavesEverythingBehind) {
  TrainJob one = job("run");
  one.options.epochs = 25;
  one.options.augment_recipe = "none";
  one.options.learning_rate = 1e-2;
  one.options.preflight = true;
  std::vector<std::string> notes;
  one.hooks.note = [&](const std::string& text) { notes.push_back(text); };
  const TrainResult result = train::train(one);
  EXPECT_EQ(result.epochs, 25);
  EXPECT_EQ(result.steps, 75);
  EXPECT_GT(result.best_score, 0.5);  // a bright line on noise: a threshold on one channel would do
  EXPECT_FALSE(result.interrupted);
  for (const char* name : {"config.yaml", "run.json", "metrics.jsonl", "events.out.tfevents.0.furrow", "report.html",
                           "model.safetensors", "model.pth", "checkpoints/last.safetensors",
                           "checkpoints/best.safetensors", "checkpoints/previous.safetensors", "lock"})
    EXPECT_TRUE(std::filesystem::exists(path(std::string("run/") + name))) << name;
  const auto run = nlohmann::json::parse(contents(path("run/run.json")));
  EXPECT_EQ(run["data"]["pairs"], 8);
  EXPECT_EQ(run["data"]["train"], 6);
  EXPECT_EQ(run["best"]["epoch"], result.best_epoch);
  const auto lines = log("run");
  double first = 0, last_loss = 0;
  for (const auto& line : lines)
    if (line["kind"] == "train") {
      if (first == 0) first = line["loss"];
      last_loss = line["loss"];
    }
  EXPECT_LT(last_loss, 0.95 * first);  // 0.88 of it; the Dice of so small a network comes late, its IoU above is good
  const Model model = Model::load(path("run/model.safetensors"));
  EXPECT_EQ(model.info().size, 32);
  EXPECT_EQ(Model::load(path("run/model.pth")).info().architecture, model.info().architecture);
  EXPECT_FALSE(notes.empty());
}

TEST_F(Trainer, ResumesBitForBitAfterEveryStep) {
  train::train(job("whole"));
  const std::string wanted = contents(last("whole"));
  const std::string wanted_log = contents(path("whole/metrics.jsonl"));
  for (int64_t steps = 0; steps < 9; ++steps) {
    const std::string run = "broken" + std::to_string(steps);
    EXPECT_TRUE(interrupted_after(job(run), steps).interrupted);
    TrainJob rest = job(run);
    rest.resume = true;
    EXPECT_EQ(train::train(rest).steps, 9);
    EXPECT_EQ(contents(last(run)), wanted) << steps;
    EXPECT_EQ(contents(path(run + "/metrics.jsonl")), wanted_log) << steps;
    EXPECT_EQ(contents(path(run + "/model.safetensors")).size(), contents(path("whole/model.safetensors")).size());
  }
}

TEST_F(Trainer, ResumesBitForBitWithOtherThreadsAndOptions) {
  const auto changed = [&](const std::string& run) {
    TrainJob out = job(run);
    out.options.accumulate = 2;
    out.options.dropout = 0.2;
    out.options.optimiser = train::Optimiser::sgd;
    out.options.scheduler = train::Scheduler::cosine;
    out.options.warmup_steps = 2;
    out.options.learning_rate = 0.05;
    return out;
  };
  train::train(changed("whole"));
  for (const int threads : {2, 3}) {
    const std::string run = "run" + std::to_string(threads);
    TrainJob first = changed(run);
    first.options.threads = threads;
    interrupted_after(first, 3);
    TrainJob rest = changed(run);
    rest.resume = true;
    train::train(rest);
    EXPECT_EQ(tensors(last(run)), tensors(last("whole"))) << threads;
  }
}

TEST_F(Trainer, TakesTheCheckpointBeforeWhereTheLastIsDamaged) {
  train::train(job("whole"));
  interrupted_after(job("run"), 7);
  std::string bytes = contents(last("run"));
  bytes[bytes.size() / 3] ^= 16;
  write(last("run"), bytes);
  TrainJob rest = job("run");
  rest.resume = true;
  std::vector<std::string> notes;
  rest.hooks.note = [&](const std::string& text) { notes.push_back(text); };
  train::train(rest);
  ASSERT_GE(notes.size(), 2u);
  EXPECT_NE(notes[0].find("checksum"), std::string::npos);
  EXPECT_EQ(contents(last("run")), contents(last("whole")));
  EXPECT_EQ(contents(path("run/metrics.jsonl")), contents(path("whole/metrics.jsonl")));
}

TEST_F(Trainer, OnRefTheSameRunComputesInDoubles) {
  TrainJob one = job("run");
  one.options.device = "ref";
  one.options.epochs = 1;
  const TrainResult result = train::train(one);
  EXPECT_EQ(result.steps, 3);
  for (const NamedTensor& tensor : train::read_snapshot(last("run")).tensors) {
    if (tensor.name.starts_with("adam.")) { EXPECT_EQ(tensor.dtype, DType::f64); }
  }
  EXPECT_EQ(Model::load(path("run/model.safetensors")).tensors()[0].dtype, DType::f32);
}

TEST_F(Trainer, StopsEarly) {
  TrainJob one = job("run");
  one.options.epochs = 50;
  one.options.patience = 2;
  one.options.min_improvement = 1;  // nothing improves by so much
  const TrainResult result = train::train(one);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.epochs, 3);
  EXPECT_EQ(result.best_epoch, 1);
}

TEST_F(Trainer, DivergenceEndsTheRunAndSparesTheCheckpoint) {
  TrainJob one = job("run");
  one.options.learning_rate = 1e30;
  one.options.gradient_clipping = 0;
  one.options.epochs = 50;
  one.options.checkpoint_every = 1;
  std::string warnings;
  one.hooks.note = [&](const std::string& text) { warnings += text + "\n"; };
  try {
    train::train(one);
    FAIL() << "no error; notes: " << warnings;
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::malformed) << error.line(); }
  EXPECT_NO_THROW(train::read_snapshot(last("run")));
  EXPECT_FALSE(train::first_non_finite(train::read_snapshot(last("run")).tensors));
}

TEST_F(Trainer, EmptyMasksAreNamed) {
  for (int i = 0; i < 8; ++i)
    io::write_file_atomically(path("masks/p" + std::to_string(i) + ".png"), io::encode_png(io::Image(32, 32, 1)));
  TrainJob one = job("run");
  one.options.epochs = 8;
  std::string warnings;
  one.hooks.note = [&](const std::string& text) { warnings += text + "\n"; };
  train::train(one);
  EXPECT_NE(warnings.find("warning[masks-empty]: step 20"), std::string::npos) << warnings;
}

TEST_F(Trainer, ThePreflightCountsAndTriesOnePicture) {
  TrainJob one = job("run");
  one.options.base = 8;
  const train::Preflight check = train::preflight(one);
  EXPECT_EQ(check.pairs, 8);
  EXPECT_EQ(check.train, 6);
  EXPECT_EQ(check.val, 2);
  ASSERT_TRUE(check.prevalence);
  EXPECT_DOUBLE_EQ(*check.prevalence, 24.0 / (32 * 32));
  EXPECT_LT(check.loss_after, check.loss_before);
  EXPECT_NO_THROW(check.require_ready());
  EXPECT_FALSE(std::filesystem::exists(path("run")));
  one.options.learning_rate = 1e-30;
  EXPECT_THROW(train::preflight(one).require_ready(), Error);
}

TEST_F(Trainer, ActivationsAreEstimatedAsTheStepUsesThem) {
  struct Case {
    const char* network;
    bool bilinear;
    double dropout;
  };
  for (const auto& [family, bilinear, dropout] :
       {Case{"unet", false, 0}, Case{"unet", false, 0.1}, Case{"unet", true, 0}, Case{"unet", true, 0.1},
        Case{"attention-unet", false, 0.1}, Case{"resnet50-unet", false, 0},
        Case{"resnet50-attention-unet", true, 0.1}}) {
    TrainJob one = job("run");
    one.options.network = family;
    one.options.bilinear = bilinear;
    one.options.dropout = dropout;
    one.options.base = 4;
    std::vector<std::string> notes;
    const auto network = train::make_network(one.options, DType::f32, {}, notes);
    ThreadPool pool(1);
    const auto backend = make_backend(choose_device("cpu").device, &pool);
    TrainStep step(*network, *backend, train::step_options(one.options, train::make_loss(one.options, 1)));
    const Shape input{2, 48, 64, 3};
    const MicroBatch batch{Tensor(input), Tensor({2, 48, 64, 1})};
    step.run({&batch, 1}, 1e-3);
    EXPECT_EQ(step_peak(*network, input, DType::f32), step.memory_bytes()) << family << bilinear << dropout;
  }
}

TEST_F(Trainer, ASecondRunInTheFolderIsRefused) {
  train::train(job("run"));
  try {
    train::train(job("run"));
    FAIL();
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::usage); }
}

}  // namespace
}  // namespace furrow::testing
