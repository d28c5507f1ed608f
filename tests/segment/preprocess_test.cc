// Normalisation against its formulas, probabilities against theirs, thresholds of both kinds of output.
#include "segment/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

TEST(Normalise, FollowsTheFormulaInBothDtypesAndDirections) {
  const io::Image image = test::pattern(13, 7);
  const double mean[] = {.485, .456, .406}, deviation[] = {.229, .224, .225};
  for (const Normalisation kind : {Normalisation::none, Normalisation::imagenet, Normalisation::half}) {
    for (const bool raw : {false, true}) {
      for (const bool mirrored : {false, true}) {
        ModelInfo info;
        info.normalisation = kind;
        info.raw_scale = raw;
        Tensor f32({1, 7, 13, 3}, DType::f32), f64({1, 7, 13, 3}, DType::f64);
        normalise(image, info, mirrored, f32);
        normalise(image, info, mirrored, f64);
        for (int64_t y = 0; y < 7; ++y) {
          for (int64_t x = 0; x < 13; ++x) {
            for (int64_t c = 0; c < 3; ++c) {
              const int64_t from = mirrored ? 12 - x : x;
              double want = image.row(y)[3 * from + c] / (raw ? 1.0 : 255.0);
              if (kind == Normalisation::imagenet) want = (want - mean[c]) / deviation[c];
              if (kind == Normalisation::half) want = 2 * want - 1;
              const size_t at = static_cast<size_t>((y * 13 + x) * 3 + c);
              ASSERT_EQ(f64.values<double>()[at], want);
              ASSERT_EQ(f32.values<float>()[at], static_cast<float>(want));
            }
          }
        }
      }
    }
  }
}

// What a plan of pixels looks up is what normalise() gives.
TEST(PixelValues, OfInterleavedBytesAreTheNormalisedPicture) {
  const io::Image image = test::pattern(13, 7);
  io::Image map(13, 7, 1);
  for (size_t i = 0; i < map.pixels.size(); ++i) map.pixels[i] = static_cast<uint8_t>(37 * i);
  for (const Normalisation kind : {Normalisation::none, Normalisation::imagenet, Normalisation::half})
    for (const bool mirrored : {false, true})
      for (const size_t channels : {3, 4}) {
        ModelInfo info;
        info.normalisation = kind;
        const io::Image* texture = channels == 4 ? &map : nullptr;
        Tensor want({1, 7, 13, static_cast<int64_t>(channels)});
        normalise(image, texture, info, mirrored, want);
        const Tensor table = pixel_values(info, static_cast<int64_t>(channels), DType::f32);
        std::vector<uint8_t> bytes(13 * 7 * channels);
        interleave(image, texture, mirrored, bytes);
        for (size_t i = 0; i < bytes.size(); ++i)
          ASSERT_EQ(table.values<float>()[i % channels * 256 + bytes[i]], want.values<float>()[i]);
      }
  std::vector<uint8_t> few(13 * 7 * 3 - 1);
  EXPECT_THROW(interleave(image, nullptr, false, few), Error);
  EXPECT_THROW(pixel_values({}, 5, DType::f32), Error);
}

TEST(Normalise, ATextureMapComesLastAndImagenetLeavesIt) {
  const io::Image image = test::pattern(13, 7);
  io::Image map(13, 7, 1);
  for (size_t i = 0; i < map.pixels.size(); ++i) map.pixels[i] = static_cast<uint8_t>(37 * i);
  for (const Normalisation kind : {Normalisation::none, Normalisation::imagenet, Normalisation::half}) {
    for (const bool raw : {false, true}) {
      for (const bool mirrored : {false, true}) {
        ModelInfo info;
        info.normalisation = kind;
        info.raw_scale = raw;
        Tensor three({1, 7, 13, 3}), four({1, 7, 13, 4});
        normalise(image, info, mirrored, three);
        normalise(image, &map, info, mirrored, four);
        const auto rgb = three.values<float>(), all = four.values<float>();
        for (int64_t y = 0; y < 7; ++y) {
          for (int64_t x = 0; x < 13; ++x) {
            const auto at = static_cast<size_t>(y * 13 + x);
            for (size_t c = 0; c < 3; ++c) ASSERT_EQ(all[4 * at + c], rgb[3 * at + c]);
            double want = map.row(y)[mirrored ? 12 - x : x] / (raw ? 1.0 : 255.0);
            if (kind == Normalisation::half) want = 2 * want - 1;
            ASSERT_EQ(all[4 * at + 3], static_cast<float>(want));
          }
        }
      }
    }
  }
  Tensor three({1, 7, 13, 3});
  EXPECT_THROW(normalise(image, &map, {}, false, three), Error);
}

