// How every row of the benchmark is timed and what its columns mean.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <string>

namespace furrow::bench {

// What one run of the body does at least: floating-point operations (2 per multiply-add, by the formula of the
// operation whatever the algorithm) and bytes (each input, weight and output moved once).
struct Work {
  double flops = 0, bytes = 0;
};

// Runs `body` once per iteration on a pool of `threads` and fills in the row. Bursts of the peak loop run between the
// iterations, so both sides of a ratio see the same clock frequency and the same neighbours. Columns:
//   time           wall clock per run
//   GFLOP/s, GB/s  work / wall clock
//   of_peak        work / CPU time of all threads / FMA peak of one core: how busy the multiply-add units were while
//   the
//                  program had a core. The number to judge kernels by on a machine that others use too.
//   of_peak_wall   work / wall clock / (FMA peak x threads): falls with idle threads, and with neighbours
//   of_copy        bytes / CPU time / bytes of one core copying in memory: the same for operations that only move data;
//                  above 1 where the operands fit into a cache
// of_peak and of_copy are medians over the iterations. The label is the algorithm that ran.
void measure(benchmark::State& state, const Work& work, int threads, const std::string& algorithm,
             const std::function<void()>& body);

}  // namespace furrow::bench
