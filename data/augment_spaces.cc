#include "data/augment_spaces.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace furrow::data {
namespace {

constexpr int kLabShift = 12;                        // the XYZ matrix
constexpr int kGammaShift = 3;                       // linear light: 255 * 8 is white
constexpr int kRootShift = kLabShift + kGammaShift;  // cube roots
constexpr int kBase = 1 << 14;                       // XYZ and f on the way back
constexpr int kInverseGamma = 1 << 12;               // steps of the inverse gamma's table

int rounded_shift(int value, int bits) { return (value + (1 << (bits - 1))) >> bits; }
int nearest(double value) { return static_cast<int>(std::lrint(value)); }

// IEC 61966-2-1, in the float32 and double steps of OpenCV's tables.
float to_linear(float x) {
  const double v = x;
  return static_cast<float>(v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4));
}
float from_linear(float x) {
  const double v = x;
  return static_cast<float>(v <= 0.0031308 ? v * 12.92 : std::pow(v, 1.0 / 2.4) * 1.055 - 0.055);
}

// sRGB's primaries to XYZ and back, and the white point D65, as OpenCV rounds them.
constexpr double kToXyz[9] = {0.412453, 0.357580, 0.180423, 0.212671, 0.715160, 0.072169, 0.019334, 0.119193, 0.950227};
constexpr double kFromXyz[9] = {3.240479, -1.53715, -0.498535, -0.969256, 1.875991,
                                0.041556, 0.055648, -0.204043, 1.057311};
constexpr double kWhite[3] = {0.950456, 1.0, 1.088754};

// f of Lab continues below (6/29)^3 as a line; i indexes L (0..255).
struct LabTables {
  std::array<uint16_t, 256> linear;
  std::array<uint16_t, 256 * 3 / 2 * (1 << kGammaShift)> root;
  std::array<uint16_t, kInverseGamma> gamma;
  std::array<int, 256> y, fy;            // of L, times kBase
  static constexpr int kLowest = -8145;  // of f, times kBase
  std::vector<int> xz;                   // of f - kLowest
  std::array<int, 9> to_xyz, from_xyz;   // 12 bits

  LabTables() : xz(static_cast<size_t>(kBase * 9 / 4)) {
    const float threshold = 216.0f / 24389.0f, slope = 841.0f / 108.0f, bias = 16.0f / 116.0f;
    for (size_t i = 0; i < 256; ++i) {
      linear[i] = static_cast<uint16_t>(nearest(float{255 << kGammaShift} * to_linear(static_cast<float>(i) / 255.0f)));
    }
    const float step = 1.0f / (255.0f * (1 << kGammaShift));
    for (size_t i = 0; i < root.size(); ++i) {
      const float x = step * static_cast<float>(i);
      const float f =
          static_cast<float>(x < threshold ? double{x} * double{slope} + double{bias} : std::cbrt(double{x}));
      root[i] = static_cast<uint16_t>(nearest(float{1 << kRootShift} * f));
    }
    root[324] = 17745;  // 17745.499 is 17745.5 in float32, but not by OpenCV's own cube root, good to 2^-24
    for (size_t i = 0; i < gamma.size(); ++i) {
      gamma[i] = static_cast<uint16_t>(nearest(255.0f * from_linear(static_cast<float>(i) / float{kInverseGamma})));
    }
    for (int i = 0; i < 256; ++i) {
      const auto at = static_cast<size_t>(i);
      if (i <= 20) {  // L <= 8, where f is the line
        y[at] = nearest(static_cast<float>(i * kBase * 20 * 9) / float{17 * 29 * 29 * 29});
        fy[at] = nearest(float{kBase} * (16.0f / 116.0f + static_cast<float>(i * 5) / float{3 * 17 * 29}));
      } else {
        const float f = static_cast<float>(i * 100 * kBase) / float{255 * 116} + float{16 * kBase} / 116.0f;
        fy[at] = nearest(f);
        y[at] = nearest(f * f * f / (float{kBase} * float{kBase}));
      }
    }
    for (int i = 0; i < static_cast<int>(xz.size()); ++i) {
      const int f = i + kLowest;
      xz[static_cast<size_t>(i)] = f <= 3390 ? f * 108 / 841 - kBase * 16 / 116 * 108 / 841 : f * f / kBase * f / kBase;
    }
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 3; ++j) {
        to_xyz[3 * i + j] = nearest((1 << kLabShift) * kToXyz[3 * i + j] / kWhite[i]);
        from_xyz[3 * i + j] = nearest((1 << kLabShift) * kFromXyz[3 * i + j] * kWhite[j]);
      }
    }
  }
};

const LabTables& lab_tables() {
  static const LabTables tables;
  return tables;
}

}  // namespace

void rgb_to_gray(const uint8_t* from, uint8_t* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] =
        static_cast<uint8_t>(rounded_shift(from[3 * i] * 9798 + from[3 * i + 1] * 19235 + from[3 * i + 2] * 3735, 15));
  }
}

