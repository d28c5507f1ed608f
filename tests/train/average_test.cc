// The moving average of the weights: its formula, and that it is what a run validates, saves, resumes and exports.
#include "train/average.h"

#include <algorithm>

#include "io/checkpoint.h"
#include "segment/model.h"
#include "tests/train/tiny_run.h"
#include "train/run_state.h"

namespace furrow::testing {
namespace {

using train::TrainJob;
using train::WeightAverage;

TEST(WeightAverage, FollowsTheFormulaInEveryTensor) {
  const std::unique_ptr<Network> trained = build({.base = 2});
  trained->initialise(3, DType::f64);
  WeightAverage average(*trained, 0.4);
  // By hand, in the first element of every tensor: d = 2/11, 3/12, then 0.4 from (1 + t) / (10 + t) > 0.4, t = 6.
  std::vector<double> wanted;
  for (const Module::Keyed& k : trained->parameters())
    wanted.push_back(k.parameter->value.dtype() == DType::f64 ? k.parameter->value.values<double>()[0] : 0);
  for (int64_t t = 1; t <= 9; ++t) {
    const double d = t < 6 ? static_cast<double>(1 + t) / static_cast<double>(10 + t) : 0.4;
    size_t i = 0;
    for (const Module::Keyed& k : trained->parameters()) {
      Tensor& value = k.parameter->value;
      if (value.dtype() == DType::f64) {
        value.values<double>()[0] += static_cast<double>(t) + static_cast<double>(i);
        wanted[i] = d * wanted[i] + (1 - d) * value.values<double>()[0];
      } else {
        value.values<int64_t>()[0] = t;
        wanted[i] = static_cast<double>(t);
      }
      ++i;
    }
    average.update(t);
  }
  size_t i = 0;
  for (const NamedTensor& tensor : average.network().state()) {
    const double got = tensor.to<double>()[0];
    EXPECT_NEAR(got, wanted[i], 1e-12 * (1 + std::abs(wanted[i]))) << tensor.name;
    ++i;
  }
  EXPECT_EQ(i, wanted.size());
}

class AveragedRun : public TinyRun {
 protected:
  TrainJob averaged(const std::string& run) const {
    TrainJob out = job(run);
    out.options.average_decay = 0.9;
    return out;
  }
};

TEST_F(AveragedRun, ResumesBitForBit) {
  train::train(averaged("whole"));
  for (const int64_t steps : {1, 3, 5}) {
    const std::string run = "broken" + std::to_string(steps);
    TrainJob first = averaged(run);
    int64_t done = 0;
    first.hooks.progress = [&](const train::TrainProgress&) { ++done; };
    first.hooks.interrupted = [&] { return done >= steps; };
    EXPECT_TRUE(train::train(first).interrupted);
    TrainJob rest = averaged(run);
    rest.resume = true;
    train::train(rest);
    EXPECT_EQ(contents(last(run)), contents(last("whole"))) << steps;
    EXPECT_EQ(contents(path(run + "/metrics.jsonl")), contents(path("whole/metrics.jsonl"))) << steps;
  }
}

TEST_F(AveragedRun, TrainsAsOneWithoutAndExportsTheAverage) {
  TrainJob plain = job("plain"), with = averaged("with");
  train::train(plain);
  train::train(with);
  const train::Snapshot best = train::read_snapshot(path("with/checkpoints/best.safetensors"));
  const io::Checkpoint exported = io::read_checkpoint(path("with/model.safetensors"));
  std::map<std::string, std::vector<double>> model, average;
  for (const NamedTensor& t : train::model_tensors(best)) model[t.name] = t.to<double>();
  for (const NamedTensor& t : train::exported_tensors(best)) average[t.name] = t.to<double>();
  bool differ = false;
  for (const NamedTensor& t : exported.tensors) {
    EXPECT_EQ(t.to<double>(), average.at(t.name)) << t.name;
    differ = differ || average.at(t.name) != model.at(t.name);
  }
  EXPECT_TRUE(differ);
  // The average looks on: the trained weights are those of a run without it.
  const auto a = tensors(last("plain")), b = tensors(last("with"));
  for (const auto& [name, bytes] : a) {
    if (name.starts_with("model.")) { EXPECT_EQ(b.at(name), bytes) << name; }
  }
  EXPECT_NE(contents(path("plain/metrics.jsonl")), contents(path("with/metrics.jsonl")));  // other validations
}

TEST_F(AveragedRun, ItsCheckpointsOpenAsModels) {
  train::train(averaged("with"));
  train::train(job("plain"));
  for (const auto& [run, part] : {std::pair("with", "average"), std::pair("plain", "model")}) {
    const io::Checkpoint file = io::read_checkpoint(path(std::string(run) + "/checkpoints/best.safetensors"));
    const io::Checkpoint exported = io::read_checkpoint(path(std::string(run) + "/model.safetensors"));
    EXPECT_EQ(file.nested_under, part);
    ASSERT_EQ(file.tensors.size(), exported.tensors.size());
    for (size_t i = 0; i < file.tensors.size(); ++i) {
      EXPECT_EQ(file.tensors[i].name, exported.tensors[i].name);
      EXPECT_EQ(file.tensors[i].to<double>(), exported.tensors[i].to<double>()) << file.tensors[i].name;
    }
    EXPECT_EQ(file.notes.size(), 1u);
    EXPECT_EQ(Model::load(path(std::string(run) + "/checkpoints/best.safetensors")).info().architecture,
              Model::load(path(std::string(run) + "/model.safetensors")).info().architecture);
  }
}

TEST_F(AveragedRun, ADamagedCheckpointIsNoModel) {
  train::train(averaged("run"));
  const std::string file = path("run/checkpoints/best.safetensors"), whole = contents(file);
  const NamedTensors tensors = io::read_checkpoint(file).tensors;
  const auto found = std::ranges::find(tensors, "inc.double_conv.0.weight", &NamedTensor::name);
  ASSERT_NE(found, tensors.end());
  const std::string weight(reinterpret_cast<const char*>(found->bytes.data()), found->bytes.size());
  std::string damaged = whole;
  damaged[damaged.find(weight) + 5] ^= 4;
  write(path("damaged.safetensors"), damaged);
  try {
    io::read_checkpoint(path("damaged.safetensors"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::checksum);
    EXPECT_NE(error.line().find("average.inc.double_conv.0.weight"), std::string::npos) << error.line();
  }
}

TEST_F(AveragedRun, NeedsACheckpointThatHasOne) {
  TrainJob first = job("run");
  first.options.epochs = 1;
  train::train(first);
  TrainJob rest = averaged("run");
  rest.resume = true;
  try {
    train::train(rest);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(error.line().find("average_decay"), std::string::npos) << error.line();
  }
}

}  // namespace
}  // namespace furrow::testing
