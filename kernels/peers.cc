#include "kernels/peers.h"

#include <algorithm>

namespace furrow {
namespace {

// {count, first..., second...} of every process, rank 0's first; a count of 0 and zeros of one that has nothing.
std::vector<double> gather(const Shared& shared, double count, std::span<const double> first,
                           std::span<const double> second) {
  std::vector<double> own(1 + 2 * first.size());
  if (!shared.absent) {
    own[0] = count;
    std::ranges::copy(first, own.begin() + 1);
    std::ranges::copy(second, own.begin() + 1 + static_cast<std::ptrdiff_t>(first.size()));
  }
  std::vector<double> all(own.size() * static_cast<size_t>(shared.peers->size()));
  shared.peers->gather(own, all);
  return all;
}

}  // namespace

void share_moments(const Shared& shared, double& count, std::span<double> mean, std::span<double> squares) {
  const size_t channels = mean.size(), stride = 1 + 2 * channels;
  const std::vector<double> all = gather(shared, count, mean, squares);
  count = 0;
  std::ranges::fill(mean, 0), std::ranges::fill(squares, 0);
  for (size_t at = 0; at < all.size(); at += stride) {
    if (all[at] == 0) continue;
    const double both = count + all[at], share = all[at] / both, weight = count * share;
    for (size_t c = 0; c < channels; ++c) {
      const double difference = all[at + 1 + c] - mean[c];
      mean[c] += difference * share;
      squares[c] += all[at + 1 + channels + c] + difference * difference * weight;
    }
    count = both;
  }
}

double share_sums(const Shared& shared, double count, std::span<double> dy, std::span<double> dy_xh) {
  const size_t channels = dy.size(), stride = 1 + 2 * channels;
  const std::vector<double> all = gather(shared, count, dy, dy_xh);
  count = 0;
  std::ranges::fill(dy, 0), std::ranges::fill(dy_xh, 0);
  for (size_t at = 0; at < all.size(); at += stride) {
    count += all[at];
    for (size_t c = 0; c < channels; ++c) {
      dy[c] += all[at + 1 + c];
      dy_xh[c] += all[at + 1 + channels + c];
    }
  }
  return count;
}

}  // namespace furrow
