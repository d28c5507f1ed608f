#include "data/near_duplicates.h"

#include <bit>
#include <cmath>

#include "data/masks.h"
#include "io/resize.h"

namespace furrow::data {
namespace {

// Sums of whole numbers: the same on every machine.
double correlation(const PhotoPrint& a, const PhotoPrint& b) {
  constexpr int64_t n = 256;
  int64_t sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.small.size(); ++i) {
    const int64_t x = a.small[i], y = b.small[i];
    sa += x, sb += y, aa += x * x, bb += y * y, ab += x * y;
  }
  const int64_t va = n * aa - sa * sa, vb = n * bb - sb * sb;
  if (va == 0 || vb == 0) return va == vb && sa == sb ? 1 : 0;
  return static_cast<double>(n * ab - sa * sb) / std::sqrt(static_cast<double>(va) * static_cast<double>(vb));
}

}  // namespace

PhotoPrint print_of(const io::Image& rgb) {
  const io::Image gray = luma(rgb);
  const io::Image nine = io::resize(gray, 9, 8, io::Filter::lanczos);
  const io::Image small = io::resize(gray, 16, 16, io::Filter::lanczos);
  PhotoPrint print;
  for (int64_t y = 0; y < 8; ++y)
    for (int64_t x = 0; x < 8; ++x) print.hash = print.hash << 1 | (nine.row(y)[x + 1] > nine.row(y)[x] ? 1u : 0u);
  for (size_t i = 0; i < print.small.size(); ++i) print.small[i] = small.pixels[i];
  return print;
}

std::vector<NearPair> near_pairs(const std::vector<PhotoPrint>& prints, int bits, ThreadPool* pool,
                                 const std::function<bool()>& stop) {
  // Row i has the pairs (i, j > i); rows i and n - 1 - i together are one task, so that tasks are equally long.
  const size_t n = prints.size();
  std::vector<std::vector<NearPair>> rows(n);
  const auto search = [&](size_t i) {
    for (size_t j = i + 1; j < n && rows[i].size() < kNearOfOne; ++j) {
      const int differ = std::popcount(prints[i].hash ^ prints[j].hash);
      if (differ > bits) continue;
      if (const double r = correlation(prints[i], prints[j]); r >= kNearCorrelation)
        rows[i].push_back({i, j, differ, r});
    }
  };
  parallel_for(pool, static_cast<int64_t>((n + 1) / 2), [&](int64_t task, int) {
    if (stop && stop()) return;
    const auto i = static_cast<size_t>(task);
    search(i);
    if (n - 1 - i != i) search(n - 1 - i);
  });
  std::vector<NearPair> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

}  // namespace furrow::data
