// Whole networks as they run: the plan of the classic U-Net (transposed, 3 -> 1), weights drawn from a seed.
//
//   furrow_bench --benchmark_filter='plan/'
// flops and bytes are the sums over the plan's steps, so the columns compare with the rows of single steps.
#include <algorithm>
#include <memory>
#include <string>

#include "bench/measure.h"
#include "bench/rows.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/plan.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

struct PlannedNetwork {
  int64_t base, side;
};

void run_plan(benchmark::State& state, const PlannedNetwork& which, int threads) {
  const std::unique_ptr<Network> network = build({.base = which.base});
  network->initialise(1);
  ThreadPool pool(threads);
  cpu::CpuBackend backend(&pool);
  const Shape input{1, which.side, which.side, 3};
  Plan plan(*network, backend, input);
  Work work;
  for (const Plan::StepInfo& step : plan.steps()) {
    work.flops += static_cast<double>(step.flops);
    work.bytes += static_cast<double>(step.bytes);
  }
  const Tensor picture = cases::random_values(input, 2, DType::f32);
  const std::string label = std::to_string(plan.steps().size()) + " steps, " + std::to_string(plan.peak_bytes() >> 20) +
                            " MiB, " + backend.name();
  measure(state, work, threads, label, [&] { plan.run(picture); });
}

}  // namespace

void add_plans() {
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads)
    for (const PlannedNetwork& which : {PlannedNetwork{16, 512}, {64, 256}}) {
      const std::string side = std::to_string(which.side);
      const std::string name = "plan/unet base" + std::to_string(which.base) + " " + side + "x" + side +
                               "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [which, threads](benchmark::State& state) { run_plan(state, which, threads); })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}

}  // namespace furrow::bench
