// Metrics against torchmetrics 1.6.0 and against definitions in float64 (tests/data/make_metrics_golden.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "losses/metrics.h"
#include "losses/metrics_bootstrap.h"
#include "losses/metrics_classes.h"
#include "losses/metrics_curve.h"
#include "losses/metrics_tolerance.h"

namespace furrow {
namespace {

// torchmetrics divides whole numbers in float32: one rounding of a value up to 1, and a few in its sums over curves.
constexpr double kFloat32 = 3e-7;
// Sums of some thousand terms in float64, in another order.
constexpr double kFloat64 = 1e-12;

struct Case {
  std::string kind;
  int n = 0;
  uint64_t seed = 0;
  std::map<std::string, std::optional<double>> values;
};

std::vector<Case> cases(const std::string& prefix) {
  std::ifstream file(std::string(FURROW_TEST_DATA) + "/metrics/metrics.txt");
  std::vector<Case> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Case one;
    std::string word;
    char colon = 0;
    words >> word >> one.kind >> one.n >> one.seed >> colon;
    while (words >> word) {
      const size_t cut = word.find('=');
      const std::string value = word.substr(cut + 1);
      one.values[word.substr(0, cut)] = value == "none" ? std::nullopt : std::optional(std::stod(value));
    }
    const bool special = one.kind.starts_with("classes") || one.kind == "bootstrap";
    if (prefix.empty() ? !special : one.kind.starts_with(prefix)) found.push_back(one);
  }
  EXPECT_FALSE(found.empty());
  return found;
}

// As the script's Made.
class Made {
 public:
  explicit Made(uint64_t seed) : x_(seed) {}
  double draw() {
    x_ = 6364136223846793005u * x_ + 1442695040888963407u;
    return static_cast<double>(x_ >> 40) / 0x1p24;
  }

