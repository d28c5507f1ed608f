// Resizing against what Pillow gave (tests/data/make_resize_golden.py): not one byte may differ.
#include "io/resize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

// As noise() of the script.
std::vector<uint8_t> noise(size_t count, uint64_t seed) {
  std::vector<uint8_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = (i * 2654435761u + seed * 40503u + 12345u) & 0xffffffffu;
    x ^= x >> 15;
    x = x * 2246822519u & 0xffffffffu;
    x ^= x >> 13;
    const auto value = static_cast<uint8_t>(x >> 8);
    values[i] = seed % 2 == 0 ? value : value < 128 ? 0 : 255;
  }
  return values;
}

struct Case {
  std::string filter;
  int channels = 0;
  int64_t width = 0, height = 0, to_width = 0, to_height = 0;
  uint64_t seed = 0;
  Box box;
  std::string digest;
};

std::vector<Case> cases(const std::string& filter, bool planes) {
  std::ifstream file(FURROW_TEST_DATA "/resize/pillow.txt");
  std::vector<Case> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    Case c;
    in >> c.filter >> c.channels >> c.width >> c.height >> c.to_width >> c.to_height >> c.seed >> c.box.x0 >>
        c.box.y0 >> c.box.x1 >> c.box.y1 >> c.digest;
    EXPECT_TRUE(static_cast<bool>(in)) << line;
    if (c.filter == filter && (c.channels == 0) == planes) found.push_back(c);
  }
  return found;
}

std::string digest(const void* data, size_t size) {
  return sha256_hex({static_cast<const std::byte*>(data), size}).substr(0, 16);
}

std::string describe(const Case& c) {
  std::ostringstream out;
  out << c.filter << " " << c.width << "x" << c.height << "x" << c.channels << " -> " << c.to_width << "x"
      << c.to_height;
  return out.str();
}

void expect_pillow(const std::string& name, Filter filter) {
  const auto all = cases(name, false);
  ASSERT_GE(all.size(), 250u);
  for (const Case& c : all) {
    Image image(c.width, c.height, c.channels);
    image.pixels = noise(image.pixels.size(), c.seed);
    const Image result = resize(image, c.box, c.to_width, c.to_height, filter);
    ASSERT_EQ(result.width, c.to_width);
    ASSERT_EQ(result.height, c.to_height);
    EXPECT_EQ(digest(result.pixels.data(), result.pixels.size()), c.digest) << describe(c);
    const bool whole = c.box.x0 == 0 && c.box.y0 == 0 && c.box.x1 == double(c.width) && c.box.y1 == double(c.height);
    if (whole) { EXPECT_EQ(resize(image, c.to_width, c.to_height, filter).pixels, result.pixels) << describe(c); }
  }
}

TEST(Resize, NearestIsPillows) { expect_pillow("nearest", Filter::nearest); }
TEST(Resize, BilinearIsPillows) { expect_pillow("bilinear", Filter::bilinear); }
TEST(Resize, LanczosIsPillows) { expect_pillow("lanczos", Filter::lanczos); }

TEST(Resize, ProbabilityIsPillowsModeF) {
  const auto all = cases("bilinear", true);
  ASSERT_GE(all.size(), 60u);
  for (const Case& c : all) {
    const auto bytes = noise(static_cast<size_t>(c.width * c.height), c.seed);
    std::vector<float> from(bytes.size()), to(static_cast<size_t>(c.to_width * c.to_height));
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(bytes[i]) / 255.0f;
    resize_probability(from, c.width, c.height, to, c.to_width, c.to_height);
    EXPECT_EQ(digest(to.data(), to.size() * sizeof(float)), c.digest) << describe(c);
  }
}

TEST(Resize, SameSizeIsACopy) {
  Image image(5, 7, 3);
  image.pixels = noise(image.pixels.size(), 4);
  for (Filter filter : {Filter::nearest, Filter::bilinear, Filter::lanczos}) {
    EXPECT_EQ(resize(image, 5, 7, filter).pixels, image.pixels);
  }
}

TEST(Resize, ImpossibleRequestsAreProgrammingErrors) {
  const Image image(4, 4, 1);
  for (const Box& box : {Box{-1, 0, 4, 4}, Box{0, 0, 4, 5}, Box{2, 0, 2, 4}, Box{3, 0, 1, 4}}) {
    EXPECT_THROW(resize(image, box, 2, 2, Filter::lanczos), Error);
  }
  EXPECT_THROW(resize(image, 0, 2, Filter::lanczos), Error);
  EXPECT_THROW(resize(Image(4, 4, 2), 2, 2, Filter::bilinear), Error);
  std::vector<float> plane(16), small(3);
  EXPECT_THROW(resize_probability(plane, 4, 4, small, 2, 2), Error);
}

}  // namespace
}  // namespace furrow::io
