#include "io/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr int kFraction = 22;  // fractional bits of a weight: 32 - 8 of a pixel - 2 for overshoot and sign

double triangle(double x) { return std::abs(x) < 1.0 ? 1.0 - std::abs(x) : 0.0; }

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}
double lanczos3(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

// For each result sample: its first source sample, how many, and their weights.
struct Weights {
  size_t stride = 0;  // weights per sample, padded with zeros
  std::vector<int32_t> first, count;
  std::vector<double> exact;   // result * stride
  std::vector<int32_t> fixed;  // the same, rounded to kFraction bits
};

// precompute_coeffs() and normalize_coeffs_8bpc() of Resample.c. `from`, `to`: the box's edges along this axis.
Weights weights(int64_t size, float from, float to, int64_t result, Filter filter) {
  const double scale = static_cast<double>(to - from) / static_cast<double>(result);
  const double stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::lanczos ? 3.0 : 1.0) * stretch;
  Weights w;
  w.stride = static_cast<size_t>(std::ceil(support)) * 2 + 1;
  w.first.resize(static_cast<size_t>(result));
  w.count = w.first;
  w.exact.assign(static_cast<size_t>(result) * w.stride, 0.0);
  for (size_t i = 0; i < w.first.size(); ++i) {
    const double centre = from + (static_cast<double>(i) + 0.5) * scale;
    const double inverse = 1.0 / stretch;
    const auto low = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);  // truncates, as Pillow does
    const auto high = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), size);
    double* k = &w.exact[i * w.stride];
    double sum = 0;
    for (int64_t x = 0; x < high - low; ++x) {
      const double at = (static_cast<double>(x + low) - centre + 0.5) * inverse;
      k[x] = filter == Filter::lanczos ? lanczos3(at) : triangle(at);
      sum += k[x];
    }
    for (int64_t x = 0; x < high - low && sum != 0.0; ++x) k[x] /= sum;
    w.first[i] = static_cast<int32_t>(low);
    w.count[i] = static_cast<int32_t>(std::max<int64_t>(high - low, 0));
  }
  w.fixed.resize(w.exact.size());
  for (size_t i = 0; i < w.exact.size(); ++i) {
    const double scaled = w.exact[i] * (1 << kFraction);
    w.fixed[i] = static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  }
  return w;
}

inline uint8_t clip(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFraction, 0, 255)); }

template <int channels>
void resize_row(const uint8_t* row, const Weights& w, uint8_t* out) {
  for (size_t i = 0; i < w.first.size(); ++i, out += channels) {
    const uint8_t* from = row + static_cast<ptrdiff_t>(channels) * w.first[i];
    const int32_t* k = &w.fixed[i * w.stride];
    int32_t sum[channels];
    for (int c = 0; c < channels; ++c) sum[c] = 1 << (kFraction - 1);
    for (int32_t x = 0; x < w.count[i]; ++x) {
      for (int c = 0; c < channels; ++c) sum[c] += from[x * channels + c] * k[x];
    }
    for (int c = 0; c < channels; ++c) out[c] = clip(sum[c]);
  }
}

// Rows `first_row` .. of `image` at another width.
Image resize_rows(const Image& image, const Weights& w, int64_t first_row, int64_t rows) {
  Image out(static_cast<int64_t>(w.first.size()), rows, image.channels);
  for (int64_t y = 0; y < rows; ++y) {
    const auto one_row = image.channels == 3 ? resize_row<3> : resize_row<1>;
    one_row(image.row(first_row + y), w, out.row(y));
  }
  return out;
}

// Columns at another height; w.first counts from row `first_row` of the picture, which is row 0 of `image`.
Image resize_columns(const Image& image, const Weights& w, int64_t first_row) {
  Image out(image.width, static_cast<int64_t>(w.first.size()), image.channels);
  const size_t length = static_cast<size_t>(image.width * image.channels);
  std::vector<int32_t> sum(length);
  for (size_t i = 0; i < w.first.size(); ++i) {
    std::fill(sum.begin(), sum.end(), 1 << (kFraction - 1));
    for (int32_t y = 0; y < w.count[i]; ++y) {
      const int32_t k = w.fixed[i * w.stride + static_cast<size_t>(y)];
      const uint8_t* row = image.row(w.first[i] - first_row + y);
      for (size_t x = 0; x < length; ++x) sum[x] += row[x] * k;
    }
    uint8_t* to = out.row(static_cast<int64_t>(i));
    for (size_t x = 0; x < length; ++x) to[x] = clip(sum[x]);
  }
  return out;
}

// ImagingScaleAffine() of Geometry.c: positions are added up step by step, which rounds differently from multiplying.
std::vector<int64_t> nearest_positions(int64_t size, double from, double to, int64_t result) {
  const double step = (to - from) / static_cast<double>(result);
  std::vector<int64_t> positions;
  double at = from + step * 0.5;
  for (int64_t i = 0; i < result; ++i, at += step) {
    const auto position = at < 0.0 ? int64_t{-1} : static_cast<int64_t>(at);
    positions.push_back(position < size ? position : -1);
  }
  return positions;
}

