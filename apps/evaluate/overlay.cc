#include "apps/evaluate/overlay.h"

#include <algorithm>
#include <cmath>

#include "io/html.h"
#include "io/png_write.h"
#include "io/resize.h"

namespace furrow::apps {
namespace {

constexpr double kOpacity = 0.75;

void paint(uint8_t* pixel, const std::array<uint8_t, 3>& colour) {
  for (size_t c = 0; c < 3; ++c)
    pixel[c] = static_cast<uint8_t>(std::lround(pixel[c] + (colour[c] - pixel[c]) * kOpacity));
}

}  // namespace

std::string overlay_base64(const Compared& compared, std::span<const uint8_t> predicted, int64_t side) {
  io::Image picture = compared.shown;
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (!compared.region.empty() && compared.region[i] == 0) continue;
    const bool marked = predicted[i] != 0, target = compared.target[i] != 0;
    if (marked || target) paint(picture.pixels.data() + 3 * i, marked ? (target ? kHit : kFalseAlarm) : kMiss);
  }
  if (const int64_t longest = std::max(picture.width, picture.height); longest > side) {
    const auto scaled = [&](int64_t length) { return std::max<int64_t>(1, (length * side + longest / 2) / longest); };
    picture = io::resize(picture, scaled(picture.width), scaled(picture.height), io::Filter::lanczos);
  }
  return io::base64(io::encode_png(picture));
}

}  // namespace furrow::apps
