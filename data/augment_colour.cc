#include "data/augment_colour.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/augment_spaces.h"
#include "io/mirror.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

void check_rgb(const io::Image& image) {
  require(image.channels == 3 && image.width >= 1 && image.height >= 1, "an RGB picture");
}

using Table = std::array<uint8_t, 256>;
void look_up(io::Image& image, const Table& table) {
  for (uint8_t& value : image.pixels) value = table[value];
}

// numpy: clip to 0..255, then astype(uint8), which cuts off.
uint8_t cut_off(float value) { return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f)); }

double mean_gray(const io::Image& image) {
  std::vector<uint8_t> gray(static_cast<size_t>(image.width));
  uint64_t sum = 0;
  for (int64_t y = 0; y < image.height; ++y) {
    rgb_to_gray(image.row(y), gray.data(), image.width);
    for (const uint8_t value : gray) sum += value;
  }
  return static_cast<double>(sum) / static_cast<double>(image.width * image.height);
}

}  // namespace

void adjust_brightness(io::Image& image, double factor) {
  check_rgb(image);
  require(factor >= 0, "a factor of at least 0");
  if (factor == 1) return;
  Table table;
  for (size_t v = 0; v < 256; ++v) table[v] = cut_off(static_cast<float>(v) * static_cast<float>(factor));
  look_up(image, table);
}

void adjust_contrast(io::Image& image, double factor) {
  check_rgb(image);
  require(factor >= 0, "a factor of at least 0");
  if (factor == 1) return;
  const double mean = mean_gray(image);
  Table table;
  if (factor == 0) {
    table.fill(static_cast<uint8_t>(mean + 0.5));
  } else {
    const auto offset = static_cast<float>(mean * (1 - factor));
    for (size_t v = 0; v < 256; ++v) table[v] = cut_off(static_cast<float>(v) * static_cast<float>(factor) + offset);
  }
  look_up(image, table);
}

void adjust_saturation(io::Image& image, double factor) {
  check_rgb(image);
  require(factor >= 0, "a factor of at least 0");
  if (factor == 1) return;
  const auto of_colour = static_cast<float>(factor), of_gray = static_cast<float>(1 - factor);
  std::vector<uint8_t> gray(static_cast<size_t>(image.width));
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* row = image.row(y);
    rgb_to_gray(row, gray.data(), image.width);
    for (int64_t x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        // One rounding of product and sum, as the fused instruction of OpenCV's AVX2 code (exact in double but for
        // 2^-29).
        const float second = static_cast<float>(gray[static_cast<size_t>(x)]) * of_gray;
        const auto sum = static_cast<float>(static_cast<double>(row[3 * x + c]) * double{of_colour} + double{second});
        row[3 * x + c] = static_cast<uint8_t>(std::clamp(static_cast<int>(std::lrint(sum)), 0, 255));
      }
    }
  }
}

void adjust_hue(io::Image& image, double turn) {
  check_rgb(image);
  require(turn >= -0.5 && turn <= 0.5, "a turn of -0.5 to 0.5");
  if (turn == 0) return;
  Table table;
  for (size_t v = 0; v < 256; ++v) {
    double moved = std::fmod(static_cast<double>(v) + 180 * turn, 180.0);
    if (moved < 0) moved += 180.0;
    table[v] = static_cast<uint8_t>(moved);
  }
  std::vector<uint8_t> hsv(static_cast<size_t>(image.width * 3));
  for (int64_t y = 0; y < image.height; ++y) {
    rgb_to_hsv(image.row(y), hsv.data(), image.width);
    for (size_t i = 0; i < hsv.size(); i += 3) hsv[i] = table[hsv[i]];
    hsv_to_rgb(hsv.data(), image.row(y), image.width);
  }
}

void jitter_colours(io::Image& image, const ColourJitter& jitter) {
  for (const int which : jitter.order) {
    switch (which) {
      case 0: adjust_brightness(image, jitter.brightness); break;
      case 1: adjust_contrast(image, jitter.contrast); break;
      case 2: adjust_saturation(image, jitter.saturation); break;
      case 3: adjust_hue(image, jitter.hue); break;
      default: require(false, "an order of 0, 1, 2 and 3");
    }
  }
}

void blur(io::Image& image, int size) {
  check_rgb(image);
  require(size == 3 || size == 5 || size == 7, "a kernel of 3, 5 or 7");
  // In 256ths; products and sums are exact in 16 and 32 bits.
  constexpr uint32_t kTaps[3][7] = {{64, 128, 64}, {16, 64, 96, 64, 16}, {8, 28, 56, 72, 56, 28, 8}};
  const uint32_t* taps = kTaps[size / 2 - 1];
  const int radius = size / 2;
  const int64_t width = image.width, height = image.height, stride = 3 * width;
  std::vector<uint32_t> rows(static_cast<size_t>(stride * height));
  std::vector<uint8_t> padded(static_cast<size_t>(3 * (width + 2 * radius)));
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* from = image.row(y);
    for (int64_t x = -radius; x < width + radius; ++x) {
      std::copy_n(from + 3 * io::mirrored(x, width), 3, padded.data() + 3 * (x + radius));
    }
    uint32_t* to = rows.data() + y * stride;
    for (int k = 0; k < size; ++k) {
      const uint8_t* shifted = padded.data() + 3 * k;
      for (int64_t i = 0; i < stride; ++i) to[i] += shifted[i] * taps[k];
    }
  }
  std::vector<uint32_t> sum(static_cast<size_t>(stride));
  for (int64_t y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 1u << 15);
    for (int k = 0; k < size; ++k) {
      const uint32_t* from = rows.data() + io::mirrored(y + k - radius, height) * stride;
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += from[i] * taps[k];
    }
    uint8_t* to = image.row(y);
    for (size_t i = 0; i < sum.size(); ++i) to[i] = static_cast<uint8_t>(sum[i] >> 16);
  }
}

void add_noise(io::Image& image, std::span<const float> noise) {
  check_rgb(image);
  require(noise.size() == image.pixels.size(), "a value of noise for every sample");
  for (size_t i = 0; i < noise.size(); ++i) {
    require(!std::isnan(noise[i]), "noise that is a number");
    image.pixels[i] = cut_off(static_cast<float>(image.pixels[i]) + std::trunc(noise[i]));
  }
}

}  // namespace furrow::data
