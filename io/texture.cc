#include "io/texture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "io/mirror.h"
#include "kernels/cpu/isa.h"
#include "kernels/error.h"
#include "kernels/threads.h"

namespace furrow::io {
namespace {

constexpr int kRadius = 10;  // 21 taps
constexpr double kSmallestSigma = 0.5, kLargestSigma = 20, kTunedFor = 1024;
constexpr int64_t kRowsPerTask = 64;
using TextureTaps = std::array<float, kRadius + 1>;  // from the middle outwards

// cv2.getGaussianKernel(21, sigma), rounded to float.
TextureTaps gaussian(double sigma) {
  std::array<double, kRadius + 1> exact;
  double sum = 0;
  for (int i = 0; i <= kRadius; ++i) {
    exact[static_cast<size_t>(i)] = std::exp(-0.5 * i * i / (sigma * sigma));
    sum += exact[static_cast<size_t>(i)] * (i == 0 ? 1 : 2);
  }
  TextureTaps taps;
  for (size_t i = 0; i < taps.size(); ++i) taps[i] = static_cast<float>(exact[i] / sum);
  return taps;
}

// Functions below are compiled once for every x86-64 and once for AVX2, which has twice the lanes; products and sums
// are never fused, so both give the same bits.
#define FURROW_INLINE inline __attribute__((always_inline))

FURROW_INLINE void luma(const uint8_t* rgb, float* __restrict out, int64_t width, TextureRecipe recipe) {
  if (recipe == TextureRecipe::closest) {
    for (int64_t x = 0; x < width; ++x) {
      out[x] = 0.2126f * rgb[3 * x] + 0.7152f * rgb[3 * x + 1] + 0.0722f * rgb[3 * x + 2];
    }
  } else {
    for (int64_t x = 0; x < width; ++x) {  // rgb_to_gray()
      out[x] =
          static_cast<float>((rgb[3 * x] * 9798 + rgb[3 * x + 1] * 19235 + rgb[3 * x + 2] * 3735 + (1 << 14)) >> 15);
    }
  }
}

// out[x] = sum of taps over the rows y - 10 .. y + 10; rows[0] is the lowest of them. The loops over taps unroll, those
// over pixels become vectors.
FURROW_INLINE void blur_down(const float* const (&rows)[2 * kRadius + 1], const TextureTaps& taps,
                             float* __restrict out, int64_t width) {
  for (int64_t x = 0; x < width; ++x) {
    float even = taps[0] * rows[kRadius][x], odd = 0;  // two chains of sums, so that one need not wait for the other
#pragma GCC unroll 5
    for (size_t k = 1; k <= kRadius; k += 2) {
      odd += taps[k] * (rows[kRadius - k][x] + rows[kRadius + k][x]);
      even += taps[k + 1] * (rows[kRadius - k - 1][x] + rows[kRadius + k + 1][x]);
    }
    out[x] = even + odd;
  }
}

// The same along a row; `padded` begins 10 pixels left of it.
FURROW_INLINE void blur_along(const float* __restrict padded, const TextureTaps& taps, float* __restrict out,
                              int64_t width) {
  for (int64_t x = 0; x < width; ++x) {
    const float* middle = padded + x + kRadius;
    float even = taps[0] * middle[0], odd = 0;
#pragma GCC unroll 5
    for (int k = 1; k <= kRadius; k += 2) {
      odd += taps[static_cast<size_t>(k)] * (middle[-k] + middle[k]);
      even += taps[static_cast<size_t>(k + 1)] * (middle[-k - 1] + middle[k + 1]);
    }
    out[x] = even + odd;
  }
}

FURROW_INLINE void relief(const float* __restrict level, const float* __restrict blurred, TextureRecipe recipe,
                          uint8_t* __restrict out, int64_t width) {
  if (recipe == TextureRecipe::closest) {  // never below 0, since the level is at most G; + .5 and cut is the nearest
    for (int64_t x = 0; x < width; ++x) {
      const float value = (1.0f - std::min(level[x], blurred[x]) / (1.0f + blurred[x])) * 255.0f;
      out[x] = static_cast<uint8_t>(static_cast<int>(value + 0.5f));
    }
  } else {
    const int inverse = recipe == TextureRecipe::authors ? 257 : 255;
    for (int64_t x = 0; x < width; ++x) {
      const float quotient = std::min(level[x] * 255.0f / (blurred[x] + 1.0f), 255.0f);
      out[x] = static_cast<uint8_t>(inverse - static_cast<int>(quotient));
    }
  }
}

struct Job {
  const Image& photo;
  const Image* keep;
  TextureRecipe recipe;
  TextureTaps taps;
  Image& map;
};

// Rows [from, to) of the map.
FURROW_INLINE void map_rows(const Job& job, int64_t from, int64_t to) {
  const int64_t width = job.photo.width, height = job.photo.height;
  // The rows needed: ten more on either side, which holds what the mirror sends back, or all of a low picture.
  const bool all = height <= 2 * kRadius;
  const int64_t low = all ? 0 : std::max<int64_t>(from - kRadius, 0);
  const int64_t high = all ? height : std::min(to + kRadius, height);
  // Rows a multiple of 4 KiB apart would share one set of the first-level cache.
  const int64_t stride = (width + 15) / 16 * 16 + 16;
  std::vector<float> levels(static_cast<size_t>((high - low) * stride));
  for (int64_t y = low; y < high; ++y) luma(job.photo.row(y), levels.data() + (y - low) * stride, width, job.recipe);
  std::vector<float> padded(static_cast<size_t>(width + 2 * kRadius)), blurred(static_cast<size_t>(width));
  float* const inner = padded.data() + kRadius;
  for (int64_t y = from; y < to; ++y) {
    const float* rows[2 * kRadius + 1];
    for (int k = 0; k <= 2 * kRadius; ++k) rows[k] = levels.data() + (mirrored(y + k - kRadius, height) - low) * stride;
    blur_down(rows, job.taps, inner, width);
    for (int k = 1; k <= kRadius; ++k) {
      inner[-k] = inner[mirrored(-k, width)];
      inner[width - 1 + k] = inner[mirrored(width - 1 + k, width)];
    }
    blur_along(padded.data(), job.taps, blurred.data(), width);
    uint8_t* out = job.map.row(y);
    relief(levels.data() + (y - low) * stride, blurred.data(), job.recipe, out, width);
    if (job.keep) {
      const uint8_t* kept = job.keep->row(y);
      for (int64_t x = 0; x < width; ++x) out[x] = kept[x] ? out[x] : uint8_t{0};
    }
  }
}

void map_rows_portable(const Job& job, int64_t from, int64_t to) { map_rows(job, from, to); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) void map_rows_avx2(const Job& job, int64_t from, int64_t to) {
  map_rows(job, from, to);
}
#endif

}  // namespace

double texture_sigma(double at_1024, int64_t side) {
  return std::clamp(at_1024 * static_cast<double>(side) / kTunedFor, kSmallestSigma, kLargestSigma);
}

Image texture_map(const Image& photo, const TextureOptions& options, const Image* keep, ThreadPool* pool) {
  require(photo.channels == 3 && photo.width >= 1 && photo.height >= 1, "an RGB photo");
  require(options.sigma >= kSmallestSigma && options.sigma <= kLargestSigma, "a sigma of 0.5 to 20");
  require(!keep || (keep->channels == 1 && keep->width == photo.width && keep->height == photo.height),
          "a mask as large as the photo");
  Image map(photo.width, photo.height, 1);
  const Job job{photo, keep, options.recipe, gaussian(options.sigma), map};
  auto* rows = map_rows_portable;
#if defined(__x86_64__)
  if (cpu::choose_isa() >= cpu::Isa::avx2) rows = map_rows_avx2;
#endif
  const int64_t tasks = (photo.height + kRowsPerTask - 1) / kRowsPerTask;
  parallel_for(pool, tasks, [&](int64_t task, int) {
    rows(job, task * kRowsPerTask, std::min(photo.height, (task + 1) * kRowsPerTask));
  });
  return map;
}

Image kept_labels(const Image& labels, const bool (&kept)[256]) {
  require(labels.channels == 1, "a label map of one channel");
  Image mask(labels.width, labels.height, 1);
  for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = kept[labels.pixels[i]] ? 255 : 0;
  return mask;
}

}  // namespace furrow::io
