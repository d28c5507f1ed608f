// Sums of fewer than 49 terms on the CUDA kernels in fp32 are rounded once.
#include "tests/kernels/short_sums.h"

#include <gtest/gtest.h>

#include "kernels/device.h"
#include "tests/cuda/device_under_test.h"

namespace furrow::gpu {
namespace {

class ShortSums : public ::testing::Test {
 protected:
  const DeviceKind kind_ = testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
  const std::unique_ptr<Backend> backend_ = make_backend({kind_, 0}, nullptr, {.precision = Precision::fp32});
};

TEST_F(ShortSums, AreRoundedOnce) {
  for (const auto& [K, worst] : short_sums::check({backend_.get()}, 100'000))
    RecordProperty("of_the_bound_K" + std::to_string(K), std::to_string(worst));
}

TEST_F(ShortSums, OfStridedGradientsAreRoundedOnce) {
  in_every_schedule([&] { short_sums::check_strided({backend_.get()}); });
}

}  // namespace
}  // namespace furrow::gpu
