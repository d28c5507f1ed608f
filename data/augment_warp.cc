#include "data/augment_warp.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "io/mirror.h"
#include "io/resize_opencv.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr int kStepBits = 10;  // coordinates of warpAffine: 2^-10 pixel
constexpr int kPhaseBits = 5;  // of which the linear filter keeps 2^-5
constexpr int kPhases = 1 << kPhaseBits;
constexpr int64_t kLongestSide = 32766;

void check(const io::Image& image) {
  require(image.channels == 1 || image.channels == 3, "a picture of 1 or 3 channels");
  require(image.width >= 1 && image.height >= 1 && image.width <= kLongestSide && image.height <= kLongestSide,
          "sides of 1 to 32766");
}

// saturate_cast<int>(double): to the nearest, halves to even.
int to_int(double value) { return static_cast<int>(std::lrint(std::clamp(value, -2147483648.0, 2147483647.0))); }
// a + b as the machine adds: coordinates of extreme matrices wrap, as in OpenCV.
int wrapped_sum(int a, int b) { return static_cast<int>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
// saturate_cast<short>(int).
int to_short(int value) { return std::clamp(value, -32768, 32767); }

// Reads one picture at coordinates given by the caller, and writes the result pixel by pixel.
class Sampler {
 public:
  Sampler(const io::Image& image, Outside outside) : image_(image), outside_(outside) {}

  void nearest(int x, int y, uint8_t* out) const {
    const uint8_t* from = pixel(x, y);
    for (int c = 0; c < image_.channels; ++c) out[c] = from ? from[c] : 0;
  }

  // (x, y) in 1/32 pixel. The weights (32 - fx) * (32 - fy) * 32 sum to 2^15; the factor 32 is left out of all.
  void linear(int x, int y, uint8_t* out) const {
    const int fx = x & (kPhases - 1), fy = y & (kPhases - 1);
    const int left = to_short(x >> kPhaseBits), top = to_short(y >> kPhaseBits);
    const uint8_t *p00, *p01, *p10, *p11;
    if (left >= 0 && top >= 0 && left + 1 < image_.width && top + 1 < image_.height) {
      p00 = image_.row(top) + left * image_.channels;
      p01 = p00 + image_.channels;
      p10 = p00 + image_.width * image_.channels;
      p11 = p10 + image_.channels;
    } else {
      p00 = pixel(left, top), p01 = pixel(left + 1, top), p10 = pixel(left, top + 1), p11 = pixel(left + 1, top + 1);
    }
    const int w00 = (kPhases - fx) * (kPhases - fy), w01 = fx * (kPhases - fy), w10 = (kPhases - fx) * fy,
              w11 = fx * fy;
    for (int c = 0; c < image_.channels; ++c) {
      const int sum =
          (p00 ? p00[c] * w00 : 0) + (p01 ? p01[c] * w01 : 0) + (p10 ? p10[c] * w10 : 0) + (p11 ? p11[c] * w11 : 0);
      out[c] = static_cast<uint8_t>((sum + 512) >> 10);
    }
  }

 private:
  // nullptr where it is black.
  const uint8_t* pixel(int64_t x, int64_t y) const {
    if (x < 0 || y < 0 || x >= image_.width || y >= image_.height) {
      if (outside_ == Outside::black) return nullptr;
      x = io::mirrored(x, image_.width), y = io::mirrored(y, image_.height);
    }
    return image_.row(y) + x * image_.channels;
  }

  const io::Image& image_;
  Outside outside_;
};

bool is_identity(const AffineMatrix& m) {
  constexpr AffineMatrix identity = {1, 0, 0, 0, 1, 0};
  for (size_t i = 0; i < m.size(); ++i) {
    if (!(std::abs(m[i] - identity[i]) <= 1e-8 + 1e-5 * identity[i])) return false;  // numpy.allclose's defaults
  }
  return true;
}

// From result to source, operation by operation as cv::warpAffine inverts.
AffineMatrix inverse(AffineMatrix m) {
  double d = m[0] * m[4] - m[1] * m[3];
  require(std::isfinite(d) && d != 0, "an invertible matrix");
  d = 1.0 / d;
  const double a11 = m[4] * d, a22 = m[0] * d;
  m[0] = a11;
  m[1] *= -d;
  m[3] *= -d;
  m[4] = a22;
  const double b1 = -m[0] * m[2] - m[1] * m[5], b2 = -m[3] * m[2] - m[4] * m[5];
  m[2] = b1;
  m[5] = b2;
  for (const double value : m) require(std::isfinite(value), "an invertible matrix");
  return m;
}

using Matrix3 = std::array<double, 9>;
Matrix3 product(const Matrix3& a, const Matrix3& b) {
  Matrix3 c{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      c[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    }
  }
  return c;
}

}  // namespace

