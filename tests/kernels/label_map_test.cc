// kernels/cpu/label_map.h against the scores of the eager operation, compared one by one.
#include "kernels/cpu/label_map.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/cases.h"

namespace furrow {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

// Never a value that was there before.
std::vector<uint8_t> labels_of(const Tensor& scores, int64_t height, int64_t width, ThreadPool* pool = nullptr) {
  std::vector<uint8_t> labels(static_cast<size_t>(scores.shape().n * height * width), 255);
  cpu::upsample_argmax(pool, scores, height, width, labels);
  return labels;
}

uint8_t label_of(const float* scores, int64_t classes) {
  int64_t best = -1;
  for (int64_t c = 0; c < classes; ++c)
    if (!std::isnan(scores[c]) && (best < 0 || scores[c] > scores[best])) best = c;
  return static_cast<uint8_t>(best < 0 ? 0 : best);
}

// The eager operation of every instruction set, and what is largest in its result.
void expect_labels_of_eager_scores(const Tensor& scores, int64_t height, int64_t width) {
  const Shape& s = scores.shape();
  const std::vector<uint8_t> got = labels_of(scores, height, width);
  for (const cpu::Isa isa : cpu::supported_isas()) {
    Tensor large({s.n, height, width, s.c});
    cpu::CpuBackend(isa, nullptr).upsample_bilinear(scores, large);
    size_t wrong = 0;
    for (size_t i = 0; i < got.size(); ++i)
      wrong += got[i] != label_of(&large.values<float>()[i * static_cast<size_t>(s.c)], s.c);
    EXPECT_EQ(wrong, 0u) << to_string(s) << " -> " << height << "x" << width << " " << cpu::name(isa);
  }
}

struct Problem {
  Shape scores;
  int64_t height, width;
};
const Problem kProblems[] = {{{1, 1, 1, 1}, 1, 1},     {{1, 1, 1, 19}, 3, 5},       {{3, 5, 7, 19}, 33, 51},
                             {{2, 4, 3, 2}, 1, 1},     {{1, 1, 9, 3}, 7, 17},       {{1, 9, 1, 24}, 20, 9},
                             {{1, 6, 5, 256}, 13, 11}, {{1, 16, 16, 19}, 128, 128}, {{1, 31, 23, 4}, 9, 12},
                             {{1, 12, 13, 16}, 12, 13}};

TEST(LabelMap, IsTheLargestOfTheEagerScores) {
  for (const Problem& p : kProblems)
    expect_labels_of_eager_scores(cases::random_values(p.scores, 1, DType::f32), p.height, p.width);
}

// Few values, so that most pixels have several largest classes, and mixes of equal values are equal to the bit.
TEST(LabelMap, TheFirstOfEqualScoresWins) {
  for (const Problem& p : kProblems) {
    Tensor scores = cases::random_values(p.scores, 2, DType::f32);
    for (float& value : scores.values<float>()) value = std::floor(value * 2);
    expect_labels_of_eager_scores(scores, p.height, p.width);
  }
  Tensor equal({1, 3, 4, 7});
  for (float& value : equal.values<float>()) value = 0.3f;
  EXPECT_EQ(labels_of(equal, 7, 9), std::vector<uint8_t>(63, 0));
}

TEST(LabelMap, NaNNeverWinsUnlessItIsAlone) {
  const struct {
    std::vector<float> scores;
    uint8_t label;
  } pixels[] = {{{kNaN, -kInfinity, kNaN}, 1},
                {{kNaN, kNaN, kNaN}, 0},
                {{1, kNaN, 2}, 2},
                {{2, kNaN, 1}, 0},
                {{kNaN, 1, 1}, 1},
                {{-kInfinity, -kInfinity, -3}, 2},
                {{-0.0f, 0.0f, -0.0f}, 0},
                {{kNaN, -kInfinity, -5}, 2},
                {{kInfinity, kNaN, kInfinity}, 0},
                {{kNaN, kNaN, -kInfinity}, 2},
                {{-1, -kInfinity, kInfinity}, 2}};
  // Four times the same pixel. Between them mixes are what the pixel is; on them 0 times an infinity makes a NaN.
  for (const auto& pixel : pixels)
    for (const int64_t width : {3, 8, 12}) {  // together and one by one
      Tensor scores({1, 2, 2, 3});
      for (size_t i = 0; i < 12; ++i) scores.values<float>()[i] = pixel.scores[i % 3];
      const std::vector<uint8_t> labels = labels_of(scores, 3, width);
      for (size_t x = static_cast<size_t>(width) + 1; x + 1 < 2 * static_cast<size_t>(width); ++x)
        EXPECT_EQ(labels[x], pixel.label) << pixel.scores[0] << " " << pixel.scores[1] << " " << pixel.scores[2];
    }
  Tensor scores = cases::random_values({1, 9, 8, 5}, 3, DType::f32);
  for (size_t i = 0; i < scores.values<float>().size(); i += 7) scores.values<float>()[i] = kNaN;
  for (size_t i = 3; i < scores.values<float>().size(); i += 41) scores.values<float>()[i] = kInfinity;
  for (size_t i = 40; i < 50; ++i) scores.values<float>()[i] = kNaN;
  expect_labels_of_eager_scores(scores, 31, 30);
  expect_labels_of_eager_scores(scores, 9, 8);
}

TEST(LabelMap, HasTheSameLabelsForAnyNumberOfThreads) {
  const Tensor scores = cases::random_values({3, 8, 9, 19}, 4, DType::f32);
  const std::vector<uint8_t> alone = labels_of(scores, 37, 41);
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(labels_of(scores, 37, 41, &pool), alone) << threads;
  }
}

TEST(LabelMap, RefusesOtherShapes) {
  std::vector<uint8_t> labels(12);
  const auto refuses = [&](const Shape& s, int64_t height, int64_t width) {
    EXPECT_THROW(cpu::upsample_argmax(nullptr, Tensor(s), height, width, labels), Error) << to_string(s);
  };
  EXPECT_NO_THROW(cpu::upsample_argmax(nullptr, Tensor({1, 2, 2, 256}), 3, 4, labels));
  refuses({1, 2, 2, 257}, 3, 4);
  refuses({1, 2, 2, 3}, 3, 5);
  refuses({2, 2, 2, 3}, 3, 4);
  refuses({1, 2, 2, 3}, 0, 4);
  refuses({1, 0, 2, 3}, 3, 4);
}

}  // namespace
}  // namespace furrow
