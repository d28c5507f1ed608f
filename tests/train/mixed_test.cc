// Training in mixed precision, on the emulated CUDA kernels: the loss scale, what is said of steps that are left out,
// going on.
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "tests/train/tiny_run.h"
#include "train/setup.h"
#include "train/skipped_step.h"

namespace furrow::testing {
namespace {

using train::TrainJob;

class MixedTraining : public TinyRun {
 protected:
  // Four steps on two pictures of 16 x 16: the emulator takes a second for each. At a loss scale of 2^27 gradients
  // overflow; one good step doubles it, so that it stays where some do and some do not.
  TrainJob mixed(const std::string& run) const {
    TrainJob out = job(run);
    out.options.device = "cpu-emulated";
    out.options.precision = train::Precision::mixed;
    out.options.epochs = 1;
    out.options.size = 16;
    out.options.val_percent = 0;
    out.options.loss_scale = 0x1p27;
    out.options.loss_scale_interval = 1;
    out.options.log_every = 1;
    return out;
  }
  std::vector<nlohmann::json> log(const std::string& run) const {
    std::vector<nlohmann::json> out;
    std::ifstream in(path(run + "/metrics.jsonl"));
    for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
    return out;
  }
};

TEST_F(MixedTraining, LeavesOutWhatOverflowsAndResumesBitForBit) {
  TrainJob one = mixed("whole");
  std::string notes;
  one.hooks.note = [&](const std::string& text) { notes += text + "\n"; };
  train::train(one);
  EXPECT_NE(notes.find("warning[not-finite]: step 1: not a finite number: 54 of 54 elements of the gradient of "
                       "inc.double_conv.0.weight"),
            std::string::npos)
      << notes;
  EXPECT_NE(notes.find("(the loss scale is now 67108864); the step was left out"), std::string::npos) << notes;
  double scale = 0x1p27;
  int skipped = 0, good = 0;
  for (const auto& line : log("whole")) {
    if (line["kind"] != "train") continue;
    const bool left_out = line["skipped"] == 1;
    ++(left_out ? skipped : good);
    scale *= left_out ? 0.5 : 2;
    EXPECT_EQ(line["loss_scale"], scale) << line.dump();
    EXPECT_EQ(line["loss"] > 0, !left_out);
  }
  EXPECT_GT(skipped, 0);
  EXPECT_GT(good, 0);
  EXPECT_EQ(skipped + good, 4);

  TrainJob first = mixed("run");
  int64_t done = 0;
  first.hooks.progress = [&](const train::TrainProgress&) { ++done; };
  first.hooks.interrupted = [&] { return done >= 2; };
  EXPECT_TRUE(train::train(first).interrupted);
  TrainJob rest = mixed("run");
  rest.resume = true;
  EXPECT_EQ(train::train(rest).steps, 4);
  EXPECT_EQ(tensors(last("run")), tensors(last("whole")));
  EXPECT_EQ(contents(path("run/metrics.jsonl")), contents(path("whole/metrics.jsonl")));
}

// The pre-flight's steps begin at the same scale as the run's.
TEST_F(MixedTraining, TheConfigurationsLossScaleIsTheSteps) {
  train::TrainOptions o;
  EXPECT_EQ(train::step_options(o, squared_error_loss()).loss_scale, 1);
  EXPECT_EQ(train::step_options(o, squared_error_loss()).scaling.interval, 0);
  o.precision = train::Precision::mixed;
  EXPECT_EQ(train::step_options(o, squared_error_loss()).loss_scale, 65536);
  EXPECT_EQ(train::step_options(o, squared_error_loss()).scaling.interval, 2000);
  o.loss_scale = 8, o.loss_scale_interval = 3;
  EXPECT_EQ(train::step_options(o, squared_error_loss()).loss_scale, 8);
  EXPECT_EQ(train::step_options(o, squared_error_loss()).scaling.interval, 3);
}

TEST_F(MixedTraining, IsOfTheCudaKernelsAlone) {
  for (const char* device : {"cpu", "ref"}) {
    TrainJob one = mixed("run");
    one.options.device = device;
    try {
      train::train(one);
      ADD_FAILURE() << device;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      EXPECT_NE(error.line().find("mixed precision needs device cuda, and this is " + std::string(device)),
                std::string::npos);
    }
  }
}

TEST(SkippedStep, SaysWhereItBegan) {
  StepResult step;
  EXPECT_EQ(train::skipped_step_text(step, 8), "");
  step.skipped = true;
  EXPECT_EQ(train::skipped_step_text(step, 0), "the gradient");
  step.bad = {.key = "a.weight", .elements = 2, .of = 3, .began = "a.weight"};
  EXPECT_EQ(train::skipped_step_text(step, 0), "2 of 3 elements of the gradient of a.weight");
  step.bad.began = "b.weight";
  step.loss.total = NAN;
  EXPECT_EQ(train::skipped_step_text(step, 16384),
            "the loss, and 2 of 3 elements of the gradient of a.weight, after that of b.weight (the loss scale is now "
            "16384)");
}

}  // namespace
}  // namespace furrow::testing
