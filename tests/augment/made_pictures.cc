#include "made_pictures.h"

#include <algorithm>

#include "io/sha256.h"

namespace furrow::data {
namespace {

uint32_t noise(uint64_t i, uint64_t seed) {
  uint64_t x = (i * 2654435761u + seed * 40503u + 12345u) & 0xffffffffu;
  x ^= x >> 15;
  x = x * 2246822519u & 0xffffffffu;
  x ^= x >> 13;
  return static_cast<uint32_t>(x >> 8) & 0xffff;
}

}  // namespace

io::Image made_picture(int64_t width, int64_t height, uint64_t seed, int channels) {
  io::Image image(width, height, channels);
  size_t i = 0;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c, ++i) {
        const uint32_t grain = noise(i, seed);
        const auto slope = static_cast<uint32_t>((x * 3 + y * 2 + c * 40 + static_cast<int64_t>(seed) * 11) % 300);
        const uint32_t value = seed % 2 == 0 ? grain & 255 : std::min(slope, 299 - slope) + 60 + (grain & 15);
        image.pixels[i] = static_cast<uint8_t>(channels == 3 ? value : value < 128 ? 0 : 255);
      }
    }
  }
  return image;
}

std::vector<float> made_field(size_t count, uint64_t seed, float scale) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) { values[i] = (static_cast<float>(noise(i, seed)) - 32768.0f) / 8192.0f * scale; }
  return values;
}

std::string digest(const void* data, size_t size) {
  return io::sha256_hex({static_cast<const std::byte*>(data), size}).substr(0, 16);
}
std::string digest(const io::Image& image) { return digest(image.pixels.data(), image.pixels.size()); }

}  // namespace furrow::data
