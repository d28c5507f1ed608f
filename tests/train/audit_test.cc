// The gradient audit on a dump that PyTorch made (tests/data/make_audit_dump.py), and on the same with one thing wrong.
#include "train/audit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "io/safetensors.h"
#include "tests/train/temporary_folder.h"

namespace furrow::train {
namespace {

const std::string kFolder = FURROW_TEST_DATA "/audit/";

const io::Checkpoint& dump_file() {
  static const io::Checkpoint file = io::read_checkpoint(kFolder + "dump.pth");
  return file;
}

NamedTensor& find(io::Checkpoint& file, const std::string& name) {
  return *std::ranges::find(file.tensors, name, &NamedTensor::name);
}

void set(NamedTensor& t, const std::vector<double>& values) {
  auto owner = std::make_shared<std::vector<double>>(values);
  t.dtype = DType::f64;
  t.bytes = std::as_bytes(std::span(*owner));
  t.owner = owner;
}

Audit audit(const io::Checkpoint& file, DeviceKind kind = DeviceKind::ref) {
  static const io::Checkpoint weights = io::read_checkpoint(kFolder + "weights.pth");
  BackendOptions options;
  if (kind == DeviceKind::cpu_emulated) options.precision = Precision::fp32;
  const auto backend = make_backend({kind, 0}, nullptr, options);
  return audit_backward(weights.tensors, audit_dump_of(file), *backend);
}

std::string first_of(const Audit& audit) {
  if (!audit.first) return "";
  const AuditRow& row = audit.rows[*audit.first];
  return std::string(name(row.part)) + " " + std::to_string(row.step) + " " + row.name;
}

Error refusal(const io::Checkpoint& file) {
  try {
    audit(file);
  } catch (const Error& error) { return error; }
  ADD_FAILURE() << "nothing was refused";
  return Error(ErrorCode::internal, "");
}

// Far inside what is allowed, so that an allowance that had to be widened would be noticed.
TEST(Audit, AgreesWithPyTorchInFloat64) {
  const Audit a = audit(dump_file());
  EXPECT_EQ(first_of(a), "");
  EXPECT_EQ(a.rows.size(), 10 + dump_file().tensors.size() - 3);
  EXPECT_EQ(a.rows[0].part, AuditPart::loss);
  EXPECT_EQ(a.rows[1].name, "outc.conv.bias");
  EXPECT_EQ(a.architecture, "unet base 2, 3 -> 1, transposed");
  for (const AuditRow& row : a.rows) EXPECT_LE(row.largest, row.part == AuditPart::gradient ? 1e-11 : 1e-9) << row.name;
}

TEST(Audit, AgreesWithinFloat32OnDeviceCpu) {
  const Audit a = audit(dump_file(), DeviceKind::cpu);
  EXPECT_EQ(first_of(a), "");
  EXPECT_GT(a.rows[2].largest, 1e-12);  // it was float32 indeed
  EXPECT_TRUE(a.branches.layers.empty());
}

TEST(Audit, AgreesWithinFloat32OnTheCudaKernels) {
  EXPECT_EQ(first_of(audit(dump_file(), DeviceKind::cpu_emulated)), "");
}

TEST(Audit, NamesAPerturbedGradient) {
  for (const char* key : {"inc.double_conv.0.weight", "up2.conv.double_conv.4.bias", "outc.conv.bias"})
    for (const DeviceKind kind : {DeviceKind::ref, DeviceKind::cpu}) {
      io::Checkpoint file = dump_file();
      NamedTensor& t = find(file, std::string("gradient/") + key);
      std::vector<double> values = t.to<double>();
      double largest = 0;
      for (const double v : values) largest = std::max(largest, std::abs(v));
      values[values.size() / 2] += largest * (kind == DeviceKind::ref ? 1e-8 : 1e-3);
      set(t, values);
      const Audit a = audit(file, kind);
      EXPECT_EQ(first_of(a), std::string("gradient 1 ") + key);
      EXPECT_EQ(std::ranges::count(a.rows, AuditVerdict::departs, &AuditRow::verdict), 1);
    }
}

TEST(Audit, NamesAGradientThatIsNotANumber) {
  io::Checkpoint file = dump_file();
  NamedTensor& t = find(file, "gradient/up1.up.bias");
  std::vector<double> values = t.to<double>();
  values[3] = NAN;
  set(t, values);
  EXPECT_EQ(first_of(audit(file)), "gradient 1 up1.up.bias");
}

// A moment's decay shows in the second step, which the third loss is the first to see; the gradients still agree.
TEST(Audit, NamesTheFirstLossAfterAWrongMomentum) {
  for (const char* key : {"optimiser.beta1", "optimiser.beta2"}) {
    io::Checkpoint file = dump_file();
    file.metadata[key] = "0.95";
    EXPECT_EQ(first_of(audit(file)), "loss 3 ") << key;
  }
}

TEST(Audit, NamesTheFirstStateAfterOtherOptimiserSettings) {
  for (const auto& [key, value] : {std::pair{"optimiser.lr", "0.0011"}, {"optimiser.weight_decay", "0"}}) {
    io::Checkpoint file = dump_file();
    file.metadata[key] = value;
    EXPECT_TRUE(first_of(audit(file)).starts_with("parameter 1 ")) << key << ": " << first_of(audit(file));
  }
}

TEST(Audit, NamesTheLossOfOtherSettingsOfIt) {
  io::Checkpoint file = dump_file();
  file.metadata["loss.gamma"] = "2";
  EXPECT_EQ(first_of(audit(file)), "loss 1 ");
}

TEST(Audit, NamesARunningStatisticAndACounter) {
  io::Checkpoint file = dump_file();
  NamedTensor& t = find(file, "step1/inc.double_conv.1.running_var");
  std::vector<double> values = t.to<double>();
  values[0] *= 1 + 1e-6;
  set(t, values);
  EXPECT_EQ(first_of(audit(file)), "statistic 1 inc.double_conv.1.running_var");
  file = dump_file();
  set(find(file, "step10/inc.double_conv.1.num_batches_tracked"), {9});
  EXPECT_EQ(first_of(audit(file)), "counter 10 inc.double_conv.1.num_batches_tracked");
}

TEST(Audit, ListsMissingUnexpectedAndMisshapenArrays) {
  io::Checkpoint file = dump_file();
  find(file, "gradient/outc.conv.bias").name = "gradient/outc.conv.offset";
  NamedTensor& t = find(file, "step10/inc.double_conv.1.weight");
  t.dims = {1, 2};
  const Error error = refusal(file);
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  const std::vector<std::string> lines = {"missing: gradient/outc.conv.bias 1",
                                          "unexpected: gradient/outc.conv.offset 1",
                                          "misshapen: step10/inc.double_conv.1.weight is 1x2, expected 2"};
  EXPECT_EQ(error.detail_lines(), lines);
  EXPECT_NE(error.reason().find("3 arrays, the first missing: gradient/outc.conv.bias"), std::string::npos);
}

TEST(Audit, RefusesWhatIsNoDump) {
  const auto without = [](const std::string& name) {
    io::Checkpoint file = dump_file();
    std::erase_if(file.tensors, [&](const NamedTensor& t) { return t.name == name; });
    return refusal(file).line();
  };
  EXPECT_EQ(without("losses"), "error[malformed]: no array losses; a dump for the audit is made as in docs/audit.md");
  EXPECT_NE(without("input").find("no array input"), std::string::npos);

  const auto with = [](const std::string& key, const std::string& value) {
    io::Checkpoint file = dump_file();
    file.metadata[key] = value;
    return refusal(file).line();
  };
  EXPECT_EQ(with("optimiser.lr", "fast"), "error[malformed]: in optimiser.lr: not a number: fast");
  EXPECT_EQ(with("optimiser.beta1", "1"), "error[malformed]: in optimiser.beta1: out of range: 1");
  EXPECT_NE(with("optimiser.kind", "lion").find("no optimiser is called lion"), std::string::npos);
  EXPECT_NE(with("loss.gama", "2").find("loss.gama: did you mean loss.gamma?"), std::string::npos);

  EXPECT_EQ(with("optimiser.max_norm", "0"),
            "error[unsupported]: in optimiser.max_norm: PyTorch's clip_grad_norm_() with 0 makes every gradient 0; "
            "leave it out where gradients are not clipped");
  EXPECT_EQ(with("optimiser.max_norm", "-1"), "error[malformed]: in optimiser.max_norm: out of range: -1");

  io::Checkpoint file = dump_file();
  for (const auto& [value, line] : {std::pair{"0.5", "not a whole number: 0.5"},
                                    {"-100.5", "not a whole number: -100.5"},
                                    {"3e9", "out of range: 3e9"},
                                    {"nan", "not a number: nan"}}) {
    file.metadata = dump_file().metadata;
    std::erase_if(file.metadata, [](const auto& entry) { return entry.first.starts_with("loss."); });
    file.metadata["loss.kind"] = "cross_entropy";
    file.metadata["loss.ignore_index"] = value;
    EXPECT_EQ(refusal(file).line(), std::string("error[malformed]: in loss.ignore_index: ") + line);
  }
  file = dump_file();
  file.metadata.erase("optimiser.eps");
  EXPECT_NE(refusal(file).line().find("in optimiser.eps: the dump does not say it"), std::string::npos);
  file = dump_file();
  find(file, "input").dims = {2, 1, 96, 32};
  EXPECT_NE(refusal(file).line().find("not the same pictures"), std::string::npos);
  file = dump_file();
  find(file, "input").name = "picture";
  EXPECT_NE(refusal(file).line().find("no array input"), std::string::npos);
  file = dump_file();
  file.tensors.push_back(find(file, "losses"));
  file.tensors.back().name = "lossy";
  EXPECT_NE(refusal(file).line().find("such as lossy 10"), std::string::npos);
  file = dump_file();
  file.tensors.push_back(find(file, "losses"));
  EXPECT_NE(refusal(file).line().find("in losses: stands there twice"), std::string::npos);
  file = dump_file();
  set(find(file, "losses"), std::vector<double>(9));
  find(file, "losses").dims = {9};
  EXPECT_NE(refusal(file).line().find("step10 is kept, and losses has 9 steps"), std::string::npos);
}

// A network whose first ReLU has one input that is zero but for rounding.
class AuditBranches : public ::testing::Test {
 protected:
  AuditBranches() {
    const auto network = build({.base = 2});
    network->load(shifted(100), DType::f64);  // leaves no input below zero, so that the ReLU shows them all
    Tape tape(*exact_, Mode::training);
    network->forward(tape, tape.input(dump_.input));
    const auto relu = std::ranges::find(tape.nodes(), OpKind::relu, &Node::op);
    if (relu == tape.nodes().end()) throw std::logic_error("a network without a ReLU");
    inputs_.assign(relu->value.values<double>().begin(), relu->value.values<double>().end());
  }