TEST(Probability, OneClassIsTheSigmoidAtAnyLogit) {
  const float z[] = {0,
                     3,
                     -3,
                     88,
                     -88,
                     1000,
                     -1000,
                     std::numeric_limits<float>::infinity(),
                     -std::numeric_limits<float>::infinity(),
                     std::numeric_limits<float>::quiet_NaN()};
  Tensor logits({1, 1, 10, 1});
  std::copy(std::begin(z), std::end(z), logits.values<float>().begin());
  std::vector<float> plane(10, 0.0f);
  add_probability(logits, false, 1.0f, plane);
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(plane[i], 1 / (1 + std::exp(-static_cast<double>(z[i]))), 1e-7) << z[i];
  EXPECT_TRUE(std::isnan(plane[9]));
}

TEST(Probability, TwoClassesAreTheSoftmaxOfTheSecond) {
  Tensor logits({1, 1, 3, 2}, DType::f64);
  const double z[] = {1, 2, 0, 0, 500, -500};
  std::copy(std::begin(z), std::end(z), logits.values<double>().begin());
  std::vector<float> plane(3, 0.0f);
  add_probability(logits, false, 1.0f, plane);
  EXPECT_NEAR(plane[0], std::exp(2.0) / (std::exp(1.0) + std::exp(2.0)), 1e-7);
  EXPECT_EQ(plane[1], 0.5f);  // a tie: argmax takes class 0, and 1/2 is not above 1/2
  EXPECT_EQ(plane[2], 0.0f);
}

TEST(Probability, OfMoreClassesPassesAHalfExactlyWhereClassOneIsTheArgmax) {
  Tensor logits({1, 8, 8, 4});
  uint32_t state = 7;
  for (float& z : logits.values<float>()) {
    state = state * 1664525u + 1013904223u;
    z = static_cast<float>(state >> 28);
  }
  std::vector<float> plane(64, 0.0f);
  add_probability(logits, false, 1.0f, plane);
  int ones = 0;
  for (size_t i = 0; i < 64; ++i) {
    const float* z = logits.values<float>().data() + 4 * i;
    const bool wins = z[1] > z[0] && z[1] > z[2] && z[1] > z[3];
    EXPECT_EQ(plane[i] > 0.5f, wins);
    ones += wins;
  }
  EXPECT_GT(ones, 4);
}

TEST(Probability, MirroredLogitsAreTurnedBackAndWeighted) {
  Tensor logits({1, 1, 3, 1});
  logits.values<float>()[0] = 100;  // left of the mirror image is right of the photo
  logits.values<float>()[1] = -100;
  logits.values<float>()[2] = 0;
  std::vector<float> plane(3, 0.25f);
  add_probability(logits, true, 0.5f, plane);
  EXPECT_FLOAT_EQ(plane[0], 0.25f + 0.25f);
  EXPECT_FLOAT_EQ(plane[1], 0.25f);
  EXPECT_FLOAT_EQ(plane[2], 0.25f + 0.5f);
}

TEST(Threshold, OfASigmoidModelMeansItsOwnSecondSigmoid) {
  ModelInfo info;
  EXPECT_EQ(effective_threshold(info, 1, 0.6), 0.6);
  info.output = Output::sigmoid;
  EXPECT_EQ(effective_threshold(info, 2, 0.6), 0.6);
  // The program of such a model computes both sigmoids in float32 and asks for more than the threshold.
  for (const double threshold : {0.5, 0.55, 0.6, 0.7, 0.4}) {
    const double limit = effective_threshold(info, 1, threshold);
    for (float z = -30; z < 30; z += 0.37f) {
      const float q = 1.0f / (1.0f + std::exp(-z)), twice = 1.0f / (1.0f + std::exp(-q));
      EXPECT_EQ(q > limit, twice > static_cast<float>(threshold)) << z << " at " << threshold;
    }
  }
  // Known: with 1/2 it passes from z = -16.23 on.
  const double q = effective_threshold(info, 1, 0.5);
  EXPECT_NEAR(std::log(q / (1 - q)), -16.23, 0.01);
}

}  // namespace
}  // namespace furrow