io::Image flip_horizontal(const io::Image& image) {
  io::Image out(image.width, image.height, image.channels);
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* from = image.row(y);
    uint8_t* to = out.row(y) + (image.width - 1) * image.channels;
    for (int64_t x = 0; x < image.width; ++x, from += image.channels, to -= image.channels) {
      for (int c = 0; c < image.channels; ++c) to[c] = from[c];
    }
  }
  return out;
}

AffineMatrix affine_matrix(int64_t width, int64_t height, const AffineParameters& p) {
  constexpr double kDegree = 3.14159265358979323846 / 180.0;
  const double cx = static_cast<double>(width) / 2 - 0.5, cy = static_cast<double>(height) / 2 - 0.5;
  double turn = std::fmod(p.rotate, 360.0);
  if (turn < 0) turn += 360.0;  // Python's %
  const double c = std::cos(turn * kDegree), s = std::sin(turn * kDegree);
  Matrix3 m = {1, 0, cx, 0, 1, cy, 0, 0, 1};
  m = product(m, {1, 0, p.translate_x, 0, 1, p.translate_y, 0, 0, 1});
  m = product(m, {1, std::tan(p.shear_x * kDegree), 0, std::tan(p.shear_y * kDegree), 1, 0, 0, 0, 1});
  m = product(m, {c, s, 0, -s, c, 0, 0, 0, 1});
  m = product(m, {p.scale_x, 0, 0, 0, p.scale_y, 0, 0, 0, 1});
  m = product(m, {1, 0, -cx, 0, 1, -cy, 0, 0, 1});
  return {m[0], m[1], m[2], m[3], m[4], m[5]};
}

io::Image warp_affine(const io::Image& image, const AffineMatrix& matrix, Sampling sampling, Outside outside) {
  check(image);
  for (const double value : matrix) require(std::isfinite(value), "finite numbers in the matrix");
  if (is_identity(matrix)) return image;
  const AffineMatrix m = inverse(matrix);
  constexpr double scale = 1 << kStepBits;
  const int half = sampling == Sampling::nearest ? 1 << (kStepBits - 1) : (1 << kStepBits) / kPhases / 2;
  const auto columns = static_cast<size_t>(image.width);
  std::vector<int> step_x(columns), step_y(columns);
  for (size_t x = 0; x < columns; ++x) {
    step_x[x] = to_int(m[0] * static_cast<double>(x) * scale);
    step_y[x] = to_int(m[3] * static_cast<double>(x) * scale);
  }
  io::Image out(image.width, image.height, image.channels);
  const Sampler sampler(image, outside);
  for (int64_t y = 0; y < image.height; ++y) {
    const int x0 = wrapped_sum(to_int((m[1] * static_cast<double>(y) + m[2]) * scale), half);
    const int y0 = wrapped_sum(to_int((m[4] * static_cast<double>(y) + m[5]) * scale), half);
    uint8_t* to = out.row(y);
    for (size_t x = 0; x < columns; ++x, to += image.channels) {
      const int at_x = wrapped_sum(x0, step_x[x]), at_y = wrapped_sum(y0, step_y[x]);
      if (sampling == Sampling::nearest) {
        sampler.nearest(to_short(at_x >> kStepBits), to_short(at_y >> kStepBits), to);
      } else {
        sampler.linear(at_x >> (kStepBits - kPhaseBits), at_y >> (kStepBits - kPhaseBits), to);
      }
    }
  }
  return out;
}

io::Image remap(const io::Image& image, std::span<const float> map_x, std::span<const float> map_y, Sampling sampling) {
  check(image);
  const auto count = static_cast<size_t>(image.width * image.height);
  require(map_x.size() == count && map_y.size() == count, "maps as large as the picture");
  io::Image out(image.width, image.height, image.channels);
  const Sampler sampler(image, Outside::black);
  uint8_t* to = out.pixels.data();
  for (size_t i = 0; i < count; ++i, to += image.channels) {
    require(std::isfinite(map_x[i]) && std::isfinite(map_y[i]), "finite coordinates");
    if (sampling == Sampling::nearest) {
      sampler.nearest(to_short(to_int(map_x[i])), to_short(to_int(map_y[i])), to);
    } else {
      sampler.linear(to_int(map_x[i] * float{kPhases}), to_int(map_y[i] * float{kPhases}), to);
    }
  }
  return out;
}