  // Weights with which the input of this unit is `at`.
  NamedTensors with_unit_at(size_t unit, double at) const { return shifted(100 - inputs_[unit] + at); }

  // What a program of float32 would keep of the first step.
  AuditDump float32_dump(const NamedTensors& weights) const {
    AuditDump out = dump_;
    const auto network = build({.base = 2}), keys = build({.base = 2});
    network->load(weights, DType::f64);
    keys->initialise(0, DType::f64);
    TrainStep step(*network, *exact_, out.options);
    const MicroBatch batch{out.input, out.target};
    out.losses = {static_cast<double>(static_cast<float>(step.accumulate({&batch, 1}).total))};
    const Tensor gradients = step.parameters().on_host(step.parameters().gradients());
    const std::vector<Module::Keyed> keyed = keys->parameters();
    for (const FlatParameters::Entry& entry : step.parameters().entries())
      std::ranges::find(keyed, entry.key, &Module::Keyed::key)->parameter->value =
          FlatParameters::window(gradients, entry);
    for (const NamedTensor& own : keys->state())
      if (const auto to = std::ranges::find(out.gradients, own.name, &NamedTensor::name); to != out.gradients.end())
        set_float32(*to, own.to<double>());
    out.states.clear();
    out.narrow = true;
    return out;
  }
  static void set_float32(NamedTensor& t, const std::vector<double>& values) {
    auto owner = std::make_shared<std::vector<float>>(values.begin(), values.end());
    t.dtype = DType::f32;
    t.bytes = std::as_bytes(std::span(*owner));
    t.owner = owner;
  }

