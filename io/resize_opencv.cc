#include "io/resize_opencv.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr int kCvFraction = 11;  // fractional bits of a weight

// Source pixels per result pixel, computed as OpenCV does: one over the rounded quotient, not the quotient itself.
double step(int64_t source, int64_t result) {
  return 1.0 / (static_cast<double>(result) / static_cast<double>(source));
}

// For each result sample the first of its `taps` source samples, which may lie outside, and their weights.
struct Taps {
  int taps = 0;
  std::vector<int64_t> first;
  std::vector<int32_t> weights;  // result * taps
};

// interpolateLanczos4(): the kernel at eight places a whole step apart, so sine and cosine are computed once and turned
// by multiples of 45 degrees; normalised in float.
void lanczos4_weights(float x, float* weights) {
  static const double s45 = 0.70710678118654752440084436210485;
  static const double turns[8][2] = {{1, 0},  {-s45, -s45}, {0, 1},  {s45, -s45},
                                     {-1, 0}, {s45, s45},   {0, -1}, {-s45, s45}};
  const double angle = -(x + 3) * std::numbers::pi * 0.25, sine = std::sin(angle), cosine = std::cos(angle);
  float sum = 0;
  for (int i = 0; i < 8; ++i) {
    const float distance = x + 3 - static_cast<float>(i);
    const double y = -distance * std::numbers::pi * 0.25;
    const bool on_sample = std::abs(distance) < 1e-6f;  // outweighs the others in float: one tap is left
    weights[i] = on_sample ? 1e30f : static_cast<float>((turns[i][0] * sine + turns[i][1] * cosine) / (y * y));
    sum += weights[i];
  }
  sum = 1.f / sum;
  for (int i = 0; i < 8; ++i) weights[i] *= sum;
}

// `clamp_first`: linear rows that begin outside take the edge pixel alone; columns keep both weights on it, which
// rounds differently.
Taps taps(int64_t source, int64_t result, OpencvFilter filter, bool clamp_first) {
  Taps t;
  t.taps = filter == OpencvFilter::lanczos4 ? 8 : 2;
  const double scale = step(source, result);
  for (int64_t i = 0; i < result; ++i) {
    float x = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
    auto first = static_cast<int64_t>(std::floor(x));
    x -= static_cast<float>(first);
    float weights[8] = {};
    if (filter == OpencvFilter::lanczos4) {
      lanczos4_weights(x, weights);
      first -= 3;
    } else {
      if (clamp_first && (first < 0 || first >= source - 1)) {
        first = std::clamp<int64_t>(first, 0, source - 1);
        x = 0;
      }
      weights[0] = 1.f - x;
      weights[1] = x;
    }
    t.first.push_back(first);
    for (int k = 0; k < t.taps; ++k)
      t.weights.push_back(static_cast<int32_t>(std::lrint(weights[k] * (1 << kCvFraction))));
  }
  return t;
}

// One row at another width, 11 fractional bits. |sum| stays below 2^20.
void resize_row(const uint8_t* row, int64_t width, int channels, const Taps& t, int32_t* out) {
  for (size_t i = 0; i < t.first.size(); ++i) {
    const int32_t* weights = &t.weights[i * static_cast<size_t>(t.taps)];
    const bool inside = t.first[i] >= 0 && t.first[i] + t.taps <= width;
    for (int c = 0; c < channels; ++c) {
      int32_t sum = 0;
      for (int k = 0; k < t.taps; ++k) {
        const int64_t x = inside ? t.first[i] + k : std::clamp<int64_t>(t.first[i] + k, 0, width - 1);
        sum += row[x * channels + c] * weights[k];
      }
      *out++ = sum;
    }
  }
}