 private:
  uint64_t x_;
};

struct Picture {
  std::vector<float> scores;
  std::vector<uint8_t> targets;
};

Picture make(const Case& one) {
  Made made(one.seed);
  Picture picture;
  for (int y = 0; y < one.n; ++y) {
    for (int x = 0; x < one.n; ++x) {
      const bool line = one.kind != "no_truth" && (static_cast<uint64_t>(x + 2 * y) + one.seed) % 17 < 2;
      const double u = made.draw(), v = made.draw();
      double score = line ? 1 - v * v : u * u * u * u;
      if (one.kind == "no_prediction") score = u / 4;
      if (one.kind == "coarse") score = std::floor(score * 8) / 8;
      if (one.kind == "narrow") score = 0.3 + (0.2 * score + u) / 65536;
      picture.scores.push_back(static_cast<float>(score));
      picture.targets.push_back(line || one.kind == "all_truth" ? 1 : 0);
    }
  }
  return picture;
}

TEST(MetricsGolden, PooledRatesAreTorchmetrics) {
  for (const Case& one : cases("")) {
    const Picture picture = make(one);
    const Rates rates = pooled_rates(count(picture.scores, 0.5, picture.targets, {}));
    for (size_t i = 0; i < kRates; ++i)
      EXPECT_NEAR(*rates[i], *one.values.at(std::string(kRateNames[i])), kFloat32) << one.kind << " " << kRateNames[i];
  }
}

TEST(MetricsGolden, AreasLieWithinTheirBounds) {
  for (const Case& one : cases("")) {
    const Picture picture = make(one);
    ScoreHistogram histogram;
    histogram.add(picture.scores, picture.targets, {});
    const std::pair<std::string, std::optional<Area>> areas[] = {{"auroc", auroc(histogram)},
                                                                 {"ap", average_precision(histogram)}};
    for (const auto& [name, area] : areas) {
      const auto truth = one.values.at("exact_" + name);
      ASSERT_EQ(area.has_value(), truth.has_value()) << one.kind << " " << name;
      if (!area) continue;
      EXPECT_LE(area->low, *truth + kFloat64) << one.kind << " " << name;
      EXPECT_GE(area->high, *truth - kFloat64) << one.kind << " " << name;
      EXPECT_LE(area->low, area->value + kFloat64);
      EXPECT_GE(area->high, area->value - kFloat64);
      if (one.values.contains(name)) { EXPECT_NEAR(*one.values.at(name), *truth, kFloat32); }
      // Scores of 24 bits and few pixels: bins that hold two of them are rare, except where the case is made of such.
      if (one.kind == "narrow")
        EXPECT_GT(area->high - area->low, 1e-3) << "the case does not test what it is for";
      else
        EXPECT_NEAR(area->value, *truth, 1e-3) << one.kind << " " << name;
      if (one.kind == "coarse") { EXPECT_EQ(area->low, area->high); }
    }
  }
}

TEST(MetricsGolden, AreasOfEightBitScoresAreExact) {
  for (const Case& one : cases("")) {
    Picture picture = make(one);
    for (float& score : picture.scores)
      score = static_cast<float>(std::nearbyint(static_cast<double>(score) * 255) / 255);
    ScoreHistogram histogram;
    histogram.add(picture.scores, picture.targets, {});
    const auto area = auroc(histogram), precision = average_precision(histogram);
    if (area) {
      EXPECT_NEAR(area->value, *one.values.at("binned_auroc"), kFloat64) << one.kind;
      EXPECT_EQ(area->low, area->high);
    }
    if (precision) {
      EXPECT_NEAR(precision->value, *one.values.at("binned_ap"), kFloat64) << one.kind;
      EXPECT_EQ(precision->low, precision->high);
    }
  }
}

TEST(MetricsGolden, NearCountsAreThoseOfAllPairs) {
  for (const Case& one : cases("")) {
    const Picture picture = make(one);
    std::vector<uint8_t> predicted;
    for (const float score : picture.scores) predicted.push_back(score > 0.5f ? 255 : 0);
    for (const int radius : {0, 1, 2, 3, 5}) {
      const NearRates rates = pooled_near_rates(count_near(predicted, picture.targets, {}, one.n, one.n, radius));
      const std::string key = "near_" + std::to_string(radius);
      EXPECT_NEAR(rates.precision, *one.values.at(key + "_precision"), kFloat64) << one.kind << " " << radius;
      EXPECT_NEAR(rates.recall, *one.values.at(key + "_recall"), kFloat64) << one.kind << " " << radius;
    }
  }
}

TEST(MetricsGolden, ClassesAreTorchmetrics) {
  for (const Case& one : cases("classes")) {
    const int classes = one.kind.back() - '0';
    Made made(one.seed);
    std::vector<uint8_t> truth, predicted;
    for (int i = 0; i < one.n * one.n; ++i) {
      const double u = made.draw(), v = made.draw();
      truth.push_back(static_cast<uint8_t>(u * u * (classes - 1)));
      predicted.push_back(v < 0.7 ? truth.back() : static_cast<uint8_t>(static_cast<int>(v * 10) % (classes - 1)));
    }
    ConfusionMatrix matrix(classes);
    matrix.add(predicted, truth, {});
    const auto iou = class_iou(matrix);
    for (int k = 0; k + 1 < classes; ++k)
      EXPECT_NEAR(*iou[static_cast<size_t>(k)], *one.values.at("iou_" + std::to_string(k)), kFloat32);
    EXPECT_FALSE(iou.back().has_value());  // torchmetrics says 0 here, and leaves it out of the mean as this does
    EXPECT_NEAR(*mean_iou(matrix), *one.values.at("mean_iou"), kFloat32);
    const std::vector<Rates> rates = class_rates(matrix);
    const auto rate = [](const Rates& of, Rate which) { return of[static_cast<size_t>(which)]; };
    double f1 = 0, precision = 0, recall = 0;
    for (int k = 0; k + 1 < classes; ++k) {
      const Rates& own = rates[static_cast<size_t>(k)];
      EXPECT_EQ(rate(own, Rate::iou), iou[static_cast<size_t>(k)]);
      const PixelCounts c = matrix.one_against_rest(k);
      EXPECT_EQ(*rate(own, Rate::precision), static_cast<double>(c.tp) / static_cast<double>(c.tp + c.fp));
      EXPECT_EQ(*rate(own, Rate::recall), static_cast<double>(c.tp) / static_cast<double>(c.tp + c.fn));
      EXPECT_NEAR(*rate(own, Rate::f1), 2 * *iou[static_cast<size_t>(k)] / (1 + *iou[static_cast<size_t>(k)]),
                  kFloat64);
      f1 += *rate(own, Rate::f1) / (classes - 1);
      precision += *rate(own, Rate::precision) / (classes - 1);
      recall += *rate(own, Rate::recall) / (classes - 1);
    }
    EXPECT_FALSE(rate(rates.back(), Rate::accuracy).has_value());
    const Rates mean = mean_class_rates(matrix);
    EXPECT_NEAR(*rate(mean, Rate::iou), *one.values.at("mean_iou"), kFloat32);
    EXPECT_NEAR(*rate(mean, Rate::f1), f1, kFloat64);
    EXPECT_NEAR(*rate(mean, Rate::precision), precision, kFloat64);
    EXPECT_NEAR(*rate(mean, Rate::recall), recall, kFloat64);
    EXPECT_NEAR(*pixel_accuracy(matrix), *one.values.at("accuracy"), kFloat32);
  }
}

TEST(MetricsGolden, BootstrapDrawsTheStatedNumbers) {
  for (const Case& one : cases("bootstrap")) {
    Made made(one.seed);
    std::vector<double> numbers;
    for (int i = 0; i < one.n; ++i) numbers.push_back(made.draw());
    const auto mean = [&](std::span<const uint32_t> drawn, std::span<std::optional<double>> out) {
      double sum = 0;
      for (const uint32_t i : drawn) sum += numbers[i];
      out[0] = sum / static_cast<double>(drawn.size());
    };
    const BootstrapOptions options{
        .resamples = static_cast<int>(*one.values.at("resamples")), .level = *one.values.at("level"), .seed = one.seed};
    const auto found = bootstrap(numbers.size(), 1, mean, options)[0];
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->low, *one.values.at("low"), kFloat64);
    EXPECT_NEAR(found->high, *one.values.at("high"), kFloat64);
    ThreadPool pool(3);
    const auto threaded = bootstrap(numbers.size(), 1, mean, options, &pool)[0];
    EXPECT_EQ(threaded->low, found->low);
    EXPECT_EQ(threaded->high, found->high);
  }
}

}  // namespace
}  // namespace furrow
