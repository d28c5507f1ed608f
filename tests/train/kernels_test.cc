// What a run asks its device for: precision and kernels, and what devices do not have.
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "train/setup.h"

namespace furrow::train {
namespace {

constexpr Device kCuda{DeviceKind::cuda, 0}, kEmulated{DeviceKind::cpu_emulated, 0}, kCpu{DeviceKind::cpu, 0};

TrainOptions options(Kernels kernels, Precision precision) {
  TrainOptions out;
  out.kernels = kernels;
  out.precision = precision;
  return out;
}

// The line of what is refused, with its code; "" where it is not.
std::string refusal(const TrainOptions& o, const Device& device) {
  try {
    backend_options(o, device);
  } catch (const Error& error) { return std::to_string(static_cast<int>(error.code())) + " " + error.line(); }
  return "";
}

TEST(Kernels, AreAskedForAsTheyAreChosen) {
  const BackendOptions vendor = backend_options(options(Kernels::vendor, Precision::mixed), kCuda);
  EXPECT_EQ(vendor.kernels, KernelChoice::vendor);
  EXPECT_EQ(vendor.precision, furrow::Precision::fp16);
  for (const Device& device : {kCuda, kEmulated, kCpu}) {
    const BackendOptions own = backend_options(options(Kernels::own, Precision::float32), device);
    EXPECT_EQ(own.kernels, KernelChoice::own);
    EXPECT_EQ(own.memory, MemoryClass::low);
    EXPECT_EQ(own.precision.value_or(furrow::Precision::fp32), furrow::Precision::fp32);
  }
}

TEST(Kernels, OfTheLibrariesAreOfCudaInMixedPrecision) {
  for (const Precision precision : {Precision::float32, Precision::mixed})
    for (const Device& device : {kCpu, kEmulated})
      EXPECT_EQ(
          refusal(options(Kernels::vendor, precision), device),
          "2 error[usage]: --kernels vendor is of --device cuda alone: cuDNN and cuBLASLt run on a GPU; --kernels "
          "own goes with every device");
  EXPECT_EQ(refusal(options(Kernels::vendor, Precision::float32), kCuda),
            "2 error[usage]: --kernels vendor multiplies in fp16, and precision is float32; --precision mixed, or "
            "--kernels own");
}

TEST(Kernels, AreWrittenWithTheConfiguration) {
  const std::string yaml = to_yaml(options(Kernels::vendor, Precision::mixed));
  EXPECT_EQ(parse_train_options(yaml, "config.yaml").options.kernels, Kernels::vendor);
  EXPECT_EQ(parse_train_options(yaml, "config.yaml", {"kernels=own"}).options.kernels, Kernels::own);
  EXPECT_EQ(parse_train_options("epochs: 3\n", "config.yaml").options.kernels, Kernels::own)
      << "of runs before there was a choice";
  EXPECT_THROW(parse_train_options("kernels: auto\n", "config.yaml"), Error);
}

}  // namespace
}  // namespace furrow::train