uint8_t to_byte(int32_t value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// Two rows to one. The products lose bits before they are added, as 16-bit vector multiplications do.
void blend_linear(const int32_t* const* rows, const int32_t* weights, size_t length, uint8_t* out) {
  for (size_t x = 0; x < length; ++x) {
    const int32_t sum = (weights[0] * (rows[0][x] >> 4) >> 16) + (weights[1] * (rows[1][x] >> 4) >> 16);
    out[x] = to_byte((sum + 2) >> 2);
  }
}

// Eight rows to one. The largest sum, of black and white pixels placed against the kernel's signs at phase one half, is
// 2'104'600'000: within 32 bits.
void blend_lanczos4(const int32_t* const* rows, const int32_t* weights, size_t length, uint8_t* out) {
  for (size_t x = 0; x < length; ++x) {
    int32_t sum = 1 << (2 * kCvFraction - 1);
    for (int k = 0; k < 8; ++k) sum += rows[k][x] * weights[k];
    out[x] = to_byte(sum >> (2 * kCvFraction));
  }
}

Image resize_filtered(const Image& image, int64_t width, int64_t height, OpencvFilter filter) {
  const Taps columns = taps(image.width, width, filter, true), rows = taps(image.height, height, filter, false);
  const size_t length = static_cast<size_t>(width * image.channels);
  // Rows already at the new width, by source row modulo the number of taps: consecutive result rows share most of them.
  const auto slots = static_cast<size_t>(rows.taps);
  std::vector<int32_t> kept(length * slots);
  std::vector<int64_t> held(slots, -1);
  Image out(width, height, image.channels);
  for (int64_t y = 0; y < height; ++y) {
    const int32_t* sources[8];
    for (int k = 0; k < rows.taps; ++k) {
      const int64_t from = std::clamp<int64_t>(rows.first[static_cast<size_t>(y)] + k, 0, image.height - 1);
      const size_t slot = static_cast<size_t>(from) % slots;
      int32_t* row = &kept[slot * length];
      if (held[slot] != from) resize_row(image.row(from), image.width, image.channels, columns, row);
      held[slot] = from;
      sources[k] = row;
    }
    const int32_t* weights = &rows.weights[static_cast<size_t>(y * rows.taps)];
    (filter == OpencvFilter::linear ? blend_linear : blend_lanczos4)(sources, weights, length, out.row(y));
  }
  return out;
}

Image halve(const Image& image) {
  Image out(image.width / 2, image.height / 2, image.channels);
  const int c = image.channels;
  for (int64_t y = 0; y < out.height; ++y) {
    const uint8_t *upper = image.row(2 * y), *lower = image.row(2 * y + 1);
    uint8_t* to = out.row(y);
    for (int64_t x = 0; x < out.width * c; ++x) {
      const int64_t from = x / c * 2 * c + x % c;
      to[x] = static_cast<uint8_t>((upper[from] + upper[from + c] + lower[from] + lower[from + c] + 2) >> 2);
    }
  }
  return out;
}

std::vector<int64_t> nearest_positions(int64_t source, int64_t result) {
  const double scale = step(source, result);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < result; ++i)
    positions.push_back(std::min(static_cast<int64_t>(static_cast<double>(i) * scale), source - 1));
  return positions;
}

Image resize_nearest(const Image& image, int64_t width, int64_t height) {
  const auto columns = nearest_positions(image.width, width), rows = nearest_positions(image.height, height);
  const auto channels = static_cast<size_t>(image.channels);
  Image out(width, height, image.channels);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* from = image.row(rows[static_cast<size_t>(y)]);
    uint8_t* to = out.row(y);
    for (const int64_t x : columns) {
      std::memcpy(to, from + static_cast<size_t>(x) * channels, channels);
      to += channels;
    }
  }
  return out;
}

}  // namespace

Image resize_opencv(const Image& image, int64_t width, int64_t height, OpencvFilter filter) {
  require(width >= 1 && height >= 1 && image.width >= 1 && image.height >= 1, "resize_opencv: empty picture");
  require(image.channels == 1 || image.channels == 3, "resize_opencv: 1 or 3 channels");
  if (width == image.width && height == image.height) return image;
  if (filter == OpencvFilter::nearest) return resize_nearest(image, width, height);
  const double sx = step(image.width, width), sy = step(image.height, height);
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  if (filter == OpencvFilter::linear && std::abs(sx - 2) < kEpsilon && std::abs(sy - 2) < kEpsilon) return halve(image);
  return resize_filtered(image, width, height, filter);
}

}  // namespace furrow::io
