// Photos that are the same picture, saved again: smaller, recompressed, a little cropped or brighter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "io/image.h"
#include "kernels/threads.h"

namespace furrow::data {

// What is kept of a photo. `hash`: the difference hash of 64 bits (N. Krawetz, 2013): Pillow's luma, LANCZOS to 9 x 8,
// a bit for each pixel that is brighter than its left neighbour; the first pixel's bit is the highest. `small`: the
// luma, LANCZOS to 16 x 16.
struct PhotoPrint {
  uint64_t hash = 0;
  std::array<uint8_t, 256> small{};
};
PhotoPrint print_of(const io::Image& rgb);

// Two prints are near where their hashes differ in at most kNearBits bits and their small pictures correlate
// (Pearson's coefficient; of two that are all one gray 1) by at least kNearCorrelation. Aligned faces look alike to the
// hash alone: docs/prepare.md has the counts behind both numbers.
inline constexpr int kNearBits = 8;
inline constexpr double kNearCorrelation = 0.96;
inline constexpr size_t kNearOfOne = 16;  // at most so many pairs begin with the same photo

struct NearPair {
  size_t first = 0, second = 0;  // first < second
  int bits = 0;
  double correlation = 0;
};

// All near pairs, by first, then second. Every pair is compared: n^2 / 2 comparisons of hashes, in parallel on `pool`.
// `stop` is asked now and then; true ends the search early.
std::vector<NearPair> near_pairs(const std::vector<PhotoPrint>& prints, int bits = kNearBits,
                                 ThreadPool* pool = nullptr, const std::function<bool()>& stop = {});

}  // namespace furrow::data
