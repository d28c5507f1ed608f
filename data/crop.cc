#include "data/crop.h"

#include <algorithm>

#include "kernels/error.h"
#include "kernels/random.h"

namespace furrow::data {
namespace {

io::Image part(const io::Image& image, int64_t x, int64_t y, int64_t side) {
  io::Image out(side, side, image.channels);
  for (int64_t row = 0; row < side; ++row)
    std::copy_n(image.row(y + row) + x * image.channels, side * image.channels, out.row(row));
  return out;
}

}  // namespace

Corner crop_at_random(Sample& sample, int64_t side, const DrawKey& key) {
  const int64_t width = sample.image.width, height = sample.image.height;
  const auto alike = [&](const io::Image& image) { return image.width == width && image.height == height; };
  const bool textured = sample.texture.width != 0;
  require(alike(sample.target) && (!textured || alike(sample.texture)), "crop_at_random: pictures of one size");
  require(side >= 1 && side <= std::min(width, height), "crop_at_random: side");
  const Philox random(key.seed);
  const auto drawn = [&](uint64_t index, int64_t count) {  // u < 1 - 2^-25, but a product may round up
    const double u = random.uniform(key.stream(), (uint64_t{1} << 39) + index);
    return std::min(static_cast<int64_t>(u * static_cast<double>(count)), count - 1);
  };
  const int64_t x = drawn(0, width - side + 1), y = drawn(1, height - side + 1);
  for (io::Image* image : {&sample.image, &sample.target}) *image = part(*image, x, y, side);
  if (textured) sample.texture = part(sample.texture, x, y, side);
  return {x, y};
}

}  // namespace furrow::data
