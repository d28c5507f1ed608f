// Plans that take pixels: what they give for the bytes of a picture is, to the bit, what they give for its values.
#include <algorithm>
#include <vector>

#include "nn/plan.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

struct OnDevice {
  DeviceKind kind;
  Precision precision;
};

// Every channel has values of its own, negative ones and ones that 16 bits do not hold.
Tensor values_of_bytes(int64_t channels, DType type) { return random_tensor({1, 1, channels, 256}, 3, -2, 2).to(type); }

std::vector<uint8_t> bytes_for(const Shape& shape, uint64_t seed) {
  std::vector<uint8_t> bytes(static_cast<size_t>(shape.elements()));
  const Philox generator(seed);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(256 * generator.uniform(0, i));
  return bytes;
}

Tensor looked_up(const std::vector<uint8_t>& bytes, const Tensor& table, const Shape& shape) {
  Tensor x(shape, DType::f64);
  const Tensor wide = table.to(DType::f64);
  for (size_t i = 0; i < bytes.size(); ++i)
    x.values<double>()[i] = wide.values<double>()[i % static_cast<size_t>(shape.c) * 256 + bytes[i]];
  return x.to(table.dtype());
}

std::vector<double> copied(const Tensor& t) {
  const Tensor wide = t.to(DType::f64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

TEST(PlanPixels, GiveWhatTheirValuesGive) {
  ThreadPool pool(2);
  for (const OnDevice& on :
       {OnDevice{DeviceKind::ref, Precision::fp32}, OnDevice{DeviceKind::cpu, Precision::fp32},
        OnDevice{DeviceKind::cpu_emulated, Precision::fp32}, OnDevice{DeviceKind::cpu_emulated, Precision::tf32},
        OnDevice{DeviceKind::cpu_emulated, Precision::fp16}, OnDevice{DeviceKind::cpu_emulated, Precision::bf16}}) {
    const auto backend = make_backend({on.kind, 0}, &pool, {.precision = on.precision});
    for (const Shape& shape : {Shape{1, 16, 32, 3}, Shape{2, 17, 21, 4}}) {
      SCOPED_TRACE(backend->name() + " " + to_string(shape));
      const auto network = random_network({.base = 2, .in_channels = shape.c}, 5, backend->dtype());
      PlanOptions options;
      options.pixel_values = values_of_bytes(shape.c, backend->dtype());
      Plan plan(*network, *backend, shape, options), without(*network, *backend, shape);
      ASSERT_EQ(plan.pixels().size(), static_cast<size_t>(shape.elements()));
      for (const uint64_t seed : {6, 7}) {
        const std::vector<uint8_t> bytes = bytes_for(shape, seed);
        const Tensor x = looked_up(bytes, options.pixel_values, shape);
        const std::vector<double> want = copied(without.run(x));
        std::ranges::copy(bytes, plan.pixels().begin());
        Trace trace;
        EXPECT_EQ(copied(plan.run_pixels()), want);
        EXPECT_EQ(copied(plan.run_pixels(&trace)), want) << "step by step";
        EXPECT_EQ(trace.records().size(), plan.steps().size());
        EXPECT_EQ(copied(plan.run(x)), want) << "of values";
        EXPECT_TRUE(std::ranges::equal(plan.pixels(), bytes)) << "the bytes stay";
      }
    }
  }
}

TEST(PlanPixels, AreRefusedWithoutAValueForEveryByte) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 2}, 5);
  const Shape shape{1, 16, 16, 3};
  Plan plain(*network, *backend, shape);
  EXPECT_TRUE(plain.pixels().empty());
  EXPECT_THROW(plain.run_pixels(), Error);
  PlanOptions of_four, narrow;
  of_four.pixel_values = values_of_bytes(4, DType::f64);
  narrow.pixel_values = values_of_bytes(3, DType::f32);
  EXPECT_THROW(Plan(*network, *backend, shape, of_four), Error);
  EXPECT_THROW(Plan(*network, *backend, shape, narrow), Error);
}

}  // namespace
}  // namespace furrow
