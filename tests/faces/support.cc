#include "support.h"

#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "io/picture.h"
#include "segment/gray.h"

namespace furrow::faces_test {
namespace {

// The pixels (x0 + i * step, y0 + j * step) of a picture that repeats itself to the right and downwards.
io::Image sampled(const io::Image& from, int64_t x0, int64_t y0, int64_t w, int64_t h, int64_t step, int64_t period) {
  io::Image out(w, h, 1);
  for (int64_t j = 0; j < h; ++j)
    for (int64_t i = 0; i < w; ++i) out.row(j)[i] = from.row(y0 + j % period * step)[x0 + i % period * step];
  return out;
}

io::Image turned(const io::Image& from, bool mirror, bool upside_down) {
  io::Image out(from.width, from.height, 1);
  for (int64_t y = 0; y < from.height; ++y)
    for (int64_t x = 0; x < from.width; ++x)
      out.row(y)[x] = from.row(upside_down ? from.height - 1 - y : y)[mirror ? from.width - 1 - x : x];
  return out;
}

io::Image grown(const io::Image& from, int64_t factor) {
  io::Image out(from.width * factor, from.height * factor, 1);
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) out.row(y)[x] = from.row(y / factor)[x / factor];
  return out;
}

io::Image speckled(const io::Image& from) {
  io::Image out = from;
  const std::vector<uint8_t> speck = noise(from.width * from.height, 7);
  for (size_t i = 0; i < out.pixels.size(); ++i)
    out.pixels[i] = static_cast<uint8_t>((out.pixels[i] * 3 + speck[i]) / 4);
  return out;
}

}  // namespace

io::Image load(const std::string& path) {
  if (!std::filesystem::exists(path)) return {};
  return io::read_picture(path).image;
}

const io::Image& astronaut() {
  static const io::Image photo = load(FURROW_SOURCE_DIR "/examples/astronaut.png");
  if (photo.width != 512) throw std::runtime_error("examples/astronaut.png cannot be read");
  return photo;
}

std::vector<uint8_t> noise(int64_t count, uint64_t seed) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint64_t h = (i + seed * 1000003) * 2654435761 & 0xFFFFFFFF;
    h ^= h >> 15;
    h = h * 2246822519 & 0xFFFFFFFF;
    h ^= h >> 13;
    bytes[i] = static_cast<uint8_t>(h >> 16);
  }
  return bytes;
}

io::Image noise_picture(int64_t width, int64_t height, uint64_t seed) {
  io::Image out(width, height, 1);
  out.pixels = noise(width * height, seed);
  return out;
}

io::Image gray_of(const io::Image& photo) {
  GrayPicture gray = to_gray(photo);
  io::Image out(photo.width, photo.height, 1);
  out.pixels = std::move(gray.pixels);
  return out;
}

io::Image made_picture(const std::string& name) {
  const io::Image whole = gray_of(astronaut());
  long x = 0, y = 0, w = 0, h = 0;
  if (name == "whole") return whole;
  if (name == "mirror") return turned(whole, true, false);
  if (name == "upside_down") return turned(whole, false, true);
  if (name == "speckled") return speckled(whole);
  if (std::sscanf(name.c_str(), "every:%ld", &x) == 1)
    return sampled(whole, 0, 0, (512 + x - 1) / x, (512 + x - 1) / x, x, 512);
  if (std::sscanf(name.c_str(), "tiles:%ld", &x) == 1)
    return sampled(whole, 0, 0, (512 + x - 1) / x * x, (512 + x - 1) / x * x, x, (512 + x - 1) / x);
  if (std::sscanf(name.c_str(), "grow:%ld", &x) == 1) return grown(whole, x);
  if (std::sscanf(name.c_str(), "crop:%ld,%ld,%ld,%ld", &x, &y, &w, &h) == 4) return sampled(whole, x, y, w, h, 1, 512);
  if (std::sscanf(name.c_str(), "noise:%ld,%ld", &w, &h) == 2) return noise_picture(w, h, static_cast<uint64_t>(w));
  throw std::runtime_error("unknown picture " + name);
}

uint32_t crc(const io::Image& picture) {
  return static_cast<uint32_t>(crc32(0, picture.pixels.data(), static_cast<unsigned>(picture.pixels.size())));
}

std::vector<Golden> as_golden(const std::vector<Face>& faces) {
  std::vector<Golden> out;
  for (const Face& f : faces)
    out.push_back(
        {static_cast<int>(f.x), static_cast<int>(f.y), static_cast<int>(f.w), static_cast<int>(f.h), f.neighbours});
  return out;
}

}  // namespace furrow::faces_test
