#include "data/augment_normal.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "kernels/error.h"
#include "kernels/random.h"

namespace furrow::data {
namespace {

constexpr size_t kBatch = 256;  // pairs at a time; loops over them become vectors

// ln u for u in (0, 1]: u = 2^e m with m within sqrt(1/2) .. sqrt(2), ln m = 2 artanh((m - 1) / (m + 1)), whose series
// is cut where it is below 2^-27.
inline float logarithm(float u) {
  constexpr int32_t kRootHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  const int32_t bits = std::bit_cast<int32_t>(u);
  const int32_t exponent = (bits - kRootHalf) >> 23;
  const float m = std::bit_cast<float>(bits - exponent * (1 << 23));
  const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
  const float series = 1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9))));
  return static_cast<float>(exponent) * 0.693147181f + 2.0f * s * series;
}

// sin and cos of `turns` full turns, |turns| <= 1/2: the nearest quarter is taken off, Taylor's series of the rest, at
// most pi / 4, are cut below 2^-21.
inline void circle(float turns, float& sine, float& cosine) {
  const int32_t quarter = static_cast<int32_t>(turns * 4.0f + 2.5f) - 2;  // the argument is positive: cut is floor
  const float x = (turns - static_cast<float>(quarter) * 0.25f) * 6.28318531f, q = x * x;
  const float s = x * (1.0f + q * (-1.0f / 6 + q * (1.0f / 120 - q * (1.0f / 5040))));
  const float c = 1.0f + q * (-0.5f + q * (1.0f / 24 + q * (-1.0f / 720 + q * (1.0f / 40320))));
  const bool swap = quarter & 1;
  const float a = swap ? c : s, b = swap ? s : c;
  sine = quarter & 2 ? -a : a;
  cosine = (quarter + 1) & 2 ? -b : b;
}

}  // namespace

void draw_normal(const DrawKey& key, uint64_t first_index, float deviation, std::span<float> values) {
  require(first_index % 4 == 0, "a first index that is a multiple of 4");
  const Philox philox(key.seed);
  const uint64_t stream = key.stream();
  std::array<uint32_t, kBatch> radii, angles;
  std::array<float, kBatch> cosines, sines;
  for (size_t start = 0; start < values.size(); start += 2 * kBatch) {
    for (size_t i = 0; i < kBatch; i += 2) {
      const uint64_t block = (first_index + start + 2 * i) / 4;
      const Philox::Block words = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                                          static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)});
      radii[i] = words[0], angles[i] = words[1], radii[i + 1] = words[2], angles[i + 1] = words[3];
    }
    for (size_t i = 0; i < kBatch; ++i) {
      // 23 bits and half a step up, so that the logarithm is finite; exact in float32.
      const float u = (static_cast<float>(static_cast<int32_t>(radii[i] >> 9)) + 0.5f) * 0x1p-23f;
      const float turns = static_cast<float>(static_cast<int32_t>(angles[i])) * 0x1p-32f;
      const float radius = std::sqrt(std::max(-2.0f * logarithm(u), 0.0f)) * deviation;
      float sine, cosine;
      circle(turns, sine, cosine);
      cosines[i] = radius * cosine;
      sines[i] = radius * sine;
    }
    const size_t count = std::min(2 * kBatch, values.size() - start);
    for (size_t i = 0; i < count; ++i) values[start + i] = i % 2 == 0 ? cosines[i / 2] : sines[i / 2];
  }
}

}  // namespace furrow::data
