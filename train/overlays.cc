#include "train/overlays.h"

#include <algorithm>
#include <cstdio>

namespace furrow::train {

io::Image validation_overlay(const data::Batch& batch, int64_t i, const std::vector<uint8_t>& predicted,
                             const std::vector<uint8_t>& target) {
  const Shape& s = batch.image.shape();
  const auto pixels = static_cast<size_t>(s.h * s.w), channels = static_cast<size_t>(s.c);
  const size_t first = static_cast<size_t>(i) * pixels;
  const auto values = batch.image.values<float>().subspan(first * channels, pixels * channels);
  const size_t shown = std::min<size_t>(channels, 3);  // a texture map is no colour
  float low = values[0], high = values[0];
  for (size_t p = 0; p < pixels; ++p)
    for (size_t c = 0; c < shown; ++c) {
      low = std::min(low, values[p * channels + c]);
      high = std::max(high, values[p * channels + c]);
    }
  const float scale = high > low ? 1 / (high - low) : 0;
  io::Image out(s.w, s.h, 3);
  for (size_t p = 0; p < pixels; ++p)
    for (size_t c = 0; c < 3; ++c) {
      float v = 0.6f * scale * (values[p * channels + std::min(c, shown - 1)] - low);
      if (c == 1 && target[first + p] != 0) v += 0.2f;
      if (c == 0 && predicted[first + p] != 0) v += 0.2f;
      out.pixels[p * 3 + c] = static_cast<uint8_t>(std::clamp(v, 0.0f, 1.0f) * 255 + 0.5f);
    }
  return out;
}

std::string overlay_name(int64_t epoch, int64_t number, const std::string& id) {
  constexpr size_t kLongest = 60;
  std::string clean = id.substr(0, kLongest);
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
  };
  std::ranges::replace_if(
      clean, [&](char c) { return !plain(c) && c != '_'; }, '_');
  char prefix[48];
  std::snprintf(prefix, sizeof prefix, "epoch_%04lld_", static_cast<long long>(epoch));
  return prefix + (clean == id ? clean : clean + "_" + std::to_string(number)) + ".png";
}

}  // namespace furrow::train
