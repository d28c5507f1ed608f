#include "kernels/cpu/panels.h"

#include <algorithm>

namespace furrow::cpu {
namespace {

// Writes `count` channels (zeros for a null `from`) at columns k... of a row; returns the column after them.
int64_t put(const float* from, int64_t count, int64_t k, float* row, int64_t panel) {
  while (count > 0) {
    const int64_t lane = k % kPanel, part = std::min(kPanel - lane, count);
    float* to = row + k / kPanel * panel + lane;
    if (from == nullptr) {
      std::fill_n(to, part, 0.0f);
    } else if (part == kPanel) {
      std::copy_n(from, kPanel, to);  // of constant size: a few registers
      from += part;
    } else {
      for (int64_t i = 0; i < part; ++i) to[i] = from[i];
      from += part;
    }
    k += part, count -= part;
  }
  return k;
}

constexpr int64_t kSumPixels = 32, kPanelPixels = 1024;

}  // namespace

std::vector<ChannelPanel> channel_panels(int64_t c0, int64_t c1, bool wanted0, bool wanted1) {
  std::vector<ChannelPanel> panels;
  for (int part = 0; part < 2; ++part) {
    const int64_t channels = part == 0 ? c0 : c1;
    if (!(part == 0 ? wanted0 : wanted1)) continue;
    for (int64_t c = 0; c < channels; c += kPanel)
      panels.push_back({part, c, c + (part == 0 ? 0 : c0), std::min(kPanel, channels - c)});
  }
  return panels;
}

void Gather::fill(int64_t begin, int64_t end, float* to, int64_t panel) const {
  const Shape s = x0->shape();
  const int64_t c1 = channels() - s.c;
  const float* first = x0->values<float>().data();
  const float* second = x1 != nullptr ? x1->values<float>().data() : nullptr;
  for (int64_t r = begin; r < end; ++r, to += kPanel) {
    const int64_t n = r / (grid_h * grid_w), i = r / grid_w % grid_h, j = r % grid_w;
    int64_t k = 0;
    for (const Tap& tap : taps) {
      const int64_t h = i * step + tap.dh, w = j * step + tap.dw;
      const bool inside = h >= 0 && h < s.h && w >= 0 && w < s.w;
      const int64_t pixel = inside ? (n * s.h + h) * s.w + w : 0;
      k = put(inside ? first + pixel * s.c : nullptr, s.c, k, to, panel);
      if (c1 > 0) k = put(inside ? second + pixel * c1 : nullptr, c1, k, to, panel);
    }
    put(nullptr, panels() * kPanel - k, k, to, panel);
  }
}

void channel_sums(ThreadPool* pool, const Tensor& x, double* sums) {
  const int64_t pixels = x.shape().pixels(), c = x.shape().c, tasks = ceil_div(pixels, kPanelPixels);
  const int64_t step = is_short_sum(pixels) ? 1 : kSumPixels;
  const float* from = x.values<float>().data();
  std::vector<double> parts(static_cast<size_t>(tasks * c));
  for_tasks(pool, tasks, [&](int64_t task, int) {
    std::vector<float> block(static_cast<size_t>(c));
    double* part = parts.data() + task * c;
    const int64_t end = std::min((task + 1) * kPanelPixels, pixels);
    for (int64_t p = task * kPanelPixels; p < end; p += step) {
      std::ranges::fill(block, 0.0f);
      for (int64_t q = p; q < std::min(p + step, end); ++q)
        for (int64_t i = 0; i < c; ++i) block[static_cast<size_t>(i)] += from[q * c + i];
      for (int64_t i = 0; i < c; ++i) part[i] += static_cast<double>(block[static_cast<size_t>(i)]);
    }
  });
  std::fill_n(sums, c, 0.0);
  for (int64_t task = 0; task < tasks; ++task)
    for (int64_t i = 0; i < c; ++i) sums[i] += parts[static_cast<size_t>(task * c + i)];
}

}  // namespace furrow::cpu
