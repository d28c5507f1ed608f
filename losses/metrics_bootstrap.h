// Confidence intervals by the bootstrap over pictures: how much a number owes to which pictures happened to be in the
// set.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kernels/threads.h"

namespace furrow {

struct BootstrapOptions {
  int resamples = 2000;
  double level = 0.95;
  uint64_t seed = 0;
};

struct Interval {
  double low = 0, high = 0;
};

// Writes the statistics of one resample, given as numbers of pictures (with repetitions). Called from several threads.
using Statistics = std::function<void(std::span<const uint32_t> drawn, std::span<std::optional<double>> values)>;

// Percentile intervals (Efron 1979) of `statistics` numbers over resamples of `pictures` pictures, drawn with
// repetition. Draw i of resample b is floor(pictures * u), u = Philox(seed).uniform(b, i): the same whatever the
// threads. The interval reaches from the (1-level)/2 to the (1+level)/2 quantile of the values in order, interpolated
// linearly between ranks (NumPy's default). Resamples in which a statistic is undefined are left out; it has no
// interval where that is more than half of them, and nothing has one with fewer than two pictures or without resamples.
// u has 24 bits: a picture of n is drawn with a probability within n 2^-24 of 1/n, relatively. Errors:
// ErrorCode::internal for more than 2^24 pictures or a level outside (0, 1).
std::vector<std::optional<Interval>> bootstrap(size_t pictures, size_t statistics, const Statistics& compute,
                                               const BootstrapOptions& options, ThreadPool* pool = nullptr);

}  // namespace furrow
