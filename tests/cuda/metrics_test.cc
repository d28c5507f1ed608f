// Counts of pixels against plain loops: whole numbers, so equal.
#include "kernels/cuda/metrics.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/ref/metrics.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

const MetricKernels& kernels() { return KERNELS_UNDER_TEST(metric_kernels); }

std::vector<uint8_t> random_bytes(int64_t count, uint64_t seed, int below) {
  std::vector<uint8_t> out;
  const Tensor random = cases::random_values({1, 1, 1, count}, seed);
  for (const double value : random.values<double>()) out.push_back(static_cast<uint8_t>((value + 1) / 2 * below));
  return out;
}
// Masks of 0 and 255.
std::vector<uint8_t> random_mask(int64_t count, uint64_t seed, int one_in) {
  std::vector<uint8_t> out = random_bytes(count, seed, one_in);
  for (uint8_t& v : out) v = v == 0 ? 255 : 0;
  return out;
}

// Logits as `type` stores them, among them some that are equal to the threshold, infinite or NaN.
Tensor logits(const Shape& s, DType type) {
  Tensor z = cases::random_values(s, 11);
  for (double& value : z.values<double>()) value = rounded_to(type, 8 * value);
  const double odd[] = {0, -0.0, INFINITY, -INFINITY, std::numeric_limits<double>::quiet_NaN(), 1e-7};
  for (size_t i = 0; i < 6 && i * 7 < z.values<double>().size(); ++i)
    z.values<double>()[i * 7] = rounded_to(type, odd[i]);
  return z;
}

std::vector<PixelCount> numbers(const PixelCounts& c) { return {c.tp, c.fp, c.fn, c.tn}; }

template <class T>
std::span<const T> part(const std::vector<T>& all, size_t first, size_t count) {
  return all.empty() ? std::span<const T>() : std::span<const T>(all).subspan(first, count);
}

void expect_pixels(const Shape& s, const Storage& storage, double threshold, bool with_region) {
  const Tensor z = logits(s, storage.type);
  const std::vector<double> values(z.values<double>().begin(), z.values<double>().end());
  PitchedImage device = storage.of(z);
  const std::vector<uint8_t> target = random_mask(s.pixels(), 12, 3),
                             region = with_region ? random_mask(s.pixels(), 13, 2) : std::vector<uint8_t>();
  DeviceArray<uint8_t> targets(target), regions(with_region ? region : target);
  const PixelCounts before{
      .tp = 1ull << 40, .fp = 2, .fn = 3, .tn = 1ull << 33};  // more than 32 bits were counted before
  const auto images = static_cast<size_t>(s.n), pixels = static_cast<size_t>(s.h * s.w);
  DeviceArray<PixelCounts> per_image(std::vector<PixelCounts>(images, before)), total(std::vector<PixelCounts>{before});
  kernels().count_pixels({}, {.values = device.image(),
                              .threshold = static_cast<float>(threshold),
                              .targets = targets.data(),
                              .region = with_region ? regions.data() : nullptr,
                              .per_image = per_image.data(),
                              .total = total.data()});
  PixelCounts want_total = before;
  ref::count_pixels(values, threshold, target, region, want_total);
  EXPECT_EQ(numbers(total.values()[0]), numbers(want_total));
  for (size_t b = 0; b < images; ++b) {
    PixelCounts want = before;
    ref::count_pixels(part(values, b * pixels, pixels), threshold, part(target, b * pixels, pixels),
                      part(region, b * pixels, pixels), want);
    EXPECT_EQ(numbers(per_image.values()[b]), numbers(want)) << "image " << b;
  }
}

TEST(CudaMetrics, PixelsAtAThreshold) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) { expect_pixels({3, 7, 41, 1}, storage, 0, storage.dense); });
    expect_pixels({2, 131, 127, 1}, {DType::f32, true}, 1.5, true);  // two chunks an image
  });
  expect_pixels({1, 1, 1, 1}, {DType::f32, true}, -1, false);
}

TEST(CudaMetrics, OneOfTheTwoTotals) {
  const Shape s{2, 3, 5, 1};
  PitchedImage device(logits(s, DType::f32), DType::f32, 1);
  DeviceArray<uint8_t> targets(random_mask(30, 12, 2));
  DeviceArray<PixelCounts> one(std::vector<PixelCounts>(1)), each(std::vector<PixelCounts>(2));
  kernels().count_pixels({},
                         {.values = device.image(), .threshold = 0, .targets = targets.data(), .total = one.data()});
  kernels().count_pixels(
      {}, {.values = device.image(), .threshold = 0, .targets = targets.data(), .per_image = each.data()});
  std::vector<PixelCount> sum = numbers(each.values()[0]);
  for (size_t k = 0; k < 4; ++k) sum[k] += numbers(each.values()[1])[k];
  EXPECT_EQ(sum, numbers(one.values()[0]));
  EXPECT_EQ(sum[0] + sum[1] + sum[2] + sum[3], 30u);
}