void rgb_to_lab(const uint8_t* from, uint8_t* to, int64_t count) {
  const LabTables& t = lab_tables();
  constexpr int kScaleL = (116 * 255 + 50) / 100, kOffsetL = -((16 * 255 * (1 << kRootShift) + 50) / 100);
  for (int64_t i = 0; i < count; ++i, from += 3, to += 3) {
    const int r = t.linear[from[0]], g = t.linear[from[1]], b = t.linear[from[2]];
    const auto f = [&](size_t row) {
      const int sum = r * t.to_xyz[row] + g * t.to_xyz[row + 1] + b * t.to_xyz[row + 2];
      return int{t.root[static_cast<size_t>(rounded_shift(sum, kLabShift))]};
    };
    const int fx = f(0), fy = f(3), fz = f(6);
    const int values[3] = {rounded_shift(kScaleL * fy + kOffsetL, kRootShift),
                           rounded_shift(500 * (fx - fy) + 128 * (1 << kRootShift), kRootShift),
                           rounded_shift(200 * (fy - fz) + 128 * (1 << kRootShift), kRootShift)};
    for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>(std::clamp(values[c], 0, 255));
  }
}

void lab_to_rgb(const uint8_t* from, uint8_t* to, int64_t count) {
  const LabTables& t = lab_tables();
  constexpr int kShift = kLabShift + 14 - 12;
  for (int64_t i = 0; i < count; ++i, from += 3, to += 3) {
    // a / 500 and b / 200 by multiplication, with OpenCV's constants.
    const int a = ((5 * from[1] * 53687 + (1 << 7)) >> 13) - 128 * kBase / 500;
    const int b = ((from[2] * 41943 + (1 << 4)) >> 9) - 128 * kBase / 200 + 1;
    const int x = t.xz[static_cast<size_t>(t.fy[from[0]] + a - LabTables::kLowest)];
    const int y = t.y[from[0]];
    const int z = t.xz[static_cast<size_t>(t.fy[from[0]] - b - LabTables::kLowest)];
    for (size_t c = 0; c < 3; ++c) {
      const int v =
          rounded_shift(t.from_xyz[3 * c] * x + t.from_xyz[3 * c + 1] * y + t.from_xyz[3 * c + 2] * z, kShift);
      to[c] = static_cast<uint8_t>(t.gamma[static_cast<size_t>(std::clamp(v, 0, kInverseGamma - 1))]);
    }
  }
}

namespace {

constexpr int kHsvShift = 12;
struct Reciprocals {
  std::array<int, 256> saturation{}, hue{};
  Reciprocals() {
    for (size_t i = 1; i < 256; ++i) {
      saturation[i] = nearest((255 << kHsvShift) / (1.0 * static_cast<double>(i)));
      hue[i] = nearest((180 << kHsvShift) / (6.0 * static_cast<double>(i)));
    }
  }
};

// 1 - a * b with one rounding, as the fused instruction of OpenCV's AVX2 code (a product of floats is exact in double).
float one_minus(float a, float b) { return static_cast<float>(1.0 - double{a} * double{b}); }

}  // namespace

void rgb_to_hsv(const uint8_t* from, uint8_t* to, int64_t count) {
  static const Reciprocals table;
  for (int64_t i = 0; i < count; ++i, from += 3, to += 3) {
    const int r = from[0], g = from[1], b = from[2];
    const int value = std::max({r, g, b}), spread = value - std::min({r, g, b});
    int hue = value == r ? g - b : value == g ? b - r + 2 * spread : r - g + 4 * spread;
    hue = rounded_shift(hue * table.hue[static_cast<size_t>(spread)], kHsvShift);
    if (hue < 0) hue += 180;
    to[0] = static_cast<uint8_t>(std::min(hue, 255));
    to[1] = static_cast<uint8_t>(rounded_shift(spread * table.saturation[static_cast<size_t>(value)], kHsvShift));
    to[2] = static_cast<uint8_t>(value);
  }
}

void hsv_to_rgb(const uint8_t* from, uint8_t* to, int64_t count) {
  // For each sixth of the circle: which of value, low, falling, rising is red, green, blue.
  constexpr uint8_t kSixth[6][3] = {{0, 3, 1}, {2, 0, 1}, {1, 0, 3}, {1, 2, 0}, {3, 1, 0}, {0, 1, 2}};
  for (int64_t i = 0; i < count; ++i, from += 3, to += 3) {
    const float s = static_cast<float>(from[1]) * (1.0f / 255.0f), v = static_cast<float>(from[2]) * (1.0f / 255.0f);
    const float turn = static_cast<float>(from[0]) * (6.0f / 180.0f);
    const int sector = static_cast<int>(turn);
    const float h = turn - static_cast<float>(sector);
    const bool vector_loop = i < count - count % 32;
    const float candidates[4] = {v, v * (1.0f - s), v * one_minus(s, h), v * one_minus(s, 1.0f - h)};
    for (int c = 0; c < 3; ++c) {
      const float level = candidates[kSixth[sector % 6][c]] * 255.0f;
      to[c] = static_cast<uint8_t>(std::clamp(vector_loop ? static_cast<int>(level) : nearest(level), 0, 255));
    }
  }
}

}  // namespace furrow::data