Image resize_nearest(const Image& image, const float (&box)[4], int64_t width, int64_t height) {
  const auto columns = nearest_positions(image.width, box[0], box[2], width);
  const auto rows = nearest_positions(image.height, box[1], box[3], height);
  Image out(width, height, image.channels);
  const auto channels = static_cast<size_t>(image.channels);
  for (int64_t y = 0; y < height; ++y) {
    if (rows[static_cast<size_t>(y)] < 0) continue;  // rounding past the edge leaves black
    const uint8_t* from = image.row(rows[static_cast<size_t>(y)]);
    uint8_t* to = out.row(y);
    for (int64_t x = 0; x < width; ++x, to += channels) {
      const int64_t column = columns[static_cast<size_t>(x)];
      if (column >= 0) std::memcpy(to, from + static_cast<size_t>(column) * channels, channels);
    }
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height, Filter filter) {
  return resize(image, {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)}, width, height,
                filter);
}

Image resize(const Image& image, const Box& wanted, int64_t width, int64_t height, Filter filter) {
  require(width >= 1 && height >= 1 && image.width >= 1 && image.height >= 1, "resize: empty picture");
  require(image.channels == 1 || image.channels == 3, "resize: 1 or 3 channels");
  const float box[4] = {static_cast<float>(wanted.x0), static_cast<float>(wanted.y0), static_cast<float>(wanted.x1),
                        static_cast<float>(wanted.y1)};
  const auto w = static_cast<float>(image.width), h = static_cast<float>(image.height);
  require(box[0] >= 0 && box[1] >= 0 && box[2] <= w && box[3] <= h, "resize: the box leaves the picture");
  require(box[2] > box[0] && box[3] > box[1], "resize: the box is empty");
  const bool same_columns = width == image.width && box[0] == 0 && box[2] == w;
  const bool same_rows = height == image.height && box[1] == 0 && box[3] == h;
  if (same_columns && same_rows) return image;
  if (filter == Filter::nearest) return resize_nearest(image, box, width, height);
  const Weights columns = weights(image.height, box[1], box[3], height, filter);
  if (same_columns) return resize_columns(image, columns, 0);
  const Weights rows = weights(image.width, box[0], box[2], width, filter);
  if (same_rows) return resize_rows(image, rows, 0, image.height);
  const int64_t first = columns.first.front(), last = columns.first.back() + columns.count.back();
  return resize_columns(resize_rows(image, rows, first, last - first), columns, first);
}

AxisWeights axis_weights(int64_t size, double from, double to, int64_t result, Filter filter) {
  const auto low = static_cast<float>(from), high = static_cast<float>(to);
  require(size >= 1 && result >= 1 && low >= 0 && high > low && high <= static_cast<float>(size),
          "axis_weights: sizes");
  if (filter != Filter::nearest) {
    Weights w = weights(size, low, high, result, filter);
    return {static_cast<int>(w.stride), std::move(w.first), std::move(w.count), std::move(w.fixed)};
  }
  AxisWeights out;
  for (const int64_t position : nearest_positions(size, low, high, result)) {
    out.first.push_back(static_cast<int32_t>(position >= 0 ? position : size - 1));
    out.count.push_back(position >= 0);
    out.weights.push_back(1 << kFraction);
  }
  return out;
}

void resize_probability(std::span<const float> from, int64_t width, int64_t height, std::span<float> to,
                        int64_t to_width, int64_t to_height) {
  require(width >= 1 && height >= 1 && to_width >= 1 && to_height >= 1, "resize_probability: empty plane");
  require(from.size() == static_cast<size_t>(width * height), "resize_probability: wrong source size");
  require(to.size() == static_cast<size_t>(to_width * to_height), "resize_probability: wrong result size");
  const Weights rows = weights(width, 0, static_cast<float>(width), to_width, Filter::bilinear);
  const Weights columns = weights(height, 0, static_cast<float>(height), to_height, Filter::bilinear);
  std::vector<float> between(static_cast<size_t>(to_width * height));
  for (int64_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < rows.first.size(); ++x) {
      const float* source = from.data() + y * width + rows.first[x];
      double sum = 0;
      for (int32_t k = 0; k < rows.count[x]; ++k)
        sum += source[k] * rows.exact[x * rows.stride + static_cast<size_t>(k)];
      between[static_cast<size_t>(y * to_width) + x] = static_cast<float>(sum);
    }
  }
  for (size_t y = 0; y < columns.first.size(); ++y) {
    for (int64_t x = 0; x < to_width; ++x) {
      double sum = 0;
      for (int32_t k = 0; k < columns.count[y]; ++k) {
        sum += between[static_cast<size_t>((columns.first[y] + k) * to_width + x)] *
               columns.exact[y * columns.stride + static_cast<size_t>(k)];
      }
      to[y * static_cast<size_t>(to_width) + static_cast<size_t>(x)] = static_cast<float>(sum);
    }
  }
}

}  // namespace furrow::io
