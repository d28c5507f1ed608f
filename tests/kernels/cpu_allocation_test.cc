// Running a planned step allocates nothing: a plan that was made once can run for ever in the memory it has.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/run_step.h"

namespace {

std::atomic<int> allocations{0};

void* counted(std::size_t size, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Kept out of line: inlined, g++ sees free() meet operator new and warns.
#define FURROW_OUT_OF_LINE __attribute__((noinline))
FURROW_OUT_OF_LINE void* operator new(std::size_t size) {
  return counted(size == 0 ? 1 : size, alignof(std::max_align_t));
}
FURROW_OUT_OF_LINE void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
FURROW_OUT_OF_LINE void operator delete(void* memory) noexcept { std::free(memory); }
FURROW_OUT_OF_LINE void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
FURROW_OUT_OF_LINE void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
FURROW_OUT_OF_LINE void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace furrow {
namespace {

TEST(CpuAllocation, RunningAStepTakesNoMemory) {
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    cpu::CpuBackend backend(&pool);
    std::vector<Step> steps = cases::unet_steps(8, 32, 3, 2);
    steps.push_back(PoolStep{{1, 8, 8, 20}});
    steps.push_back(NearestStep{{1, 5, 5, 20}, 9, 10});
    steps.push_back(MeanStep{{1, 40, 40, 20}});
    steps.push_back(ChannelGateStep{{1, 8, 8, 20}, true});
    steps.push_back(cases::upsample_at({1, 5, 5, 20}, 10, 10, 11, 11, 0, 1));
    steps.push_back(cases::upconv_at({1, 5, 5, 20}, 3, 9, 11, -1, 1));
    for (const Step& step : steps) {
      const StepWeights weights = cases::random_weights(step, 1);
      const std::unique_ptr<Packed> packed = backend.prepare(step, weights);
      run_step(backend, step, random_inputs(step, 2), weights, [&](const StepBuffers& buffers) {
        const int before = allocations.load();
        backend.run(step, packed.get(), buffers);
        EXPECT_EQ(allocations.load(), before) << op_name(step) << " " << problem(step);
      });
    }
  }
  EXPECT_GT(allocations.load(), 100);  // the counter does count
}

}  // namespace
}  // namespace furrow