void expect_bins(const Shape& s, const Storage& storage, bool of_logits, bool with_region) {
  Tensor z = logits(s, storage.type);
  if (!of_logits)
    for (double& value : z.values<double>())
      value = rounded_to(storage.type, (value / 8 + 1) / 2);  // some outside [0,1]
  const std::vector<double> values(z.values<double>().begin(), z.values<double>().end());
  PitchedImage device = storage.of(z);
  const std::vector<uint8_t> target = random_mask(s.pixels(), 14, 3),
                             region = with_region ? random_mask(s.pixels(), 15, 2) : std::vector<uint8_t>();
  const HistogramBounds bounds = histogram_bounds(of_logits);
  DeviceArray<uint8_t> targets(target), regions(with_region ? region : target);
  DeviceArray<float> device_bounds(std::vector<float>(bounds.begin(), bounds.end()));
  std::vector<PixelCount> want(512, 1ull << 35);
  DeviceArray<PixelCount> bins(want);
  kernels().count_bins({}, {.values = device.image(),
                            .bounds = device_bounds.data(),
                            .targets = targets.data(),
                            .region = with_region ? regions.data() : nullptr,
                            .bins = bins.data()});
  ref::count_bins(values, bounds, target, region, want);
  EXPECT_EQ(bins.values(), want);
}

TEST(CudaMetrics, Bins) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) { expect_bins({2, 9, 37, 1}, storage, storage.dense, storage.dense); });
    expect_bins({2, 97, 101, 1}, {DType::f32, true}, true, false);  // two chunks
  });
}

// The plain loops themselves: a bin is floor(256 p).
TEST(CudaMetrics, BinsAreThoseOfTheProbability) {
  for (const double z : {-30.0, -5.5, -5.6, -1.0, -0.001, 0.0, 0.001, 0.7, 5.5, 5.6, 30.0}) {
    const double p = 1 / (1 + std::exp(-z)), values[] = {z}, probabilities[] = {p};
    const uint8_t target[] = {1};
    std::vector<PixelCount> from_logit(512), from_probability(512);
    ref::count_bins(values, histogram_bounds(true), target, {}, from_logit);
    ref::count_bins(probabilities, histogram_bounds(false), target, {}, from_probability);
    EXPECT_EQ(from_logit[256 + static_cast<size_t>(256 * p)], 1u) << z;
    EXPECT_EQ(from_probability, from_logit) << z;
  }
}

void expect_classes(const Shape& s, const Storage& storage, bool with_region) {
  Tensor z = logits(s, storage.type);
  for (int64_t c = 0; c < s.c; ++c)
    z.values<double>()[z.values<double>().size() - 1 - static_cast<size_t>(c)] =
        std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> values(z.values<double>().begin(), z.values<double>().end());
  PitchedImage device = storage.of(z);
  const auto classes = static_cast<size_t>(s.c);
  std::vector<uint8_t> label =
      random_bytes(s.pixels(), 16, static_cast<int>(std::min<int64_t>(s.c + 1, 256)));  // some no class
  label[0] = 255;
  label.back() = 0;  // its scores are all NaN
  const std::vector<uint8_t> region = with_region ? random_mask(s.pixels(), 17, 2) : std::vector<uint8_t>();
  DeviceArray<uint8_t> labels(label), regions(with_region ? region : label);
  std::vector<PixelCount> want(classes * classes, 1ull << 34);
  DeviceArray<PixelCount> matrix(want);
  kernels().count_classes({}, {.scores = device.image(),
                               .labels = labels.data(),
                               .region = with_region ? regions.data() : nullptr,
                               .matrix = matrix.data()});
  ref::count_classes(values, static_cast<int>(s.c), label, region, want);
  EXPECT_EQ(matrix.values(), want);
}

TEST(CudaMetrics, Classes) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) { expect_classes({2, 9, 37, 3}, storage, storage.dense); });
    expect_classes({1, 131, 127, 2}, {DType::f32, true}, false);  // two chunks
    expect_classes({1, 17, 19, 110}, {DType::f16, false}, true);  // the last matrix that fits in shared memory
    expect_classes({1, 9, 19, 111}, {DType::f32, true}, true);    // and the first that does not
  });
  expect_classes({1, 17, 19, 1}, {DType::f32, true}, false);
}

}  // namespace
}  // namespace furrow::gpu
