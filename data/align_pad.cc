#include <algorithm>
#include <cmath>
#include <vector>

#include "data/align.h"
#include "data/align_blur.h"
#include "io/mirror.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

// scipy.ndimage's 'reflect': the outermost pixel is repeated, d c b a | a b c d | d c b a.
int64_t folded(int64_t at, int64_t size) {
  while (at < 0 || at >= size) at = at < 0 ? -1 - at : 2 * size - 1 - at;
  return at;
}

// 1 - min(at / before, (size - 1 - at) / after)
std::vector<float> nearness(int64_t size, int64_t before, int64_t after) {
  std::vector<float> t(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i)
    t[static_cast<size_t>(i)] =
        1.0F - std::min(static_cast<float>(i) / static_cast<float>(before),
                        static_cast<float>(size - 1 - i) / static_cast<float>(after));
  return t;
}

// As np.median: the mean of the middle two where there is an even number. Mixes up `values`.
float median_of(std::vector<float>& values) {
  float *begin = values.data(), *middle = begin + values.size() / 2;
  std::nth_element(begin, middle, begin + values.size());
  return values.size() % 2 == 1 ? *middle : (*std::max_element(begin, middle) + *middle) / 2;
}

}  // namespace

io::Image pad_softly(const io::Image& photo, const Pads& pads, double sigma) {
  require(photo.channels == 3 && photo.width >= 1 && photo.height >= 1, "pad_softly: three channels");
  require(std::min({pads.left, pads.top, pads.right, pads.bottom}) >= 1 && sigma > 0, "pad_softly: pads");
  io::Image out(photo.width + pads.left + pads.right, photo.height + pads.top + pads.bottom, 3);
  const int64_t w = out.width, h = out.height, radius = static_cast<int64_t>(4.0 * sigma + 0.5);
  const std::vector<float> tx = nearness(w, pads.left, pads.right), ty = nearness(h, pads.top, pads.bottom);

  // Of 0, 1 .. radius; then the doubles that blur_row() works in.
  std::vector<double> weights(static_cast<size_t>(radius + 1 + w));
  double sum = 0;
  for (int64_t k = radius; k >= 0; --k) {
    weights[static_cast<size_t>(k)] = std::exp(-0.5 / (sigma * sigma) * static_cast<double>(k * k));
    sum += weights[static_cast<size_t>(k)] * (k == 0 ? 1 : 2);
  }
  for (int64_t k = 0; k <= radius; ++k) weights[static_cast<size_t>(k)] /= sum;
  const auto blur = [&](const float* from, int64_t step, float* to) {
    blur_row(from, step, weights.data(), radius, static_cast<size_t>(w), weights.data() + radius + 1, to);
  };

  std::vector<int64_t> columns(static_cast<size_t>(w));  // where they stand in a row of the photo
  for (int64_t x = 0; x < w; ++x) columns[static_cast<size_t>(x)] = 3 * io::mirrored(x - pads.left, photo.width);
  uint8_t* to = out.pixels.data();
  for (int64_t y = 0; y < h; ++y) {
    const uint8_t* row = photo.row(io::mirrored(y - pads.top, photo.height));
    for (const int64_t x : columns) to = std::copy_n(row + x, 3, to);
  }

  // A channel with `radius` rows more above and below; its blurred copy; a row with as many pixels more on both sides.
  std::vector<float> plane(static_cast<size_t>(w * (h + 2 * radius))), blurred(static_cast<size_t>(w * h)),
      line(static_cast<size_t>(w + 2 * radius));
  float* const first = plane.data() + radius * w;
  for (int64_t c = 0; c < 3; ++c) {
    float* at = plane.data();
    for (int64_t y = -radius; y < h + radius; ++y) {
      const uint8_t* row = out.row(folded(y, h)) + c;
      for (int64_t x = 0; x < w; ++x) *at++ = row[3 * x];
    }
    for (int64_t y = 0; y < h; ++y) blur(first + y * w, w, blurred.data() + y * w);
    at = first;
    for (int64_t y = 0; y < h; ++y) {
      float* soft = blurred.data() + y * w;
      for (int64_t x = -radius; x < w + radius; ++x) line[static_cast<size_t>(x + radius)] = soft[folded(x, w)];
      blur(line.data() + radius, 1, soft);
      for (int64_t x = 0; x < w; ++x, ++at) {
        const float t = std::max(tx[static_cast<size_t>(x)], ty[static_cast<size_t>(y)]);
        *at += (soft[x] - *at) * std::clamp(t * 3.0F + 1.0F, 0.0F, 1.0F);
      }
    }
    std::copy(first, at, blurred.data());
    const float middle = median_of(blurred);
    at = first;
    to = out.pixels.data() + c;
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x, ++at, to += 3) {
        const float t = std::clamp(std::max(tx[static_cast<size_t>(x)], ty[static_cast<size_t>(y)]), 0.0F, 1.0F);
        *to = static_cast<uint8_t>(std::clamp(std::lrint(*at + (middle - *at) * t), 0L, 255L));
      }
    }
  }
  return out;
}

}  // namespace furrow::data
