#include "bench/measure.h"

#include <algorithm>
#include <vector>

#include "bench/peak.h"

namespace furrow::bench {
namespace {

// A burst this long after at least this much measured time costs a tenth of the run at most.
constexpr double kBurstMilliseconds = 1, kSecondsBetweenBursts = 0.01;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void measure(benchmark::State& state, const Work& work, int threads, const std::string& algorithm,
             const std::function<void()>& body) {
  static const double copy_peak = [] {
    std::vector<double> bursts;
    for (int i = 0; i < 9; ++i) bursts.push_back(copy_burst());
    return median(bursts);
  }();
  body();  // first touch of the buffers
  std::vector<double> of_peak, per_cpu_second, peaks;
  double peak = fma_burst(kBurstMilliseconds), cpu = 0, wall = 0, all_wall = 0;
  int runs = 0, all_runs = 0;
  for (auto unused : state) {
    const double cpu_start = process_seconds(), wall_start = wall_seconds();
    body();
    const double cpu_now = process_seconds() - cpu_start, wall_now = wall_seconds() - wall_start;
    state.SetIterationTime(wall_now);
    cpu += cpu_now, wall += wall_now, all_wall += wall_now, ++runs, ++all_runs;
    if (wall < kSecondsBetweenBursts) continue;
    const double next = fma_burst(kBurstMilliseconds);
    per_cpu_second.push_back(runs / cpu);
    of_peak.push_back(work.flops * runs / cpu / ((peak + next) / 2));
    peaks.push_back(next);
    peak = next, cpu = wall = 0, runs = 0;
  }
  if (runs > 0 && per_cpu_second.empty()) {  // a single short batch
    per_cpu_second.push_back(runs / cpu);
    of_peak.push_back(work.flops * runs / cpu / peak);
    peaks.push_back(peak);
  }
  const double rate = all_runs / all_wall;
  state.counters["GFLOP/s"] = work.flops * rate * 1e-9;
  state.counters["GB/s"] = work.bytes * rate * 1e-9;
  state.counters["MFLOP"] = work.flops * 1e-6;
  state.counters["MB"] = work.bytes * 1e-6;
  state.counters["of_peak"] = median(of_peak);
  state.counters["of_peak_wall"] = work.flops * rate / (median(peaks) * threads);
  state.counters["of_copy"] = work.bytes * median(per_cpu_second) / copy_peak;
  state.SetLabel(algorithm);
}

}  // namespace furrow::bench
