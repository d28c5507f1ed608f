#include "segment/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr std::array<double, 3> kMean = {0.485, 0.456, 0.406}, kStd = {0.229, 0.224, 0.225};

void check_texture(const io::Image& rgb, const io::Image* texture) {
  require(rgb.channels == 3, "a picture of three channels");
  require(
      texture == nullptr || (texture->channels == 1 && texture->width == rgb.width && texture->height == rgb.height),
      "a texture map as large as the picture");
}

// put(channel, byte) of every pixel, from left to right or back; the map, where there is one, is channel 3.
template <class Put>
void each_byte(const io::Image& rgb, const io::Image* texture, bool mirrored, Put put) {
  for (int64_t y = 0; y < rgb.height; ++y) {
    const uint8_t *row = rgb.row(y), *levels = texture != nullptr ? texture->row(y) : nullptr;
    for (int64_t x = 0; x < rgb.width; ++x) {
      const int64_t from = mirrored ? rgb.width - 1 - x : x;
      for (size_t c = 0; c < 3; ++c) put(c, row[3 * from + static_cast<int64_t>(c)]);
      if (levels != nullptr) put(size_t{3}, levels[from]);
    }
  }
}

template <class T>
void fill(const io::Image& rgb, const io::Image* texture, const Tensor& table, bool mirrored, std::span<T> out) {
  const T* values = table.values<T>().data();
  T* to = out.data();
  each_byte(rgb, texture, mirrored, [&](size_t c, uint8_t v) { *to++ = values[c * 256 + v]; });
}

template <class T>
T probability(const T* z, int64_t classes) {
  if (classes == 1) return T(1) / (T(1) + std::exp(-z[0]));
  T rival = z[0];
  for (int64_t c = 2; c < classes; ++c) {
    if (z[c] > rival || std::isnan(z[c])) rival = z[c];
  }
  return T(1) / (T(1) + std::exp(rival - z[1]));
}

template <class T>
void accumulate(const Tensor& logits, bool mirrored, float weight, std::span<float> plane) {
  const Shape& s = logits.shape();
  const T* z = logits.values<T>().data();
  for (int64_t y = 0; y < s.h; ++y) {
    float* row = plane.data() + y * s.w;
    for (int64_t x = 0; x < s.w; ++x, z += s.c) {
      row[mirrored ? s.w - 1 - x : x] += weight * static_cast<float>(probability(z, s.c));
    }
  }
}

}  // namespace

void normalise(const io::Image& rgb, const io::Image* texture, const ModelInfo& info, bool mirrored, Tensor& input) {
  check_texture(rgb, texture);
  require(input.shape() == Shape{1, rgb.height, rgb.width, texture != nullptr ? 4 : 3}, "normalise: shapes");
  const Tensor table = pixel_values(info, input.shape().c, input.dtype());
  if (input.dtype() == DType::f64)
    fill(rgb, texture, table, mirrored, input.values<double>());
  else
    fill(rgb, texture, table, mirrored, input.values<float>());
}

Tensor pixel_values(const ModelInfo& info, int64_t channels, DType type) {
  require(channels == 3 || channels == 4, "pixel_values: three channels or four");
  Tensor table({1, 1, channels, 256}, DType::f64);
  const std::span<double> values = table.values<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / 256;
    const double x = static_cast<double>(i % 256) / (info.raw_scale ? 1.0 : 255.0);
    switch (info.normalisation) {
      case Normalisation::none: values[i] = x; break;
      case Normalisation::imagenet: values[i] = c < 3 ? (x - kMean[c]) / kStd[c] : x; break;
      case Normalisation::half: values[i] = 2 * x - 1; break;
    }
  }
  return table.to(type);
}

void interleave(const io::Image& rgb, const io::Image* texture, bool mirrored, std::span<uint8_t> pixels) {
  check_texture(rgb, texture);
  require(pixels.size() == static_cast<size_t>(rgb.width * rgb.height) * (texture != nullptr ? 4 : 3),
          "interleave: a byte for every channel of every pixel");
  uint8_t* to = pixels.data();
  each_byte(rgb, texture, mirrored, [&](size_t, uint8_t v) { *to++ = v; });
}

void add_probability(const Tensor& logits, bool mirrored, float weight, std::span<float> plane) {
  require(logits.shape().n == 1 && static_cast<int64_t>(plane.size()) == logits.shape().pixels(),
          "add_probability: shapes");
  if (logits.dtype() == DType::f64)
    accumulate<double>(logits, mirrored, weight, plane);
  else
    accumulate<float>(logits, mirrored, weight, plane);
}

double effective_threshold(const ModelInfo& info, int64_t classes, double threshold) {
  if (info.output == Output::logits || classes > 1) return threshold;
  if (threshold < 0.5) return -1;
  constexpr double kFloat32Floor = 8.9e-8;  // below it float32's sigmoid(q) is exactly 1/2
  return std::max(std::log(threshold / (1 - threshold)), kFloat32Floor);
}

}  // namespace furrow
