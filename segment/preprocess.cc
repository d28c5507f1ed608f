#include "segment/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/error.h"

namespace furrow {
namespace {

constexpr std::array<double, 3> kMean = {0.485, 0.456, 0.406}, kStd = {0.229, 0.224, 0.225};

using Table = std::array<std::array<double, 256>, 4>;  // R, G, B, texture
Table table_of(const ModelInfo& info) {
  Table table;
  for (size_t c = 0; c < 4; ++c) {
    for (size_t v = 0; v < 256; ++v) {
      const double x = static_cast<double>(v) / (info.raw_scale ? 1.0 : 255.0);
      switch (info.normalisation) {
        case Normalisation::none: table[c][v] = x; break;
        case Normalisation::imagenet: table[c][v] = c < 3 ? (x - kMean[c]) / kStd[c] : x; break;
        case Normalisation::half: table[c][v] = 2 * x - 1; break;
      }
    }
  }
  return table;
}

template <class T>
void fill(const io::Image& rgb, const io::Image* texture, const Table& table, bool mirrored, std::span<T> out) {
  std::array<std::array<T, 256>, 4> rounded;
  for (size_t c = 0; c < 4; ++c) {
    for (size_t v = 0; v < 256; ++v) rounded[c][v] = static_cast<T>(table[c][v]);
  }
  T* to = out.data();
  for (int64_t y = 0; y < rgb.height; ++y) {
    const uint8_t *row = rgb.row(y), *levels = texture != nullptr ? texture->row(y) : nullptr;
    for (int64_t x = 0; x < rgb.width; ++x) {
      const int64_t from = mirrored ? rgb.width - 1 - x : x;
      for (size_t c = 0; c < 3; ++c) *to++ = rounded[c][row[3 * from + static_cast<int64_t>(c)]];
      if (levels != nullptr) *to++ = rounded[3][levels[from]];
    }
  }
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
  require(rgb.channels == 3 && input.shape() == Shape{1, rgb.height, rgb.width, texture != nullptr ? 4 : 3},
          "normalise: shapes");
  require(
      texture == nullptr || (texture->channels == 1 && texture->width == rgb.width && texture->height == rgb.height),
      "normalise: a map as large as the picture");
  const Table table = table_of(info);
  if (input.dtype() == DType::f64)
    fill(rgb, texture, table, mirrored, input.values<double>());
  else
    fill(rgb, texture, table, mirrored, input.values<float>());
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