  const io::Checkpoint weights_ = io::read_checkpoint(kFolder + "weights.pth");
  const AuditDump dump_ = audit_dump_of(dump_file());
  const std::unique_ptr<Backend> exact_ = make_backend({DeviceKind::ref, 0}, nullptr),
                                 cpu_ = make_backend({DeviceKind::cpu, 0}, nullptr);

 private:
  NamedTensors shifted(double by) const {
    io::Checkpoint file = weights_;
    NamedTensor& t = find(file, "inc.double_conv.1.bias");
    std::vector<double> values = t.to<double>();
    for (double& v : values) v += by;
    set(t, values);
    return file.tensors;
  }
  std::vector<double> inputs_;
};

// 1e-9 above zero float32's rounding decides: of a few such units it takes the other side of some.
TEST_F(AuditBranches, FindsTheUnitThatRoundingDecides) {
  int found = 0;
  for (size_t unit = 0; unit < 16; ++unit) {
    const Branches branches = other_branches(with_unit_at(unit, 1e-9), dump_.input, *cpu_, Rounded::here);
    if (branches.layers.empty() || branches.layers[0].where != "inc.double_conv.2") continue;
    ++found;
    EXPECT_EQ(branches.layers[0].op, "relu");
    EXPECT_LE(branches.layers[0].units, 2);
    EXPECT_EQ(branches.layers[0].of, 2 * 32 * 32 * 2);
    EXPECT_EQ(branches.parameters[0], "inc.double_conv.0.weight");
    EXPECT_EQ(std::ranges::count(branches.parameters, "outc.conv.weight"), 0);
  }
  EXPECT_GE(found, 1);
  EXPECT_LE(found, 16);
  EXPECT_TRUE(other_branches(weights_.tensors, dump_.input, *exact_, Rounded::here).layers.empty());
}

// 1e-9 below zero instead is what float32 cannot tell from it: the gradients are those of a float32 program that took
// the other side.
TEST_F(AuditBranches, MayHaveBeenTakenByAFloat32Dump) {
  int found = 0;
  for (size_t unit = 0; unit < 16; ++unit) {
    const NamedTensors ours = with_unit_at(unit, 1e-9);
    AuditDump dump = float32_dump(with_unit_at(unit, -1e-9));
    const Audit a = audit_backward(ours, dump, *exact_);
    EXPECT_EQ(first_of(a), "") << unit;
    if (a.branches.layers.empty()) continue;  // it moves no gradient far
    ++found;
    EXPECT_EQ(a.branches.layers[0].where, "inc.double_conv.2");
    EXPECT_LE(a.branches.layers[0].units, 8);
    EXPECT_GT(std::ranges::count(a.rows, AuditVerdict::other_branch, &AuditRow::verdict), 0);
    // What does not lie before that unit is judged as ever.
    NamedTensor& t = *std::ranges::find(dump.gradients, "outc.conv.weight", &NamedTensor::name);
    std::vector<double> values = t.to<double>();
    for (double& v : values) v *= 1.01;
    set_float32(t, values);
    EXPECT_EQ(first_of(audit_backward(ours, dump, *exact_)), "gradient 1 outc.conv.weight");
  }
  EXPECT_GE(found, 1);
}

// All but equal after the first normalisation: which of a window's is the greatest float32 cannot tell.
TEST(AuditMaxima, OfThreeByThreeAreLookedAt) {
  const auto network = build({.family = "resnet50-unet", .base = 2});
  network->initialise(1, DType::f64);
  NamedTensors weights = network->state();
  set(*std::ranges::find(weights, "input_layer.1.bias", &NamedTensor::name), {1, 1});  // past the ReLU
  Tensor input({1, 64, 96, 3}, DType::f64);
  uint32_t noise = 1;
  for (double& v : input.values<double>()) v = 0.5 + 1e-9 * ((noise = noise * 1664525 + 1013904223) >> 16) / 65536.0;
  const auto cpu = make_backend({DeviceKind::cpu, 0}, nullptr), ref = make_backend({DeviceKind::ref, 0}, nullptr);
  for (const Rounded rounded : {Rounded::here, Rounded::elsewhere}) {
    const Branches branches = other_branches(weights, input, *cpu, rounded);
    const auto maxima = std::ranges::find(branches.layers, "max_pool3x3", &Branches::Layer::op);
    ASSERT_NE(maxima, branches.layers.end());
    EXPECT_EQ(maxima->of, 16 * 24 * 2);
    EXPECT_GT(maxima->units, maxima->of / 4);
    EXPECT_LE(maxima->units, maxima->of);
    EXPECT_EQ(branches.parameters[0], "input_layer.0.weight");
  }
  EXPECT_TRUE(other_branches(weights, input, *ref, Rounded::here).layers.empty());
}

TEST_F(AuditBranches, AFloat32DumpOfNoSuchUnitIsJudged) {
  AuditDump dump = float32_dump(weights_.tensors);
  EXPECT_EQ(first_of(audit_backward(weights_.tensors, dump, *exact_)), "");
  NamedTensor& t = *std::ranges::find(dump.gradients, "inc.double_conv.0.weight", &NamedTensor::name);
  std::vector<double> values = t.to<double>();
  for (double& v : values) v *= 1.01;
  set_float32(t, values);
  EXPECT_EQ(first_of(audit_backward(weights_.tensors, dump, *exact_)), "gradient 1 inc.double_conv.0.weight");
}

// Cut anywhere, the file is refused by name or holds all that was read; a safetensors dump reads as a .pth does.
using AuditFile = furrow::testing::TemporaryFolder;
TEST_F(AuditFile, CutIsNamedAndOfEitherKindIsRead) {
  const std::string bytes = contents(kFolder + "dump.pth");
  for (const size_t kept : {size_t{0}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    const std::string cut = path("cut.pth");
    write(cut, bytes.substr(0, kept));
    try {
      read_audit_dump(cut, {});
      ADD_FAILURE() << kept << " bytes were read as a dump";
    } catch (const Error& error) {
      EXPECT_EQ(error.file_name(), cut);
      EXPECT_EQ(error.code(), ErrorCode::malformed) << error.line();
    }
  }
  io::write_safetensors(path("dump.safetensors"), dump_file().tensors, dump_file().metadata);
  EXPECT_EQ(first_of(audit(io::read_checkpoint(path("dump.safetensors")))), "");
}

}  // namespace
}  // namespace furrow::train
