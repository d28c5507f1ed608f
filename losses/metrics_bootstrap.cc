#include "losses/metrics_bootstrap.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "kernels/random.h"

namespace furrow {
namespace {

constexpr size_t kMostPictures = size_t{1} << 24;

// Sorted values, q in [0, 1].
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - std::floor(at)) * (sorted[above] - sorted[below]);
}

}  // namespace

std::vector<std::optional<Interval>> bootstrap(size_t pictures, size_t statistics, const Statistics& compute,
                                               const BootstrapOptions& options, ThreadPool* pool) {
  require(pictures <= kMostPictures, "bootstrap: at most 2^24 pictures");
  require(options.resamples >= 0 && options.level > 0 && options.level < 1, "bootstrap: options");
  std::vector<std::optional<Interval>> intervals(statistics);
  if (pictures < 2 || options.resamples == 0) return intervals;

  const auto resamples = static_cast<size_t>(options.resamples);
  std::vector<std::optional<double>> values(resamples * statistics);
  const Philox draw(options.seed);
  parallel_for(pool, options.resamples, [&](int64_t b, int) {
    std::vector<uint32_t> drawn(pictures);
    for (size_t i = 0; i < pictures; ++i)
      drawn[i] = static_cast<uint32_t>(draw.uniform(static_cast<uint64_t>(b), i) * static_cast<double>(pictures));
    compute(drawn, std::span(values).subspan(static_cast<size_t>(b) * statistics, statistics));
  });

  for (size_t s = 0; s < statistics; ++s) {
    std::vector<double> defined;
    for (size_t b = 0; b < resamples; ++b)
      if (values[b * statistics + s]) defined.push_back(*values[b * statistics + s]);
    if (2 * defined.size() < resamples || defined.empty()) continue;
    std::ranges::sort(defined);
    intervals[s] = {quantile(defined, (1 - options.level) / 2), quantile(defined, (1 + options.level) / 2)};
  }
  return intervals;
}

}  // namespace furrow
