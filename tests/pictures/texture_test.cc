// The texture map against NumPy and OpenCV (tests/data/make_augment_golden.py), and against its formula written out.
#include "io/texture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "kernels/error.h"
#include "kernels/threads.h"
#include "tests/augment/made_pictures.h"

namespace furrow::io {
namespace {

using data::digest;
using data::made_picture;

constexpr TextureRecipe kRecipes[] = {TextureRecipe::authors, TextureRecipe::authors_inverse, TextureRecipe::closest};

// float32 may differ from float64 by one where a value is within 1e-4 of where it is cut or rounded; on these pictures
// none is, so every byte must agree.
void expect_equal(const std::vector<uint8_t>& ours, const uint8_t* expected, const std::string& what) {
  for (size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(ours[i], expected[i]) << what << ", pixel " << i;
}

TEST(Texture, EqualsOpenCV) {
  std::ifstream file(FURROW_TEST_DATA "/augment/texture.u8", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  size_t at = 0;
  for (const auto& [width, height, seed] : {std::array{64, 48, 1}, std::array{61, 47, 0}, std::array{33, 15, 3}}) {
    const Image photo = made_picture(width, height, static_cast<uint64_t>(seed), 3);
    for (const TextureRecipe recipe : kRecipes) {
      const Image map = texture_map(photo, {.recipe = recipe});
      ASSERT_LE(at + map.pixels.size(), bytes.size());
      expect_equal(map.pixels, reinterpret_cast<const uint8_t*>(bytes.data()) + at, std::to_string(at));
      at += map.pixels.size();
    }
  }
  EXPECT_EQ(at, bytes.size());
}

// The formula in double, two-dimensional, as the header has it.
std::vector<uint8_t> written_out(const Image& photo, TextureRecipe recipe, double sigma) {
  const auto level = [&](int64_t x, int64_t y) {
    const auto mirror = [](int64_t at, int64_t size) {
      const int64_t period = std::max<int64_t>(2 * (size - 1), 1);
      at = ((at % period) + period) % period;
      return size == 1 ? 0 : std::min(at, period - at);
    };
    const uint8_t* p = photo.row(mirror(y, photo.height)) + 3 * mirror(x, photo.width);
    if (recipe == TextureRecipe::closest) return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2];
    return std::floor((9798.0 * p[0] + 19235.0 * p[1] + 3735.0 * p[2]) / 32768 + 0.5);
  };
  double total = 0;
  for (int k = -10; k <= 10; ++k) total += std::exp(-k * k / (2 * sigma * sigma));
  std::vector<uint8_t> out;
  for (int64_t y = 0; y < photo.height; ++y) {
    for (int64_t x = 0; x < photo.width; ++x) {
      double blurred = 0;
      for (int j = -10; j <= 10; ++j) {
        for (int i = -10; i <= 10; ++i) {
          blurred += std::exp(-(i * i + j * j) / (2 * sigma * sigma)) / (total * total) * level(x + i, y + j);
        }
      }
      const double at = level(x, y);
      if (recipe == TextureRecipe::closest) {
        out.push_back(static_cast<uint8_t>(std::lrint((1 - std::min(at, blurred) / (1 + blurred)) * 255)));
      } else {
        const int quotient = static_cast<int>(std::min(at * 255 / (blurred + 1), 255.0));
        out.push_back(static_cast<uint8_t>((recipe == TextureRecipe::authors ? 257 : 255) - quotient));
      }
    }
  }
  return out;
}

TEST(Texture, IsItsFormulaAtEverySize) {
  for (const auto& [width, height] :
       {std::array{1, 1}, std::array{3, 2}, std::array{21, 5}, std::array{22, 70}, std::array{9, 131}}) {
    const Image photo = made_picture(width, height, 4, 3);
    for (const TextureRecipe recipe : kRecipes) {
      for (const double sigma : {5.0, 1.5}) {
        const Image map = texture_map(photo, {.recipe = recipe, .sigma = sigma});
        expect_equal(map.pixels, written_out(photo, recipe, sigma).data(),
                     std::to_string(width) + "x" + std::to_string(height));
      }
    }
  }
}

TEST(Texture, BytesDoNotDependOnThreadsOrInstructions) {
  const Image photo = made_picture(150, 333, 1, 3);
  ThreadPool pool(4);
  for (const TextureRecipe recipe : kRecipes) {
    const std::string one = digest(texture_map(photo, {.recipe = recipe}));
    EXPECT_EQ(digest(texture_map(photo, {.recipe = recipe}, nullptr, &pool)), one);
    ASSERT_EQ(setenv("FURROW_ISA", "portable", 1), 0);
    EXPECT_EQ(digest(texture_map(photo, {.recipe = recipe})), one);
    ASSERT_EQ(unsetenv("FURROW_ISA"), 0);
  }
}

TEST(Texture, TheAuthorsSubtractionWraps) {
  Image photo(64, 64, 3);  // black but for a dot: q is 0 in the black and large at the dot
  for (int c = 0; c < 3; ++c) photo.row(32)[32 * 3 + c] = 255;
  const Image wrapped = texture_map(photo, {.recipe = TextureRecipe::authors});
  const Image inverse = texture_map(photo, {.recipe = TextureRecipe::authors_inverse});
  EXPECT_EQ(inverse.row(0)[0], 255);
  EXPECT_EQ(wrapped.row(0)[0], 1);  // 257 mod 256
  EXPECT_EQ(inverse.row(32)[32], 0);
  EXPECT_EQ(wrapped.row(32)[32], 2);
}

TEST(Texture, KeepsOnlyKeptLabels) {
  const Image photo = made_picture(40, 30, 2, 3);
  Image labels(40, 30, 1);
  for (size_t i = 0; i < labels.pixels.size(); ++i) labels.pixels[i] = static_cast<uint8_t>(i % 12);
  bool kept[256] = {};
  kept[1] = kept[10] = true;
  const Image mask = kept_labels(labels, kept);
  const Image all = texture_map(photo), some = texture_map(photo, {}, &mask);
  for (size_t i = 0; i < all.pixels.size(); ++i) {
    ASSERT_EQ(some.pixels[i], i % 12 == 1 || i % 12 == 10 ? all.pixels[i] : 0);
  }
}

TEST(Texture, RefusesWhatItCannotMap) {
  const Image photo = made_picture(8, 8, 0, 3), gray = made_picture(8, 8, 0, 1), small = made_picture(4, 8, 0, 1);
  EXPECT_THROW(texture_map(gray), Error);
  EXPECT_THROW(texture_map(photo, {}, &small), Error);
  EXPECT_THROW(texture_map(photo, {.sigma = 0.1}), Error);
  EXPECT_THROW(texture_map(photo, {.sigma = NAN}), Error);
}

}  // namespace
}  // namespace furrow::io
