// Sums of fewer than 49 terms on device `cpu`, on every instruction set this CPU has, are rounded once.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/short_sums.h"

namespace furrow {
namespace {

class CpuShortSums : public ::testing::Test {
 protected:
  CpuShortSums() {
    for (const cpu::Isa isa : cpu::supported_isas()) {
      owned_.push_back(std::make_unique<cpu::CpuBackend>(isa, &pool_));
      backends_.push_back(owned_.back().get());
    }
  }
  ThreadPool pool_{2};
  std::vector<std::unique_ptr<cpu::CpuBackend>> owned_;
  std::vector<Backend*> backends_;
};

TEST_F(CpuShortSums, AreRoundedOnce) {
  for (const auto& [K, worst] : short_sums::check(backends_, 100'000))
    RecordProperty("of_the_bound_K" + std::to_string(K), std::to_string(worst));
}

TEST_F(CpuShortSums, OfStridedGradientsAreRoundedOnce) { short_sums::check_strided(backends_); }

}  // namespace
}  // namespace furrow
