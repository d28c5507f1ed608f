// Measured times: the file, the choice it makes, and measuring itself on the emulated device with the fakes.
#include "segment/tuning.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/cuda/vendor/vendor_backend.h"
#include "segment/segmenter.h"
#include "tests/cuda/vendor/vendor_test_tools.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

using gpu::fake::has;

std::string error_of(const std::function<void()>& body, ErrorCode code) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.line();
    return error.line();
  }
  return "no error";
}

class TuningTest : public gpu::fake::VendorTest {
 protected:
  void SetUp() override {
    VendorTest::SetUp();
    folder_ = std::filesystem::path(::testing::TempDir()) / ("furrow_tuning_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    VendorTest::TearDown();
  }
  std::string file() const { return (folder_ / "cache" / "tune.json").string(); }
  void write(const std::string& text) const {
    std::filesystem::create_directories(folder_ / "cache");
    std::ofstream(file()) << text;
  }
  std::filesystem::path folder_;
};

TEST_F(TuningTest, WhatIsWrittenIsReadAndOthersStay) {
  write_tuning(file(), "A; fp16", {{"conv 1", "own x", "cudnn y", 2, 1}, {"conv 2", "own x", "cudnn y", 1, 2}});
  write_tuning(file(), "B; fp16", {{"conv 1", "own x", "cudnn y", 1, 1}});
  write_tuning(file(), "A; fp16", {{"conv 2", "own x", "cudnn z", 3, 2}});
  const auto tuning = read_tuning(file());
  ASSERT_EQ(tuning->vendor_steps.size(), 1u);
  EXPECT_EQ(tuning->vendor_steps.at("A; fp16"), (std::set<std::string>{"conv 1", "conv 2"}));
}

TEST_F(TuningTest, ABrokenFileIsAConfigurationError) {
  for (const char* text :
       {"", "[]", "{", "{\"format\":\"furrow tune 2\",\"machines\":{}}", "{\"format\":\"furrow tune 1\"}",
        "{\"format\":\"furrow tune 1\",\"machines\":[]}", "{\"format\":\"furrow tune 1\",\"machines\":{\"A\":1}}",
        "{\"format\":\"furrow tune 1\",\"machines\":{\"A\":{\"c\":{\"use\":\"neither\"}}}}",
        "{\"format\":\"furrow tune 1\",\"machines\":{\"A\":{\"c\":{}}}}"}) {
    write(text);
    EXPECT_TRUE(has(error_of([&] { read_tuning(file()); }, ErrorCode::configuration), "furrow model tune")) << text;
    EXPECT_NE(error_of([&] { write_tuning(file(), "A", {}); }, ErrorCode::configuration), "no error");
  }
  EXPECT_TRUE(has(error_of([] { read_tuning("/nowhere/tune.json"); }, ErrorCode::io), "/nowhere/tune.json"));
}

TEST_F(TuningTest, TheFileIsInTheCacheFolder) {
  setenv("XDG_CACHE_HOME", "/c", 1);
  EXPECT_EQ(default_tuning_file(), "/c/furrow/tune.json");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  EXPECT_EQ(default_tuning_file(), "/h/.cache/furrow/tune.json");
  unsetenv("HOME");
  EXPECT_EQ(default_tuning_file(), "");
}

// A whole network: logits by the libraries are those of the reference, every convolution is timed, and the choice that
// comes of it sends to the libraries what it names and nothing else.
TEST_F(TuningTest, StepsOfANetworkAreTimedAndChosen) {
  const auto network = random_network({.base = 4}, 5);
  const Shape shape{1, 16, 16, 3};
  gpu::CudaBackend own(gpu::make_emulated_runtime(), emulated::api, Precision::tf32);
  gpu::VendorBackend vendor(gpu::make_emulated_runtime(), emulated::api, Precision::tf32);
  Plan own_plan(*network, own, shape), vendor_plan(*network, vendor, shape);
  const Tensor input = random_tensor(shape, 7).to(DType::f32);
  const Tensor want = own_plan.run(input).to(DType::f64), got = vendor_plan.run(input).to(DType::f64);
  // Of a network that answers: one whose ReLUs all stay 0 has the same logit everywhere, however it is computed.
  const auto [least, most] = std::ranges::minmax(want.values<double>());
  EXPECT_GT(most - least, 0.1 * most);
  EXPECT_LT(relative_error(got, want), 6e-4);   // both in tf32; measured 2.5e-4

  std::vector<TunedStep> steps = time_steps(own_plan, vendor_plan, input, 2);
  size_t convolutions = 0;
  for (const Plan::StepInfo& step : own_plan.steps())
    if (step.op.find("conv") != std::string::npos) ++convolutions;
  EXPECT_GE(convolutions, steps.size());
  ASSERT_GT(steps.size(), 3u);
  for (TunedStep& step : steps) {
    EXPECT_GT(step.own_ms, 0) << step.key;
    EXPECT_GT(step.vendor_ms, 0) << step.key;
    EXPECT_TRUE(has(step.own, "emulated tf32")) << step.own;
    EXPECT_TRUE(has(step.vendor, "cudnn") || has(step.vendor, "cublaslt")) << step.vendor;
    step.vendor_ms = step.key == steps[1].key ? 1 : 3, step.own_ms = 2;
  }
  write_tuning(file(), vendor.machine(), steps);
  const auto tuning = read_tuning(file());
  gpu::VendorBackend chosen(gpu::make_emulated_runtime(), emulated::api, Precision::tf32);
  ASSERT_TRUE(chosen.use(*tuning));
  Plan plan(*network, chosen, shape);
  size_t by_vendor = 0;
  for (const Plan::StepInfo& step : plan.steps()) {
    if (!has(step.algorithm, "cudnn") && !has(step.algorithm, "cublaslt")) continue;
    EXPECT_EQ(step.op + " " + step.problem, steps[1].key);
    ++by_vendor;
  }
  EXPECT_GE(by_vendor, 1u);
}

// Kernels change between versions of Furrow, as the GPU, the driver and the libraries do: times of others say nothing.
TEST_F(TuningTest, TimesOfOtherVersionsAndMachinesAreIgnored) {
  gpu::VendorBackend vendor(gpu::make_emulated_runtime(), emulated::api, Precision::fp16);
  const std::string here = vendor.machine();
  const auto with = [&here](const std::string& part, const std::string& other) {
    const size_t at = here.find(part);
    EXPECT_NE(at, std::string::npos) << here;
    return std::string(here).replace(at, part.size(), other);
  };
  const Step conv = ConvStep{.x = {{1, 8, 8, 16}, {0, 0, 0, 0}}, .oc = 16, .geometry = {3, 3, 1, 1}};
  const std::string others[] = {with("furrow " FURROW_VERSION "; ", "furrow 0.0.9; "),
                                with("furrow " FURROW_VERSION "; ", ""),   // as written before the version was in it
                                with("emulated on this CPU", "NVIDIA H200, sm_90"),
                                with("cudnn 9.19.0", "cudnn 9.18.0"), with("fp16", "bf16")};
  for (const std::string& machine : others) write_tuning(file(), machine, {{step_key(conv), "own x", "cudnn y", 2, 1}});
  vendor.use([](const Step&) { return false; });
  EXPECT_FALSE(vendor.use(*read_tuning(file())));
  EXPECT_TRUE(has(vendor.algorithm(conv), "emulated fp16")) << vendor.algorithm(conv);
  write_tuning(file(), here, {{step_key(conv), "own x", "cudnn y", 2, 1}});   // beside theirs
  EXPECT_TRUE(vendor.use(*read_tuning(file())));
  EXPECT_TRUE(has(vendor.algorithm(conv), "cudnn")) << vendor.algorithm(conv);
}

TEST_F(TuningTest, VendorIsForDeviceCudaAlone) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::ref, DeviceKind::cpu_emulated}) {
    const std::string text = error_of(
        [&] {
          make_backend({kind, 0}, nullptr, {.kernels = KernelChoice::vendor});
        },
        ErrorCode::usage);
    EXPECT_TRUE(has(text, "--kernels vendor is of --device cuda alone")) << text;
    EXPECT_NE(make_backend({kind, 0}, nullptr, {.kernels = KernelChoice::own}), nullptr);
  }
}

}  // namespace
}  // namespace furrow