namespace {

constexpr int kSmoothRadius = 8;  // 17 taps
using SmoothTaps = std::array<float, 2 * kSmoothRadius + 1>;

// cv2.getGaussianKernel(17, sigma): in double, normalised, then float.
SmoothTaps smooth_taps(double sigma) {
  std::array<double, 2 * kSmoothRadius + 1> exact;
  double sum = 0;
  for (int i = -kSmoothRadius; i <= kSmoothRadius; ++i) {
    exact[static_cast<size_t>(i + kSmoothRadius)] = std::exp(-0.5 / (sigma * sigma) * i * i);
    sum += exact[static_cast<size_t>(i + kSmoothRadius)];
  }
  SmoothTaps taps;
  for (size_t i = 0; i < taps.size(); ++i) taps[i] = static_cast<float>(exact[i] * (1.0 / sum));
  return taps;
}

// a * b + c with one rounding (the product of two floats is exact in double; that the sum is rounded to double first
// changes about one result in 2^29), without asking for a machine that has the instruction.
inline float fused(float a, float b, float c) { return static_cast<float>(double{a} * double{b} + double{c}); }

}  // namespace

void smooth_displacement(std::span<float> field, int64_t width, int64_t height, double sigma, double alpha) {
  require(width >= 1 && height >= 1 && field.size() == static_cast<size_t>(width * height), "width * height values");
  require(std::isfinite(sigma) && sigma > 0 && std::isfinite(alpha), "a positive standard deviation");
  const SmoothTaps taps = smooth_taps(sigma);
  std::vector<float> rows(field.size());
  std::vector<float> padded(static_cast<size_t>(width + 2 * kSmoothRadius));
  for (int64_t y = 0; y < height; ++y) {
    const float* from = field.data() + y * width;
    for (int64_t x = 0; x < width + 2 * kSmoothRadius; ++x) {
      padded[static_cast<size_t>(x)] = from[io::mirrored(x - kSmoothRadius, width)];
    }
    float* to = rows.data() + y * width;
    for (int64_t x = 0; x < width; ++x) to[x] = padded[static_cast<size_t>(x)] * taps[0];
    for (size_t k = 1; k < taps.size(); ++k) {
      const float* shifted = padded.data() + k;
      for (int64_t x = 0; x < width; ++x) to[x] = fused(shifted[x], taps[k], to[x]);
    }
  }
  const auto factor = static_cast<float>(alpha);
  for (int64_t y = 0; y < height; ++y) {  // the middle row first, then pairs of rows from inside out
    float* to = field.data() + y * width;
    const float* middle = rows.data() + y * width;
    for (int64_t x = 0; x < width; ++x) to[x] = middle[x] * taps[kSmoothRadius];
    for (int k = 1; k <= kSmoothRadius; ++k) {
      const float* above = rows.data() + io::mirrored(y - k, height) * width;
      const float* below = rows.data() + io::mirrored(y + k, height) * width;
      const float tap = taps[static_cast<size_t>(kSmoothRadius + k)];
      for (int64_t x = 0; x < width; ++x) to[x] = fused(below[x] + above[x], tap, to[x]);
    }
    for (int64_t x = 0; x < width; ++x) to[x] *= factor;
  }
}

io::Image displace(const io::Image& image, std::span<const float> dx, std::span<const float> dy, Sampling sampling) {
  const auto count = static_cast<size_t>(image.width * image.height);
  require(dx.size() == count && dy.size() == count, "fields as large as the picture");
  std::vector<float> map_x(count), map_y(count);
  for (size_t i = 0, y = 0; i < count; ++y) {
    for (int64_t x = 0; x < image.width; ++x, ++i) {
      map_x[i] = static_cast<float>(static_cast<double>(x) + double{dx[i]});
      map_y[i] = static_cast<float>(static_cast<double>(y) + double{dy[i]});
    }
  }
  return remap(image, map_x, map_y, sampling);
}

io::Image crop_resized(const io::Image& image, const CropBox& box, Sampling sampling) {
  require(box.x >= 0 && box.y >= 0 && box.width >= 1 && box.height >= 1 && box.x + box.width <= image.width &&
              box.y + box.height <= image.height,
          "a part within the picture");
  io::Image part(box.width, box.height, image.channels);
  for (int64_t y = 0; y < box.height; ++y) {
    const uint8_t* from = image.row(box.y + y) + box.x * image.channels;
    std::copy(from, from + box.width * image.channels, part.row(y));
  }
  return io::resize_opencv(part, image.width, image.height,
                           sampling == Sampling::nearest ? io::OpencvFilter::nearest : io::OpencvFilter::linear);
}

}  // namespace furrow::data
