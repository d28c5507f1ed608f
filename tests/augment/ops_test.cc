// Every operation against albumentations 1.4.22 on OpenCV 4.10 (tests/data/make_augment_golden.py): not one byte may
// differ, and the two colour spaces are compared on all 2^24 colours.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "data/augment_colour.h"
#include "data/augment_spaces.h"
#include "data/augment_warp.h"
#include "kernels/error.h"
#include "made_pictures.h"

namespace furrow::data {
namespace {

struct Case {
  std::string line, operation, digest;
  int64_t width = 0, height = 0;
  uint64_t seed = 0;
  int channels = 0;
  std::vector<std::string> params;
  double number(size_t i) const { return std::stod(params.at(i)); }
  int64_t whole(size_t i) const { return std::stoll(params.at(i)); }
  Sampling sampling() const { return channels == 1 ? Sampling::nearest : Sampling::linear; }
  io::Image picture() const { return made_picture(width, height, seed, channels); }
};

std::vector<Case> cases(const std::string& operation) {
  std::ifstream file(FURROW_TEST_DATA "/augment/golden.txt");
  std::vector<Case> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    Case c;
    c.line = line;
    in >> c.operation;
    if (c.operation != operation) continue;
    if (in >> c.width >> c.height >> c.seed >> c.channels) {
      for (std::string word; in >> word;) c.params.push_back(word);
      c.digest = c.params.back();
      c.params.pop_back();
    }
    found.push_back(c);
  }
  return found;
}

template <class Run>
void check(const std::string& operation, size_t at_least, Run&& run) {
  const std::vector<Case> all = cases(operation);
  EXPECT_GE(all.size(), at_least);
  for (const Case& c : all) EXPECT_EQ(run(c), c.digest) << c.line;
}

TEST(AugmentOps, FlipAffineRotateAndCropEqualTheLibrary) {
  check("hflip", 48, [](const Case& c) { return digest(flip_horizontal(c.picture())); });
  check("affine", 49, [](const Case& c) {
    const AffineParameters p = {c.number(0), c.number(1), c.number(2), c.number(3),
                                c.number(4), c.number(5), c.number(6)};
    return digest(warp_affine(c.picture(), affine_matrix(c.width, c.height, p), c.sampling(), Outside::black));
  });
  check("rotate", 49, [](const Case& c) {
    AffineParameters p;
    p.rotate = c.number(0);
    return digest(warp_affine(c.picture(), affine_matrix(c.width, c.height, p), c.sampling(), Outside::reflect));
  });
  check("crop", 49, [](const Case& c) {
    return digest(crop_resized(c.picture(), {c.whole(0), c.whole(1), c.whole(2), c.whole(3)}, c.sampling()));
  });
}

TEST(AugmentOps, ElasticEqualsTheLibrary) {
  const auto smoothed = [](const Case& c, uint64_t seed) {
    std::vector<float> values = made_field(static_cast<size_t>(c.width * c.height), seed, 1);
    smooth_displacement(values, c.width, c.height, c.number(2), c.number(1));
    return values;
  };
  check("displacement", 24, [&](const Case& c) {
    const std::vector<float> d = smoothed(c, static_cast<uint64_t>(c.whole(0)));
    return digest(d.data(), d.size() * sizeof(float));
  });
  check("elastic", 49, [&](const Case& c) {
    const auto seed = static_cast<uint64_t>(c.whole(0));
    return digest(displace(c.picture(), smoothed(c, seed), smoothed(c, seed + 1), c.sampling()));
  });
}

TEST(AugmentOps, ColoursBlurAndNoiseEqualTheLibrary) {
  check("jitter", 31, [](const Case& c) {
    ColourJitter j = {c.number(0), c.number(1), c.number(2), c.number(3), {}};
    for (size_t i = 0; i < 4; ++i) j.order[i] = c.params.at(4).at(i) - '0';
    io::Image image = c.picture();
    jitter_colours(image, j);
    return digest(image);
  });
  check("clahe", 25, [](const Case& c) {
    io::Image image = c.picture();
    equalise_locally(image, c.number(0));
    return digest(image);
  });
  check("blur", 25, [](const Case& c) {
    io::Image image = c.picture();
    blur(image, static_cast<int>(c.whole(0)));
    return digest(image);
  });
  check("gauss_noise", 25, [](const Case& c) {
    io::Image image = c.picture();
    add_noise(image,
              made_field(image.pixels.size(), static_cast<uint64_t>(c.whole(0)), static_cast<float>(c.number(1))));
    return digest(image);
  });
}

TEST(AugmentSpaces, EveryColourConvertsAsInOpenCV) {
  std::map<std::string, std::string> expected;
  std::ifstream file(FURROW_TEST_DATA "/augment/golden.txt");
  for (std::string line; std::getline(file, line);) {
    const size_t space = line.find(' ');
    expected[line.substr(0, space)] = line.substr(space + 1);
  }
  constexpr int64_t kRow = 4096;
  std::vector<uint8_t> colours(size_t{3} << 24), result(colours.size());
  for (size_t v = 0; v < colours.size() / 3; ++v) {
    for (size_t c = 0; c < 3; ++c) colours[3 * v + c] = static_cast<uint8_t>(v >> (8 * (2 - c)));
  }
  using Convert = void (*)(const uint8_t*, uint8_t*, int64_t);
  const auto check_rows = [&](const std::string& name, Convert convert, int64_t to_channels) {
    for (int64_t row = 0; row < kRow; ++row) {
      convert(colours.data() + row * kRow * 3, result.data() + row * kRow * to_channels, kRow);
    }
    EXPECT_EQ(digest(result.data(), static_cast<size_t>(kRow * kRow * to_channels)), expected.at(name)) << name;
  };
  check_rows("RGB2GRAY", rgb_to_gray, 1);
  check_rows("RGB2LAB", rgb_to_lab, 3);
  check_rows("LAB2RGB", lab_to_rgb, 3);
  check_rows("RGB2HSV", rgb_to_hsv, 3);
  check_rows("HSV2RGB", hsv_to_rgb, 3);

  // Rows that no vector fills: the rest of each row is rounded.
  constexpr int64_t kNarrow = 61, kRows = 1000;
  for (int64_t i = 0; i < kNarrow * kRows; ++i)
    std::copy_n(&colours[static_cast<size_t>(150 * i)], 3, &result[static_cast<size_t>(3 * i)]);
  for (int64_t row = 0; row < kRows; ++row)
    hsv_to_rgb(&result[static_cast<size_t>(row * kNarrow * 3)], &result[static_cast<size_t>(row * kNarrow * 3)],
               kNarrow);
  EXPECT_EQ(digest(result.data(), static_cast<size_t>(kNarrow * kRows * 3)), expected.at("HSV2RGB_61"));
}

TEST(AugmentOps, AnIdentityCopiesAndAHalfTurnReverses) {
  const io::Image image = made_picture(32, 20, 4, 3);
  EXPECT_EQ(warp_affine(image, affine_matrix(32, 20, {}), Sampling::linear, Outside::black).pixels, image.pixels);
  AffineParameters half;
  half.rotate = 180;
  const io::Image turned = warp_affine(image, affine_matrix(32, 20, half), Sampling::nearest, Outside::black);
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 32 * 3; ++x) { ASSERT_EQ(turned.row(y)[x], image.row(19 - y)[(31 - x / 3) * 3 + x % 3]); }
  }
  EXPECT_EQ(flip_horizontal(flip_horizontal(image)).pixels, image.pixels);
}

TEST(AugmentOps, RefuseWhatTheyCannotDo) {
  io::Image gray = made_picture(8, 8, 0, 1), colour = made_picture(8, 8, 0, 3);
  const std::vector<float> flat(64, 0.0f);
  EXPECT_THROW(blur(gray, 3), Error);
  EXPECT_THROW(blur(colour, 4), Error);
  EXPECT_THROW(equalise_locally(colour, 0), Error);
  EXPECT_THROW(adjust_hue(colour, 0.6), Error);
  EXPECT_THROW(adjust_brightness(colour, -1), Error);
  EXPECT_THROW(add_noise(colour, flat), Error);
  EXPECT_THROW(warp_affine(colour, {0, 0, 0, 0, 0, 0}, Sampling::linear, Outside::black), Error);
  EXPECT_THROW(displace(colour, flat, std::vector<float>(63), Sampling::linear), Error);
  EXPECT_THROW(displace(colour, flat, std::vector<float>(64, NAN), Sampling::linear), Error);
  EXPECT_THROW(crop_resized(colour, {4, 4, 5, 4}, Sampling::linear), Error);
}

}  // namespace
}  // namespace furrow::data
