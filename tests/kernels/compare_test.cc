// The comparison that the other tests stand on says no where it should: to a number beside what is wanted, to NaN on
// one side, to infinities, to another shape.
#include "tests/kernels/compare.h"

#include <cmath>
#include <limits>

namespace furrow {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
constexpr Tolerance kAny{.absolute = 1e300, .relative = 1};   // of finite numbers

// Three values, of which the middle one is compared; `type` is that of what was computed.
Tensor around(double value, DType type = DType::f64) {
  Tensor t({1, 1, 3, 1}, DType::f64);
  const auto values = t.values<double>();
  values[0] = -1, values[1] = value, values[2] = 2;
  return t.to(type);
}
::testing::AssertionResult close_to(double got, double want, Tolerance tolerance = {}) {
  return close(around(got), around(want), tolerance);
}

TEST(Close, OneWrongValueAmongRightOnes) {
  EXPECT_TRUE(close_to(0.5, 0.5));
  EXPECT_FALSE(close_to(0.5, 0.25));
  EXPECT_FALSE(close_to(0.5, -0.5, {.absolute = 0.5}));
  EXPECT_FALSE(close(around(0.1, DType::f32), around(0.1), {}));   // float32 has no 0.1
  EXPECT_TRUE(close(around(0.1, DType::f32), around(0.1), {.relative = 0x1p-24}));
}

TEST(Close, NanEqualsNanAlone) {
  EXPECT_TRUE(close_to(kNan, kNan));
  EXPECT_FALSE(close_to(kNan, 1, kAny));
  EXPECT_FALSE(close_to(1, kNan, kAny));
  EXPECT_FALSE(close_to(kNan, kInfinity, kAny));
  EXPECT_FALSE(close_to(kInfinity, kNan, kAny));
  EXPECT_FALSE(close(around(kNan, DType::f32), around(1), kAny));
}

TEST(Close, AnInfinityEqualsItselfAlone) {
  EXPECT_TRUE(close_to(kInfinity, kInfinity));
  EXPECT_TRUE(close_to(-kInfinity, -kInfinity));
  EXPECT_FALSE(close_to(kInfinity, -kInfinity, kAny));
  EXPECT_FALSE(close_to(kInfinity, 1, kAny));
  EXPECT_FALSE(close_to(1, kInfinity, kAny));   // relative * infinity would allow anything
  EXPECT_FALSE(close_to(1, -kInfinity, kAny));
}

TEST(Close, JustAboveTheTolerance) {
  const Tolerance absolute{.absolute = 0.25}, relative{.relative = 0.25}, both{.absolute = 0.25, .relative = 0.25};
  EXPECT_TRUE(close_to(1.25, 1, absolute));
  EXPECT_FALSE(close_to(std::nextafter(1.25, 2), 1, absolute));
  EXPECT_TRUE(close_to(-2.5, -2, relative));
  EXPECT_FALSE(close_to(std::nextafter(-2.5, -3), -2, relative));   // of the magnitude of what is wanted
  EXPECT_TRUE(close_to(2.75, 2, both));
  EXPECT_FALSE(close_to(std::nextafter(2.75, 3), 2, both));
}

TEST(Close, AnotherShapeOfTheSameValues) {
  EXPECT_TRUE(close(Tensor({1, 2, 3, 4}), Tensor({1, 2, 3, 4}), {}));
  EXPECT_FALSE(close(Tensor({1, 2, 3, 4}), Tensor({1, 3, 2, 4}), kAny));
  EXPECT_FALSE(close(Tensor({1, 2, 3, 4}), Tensor({1, 2, 3, 3}), kAny));
}

// The worst is not the first, and a NaN is worse than any number.
TEST(Close, NamesTheWorstElement) {
  Tensor want({1, 1, 3, 1}, DType::f64), got = want.to(DType::f64);
  const auto values = got.values<double>();
  values[0] = 1, values[1] = 3;
  EXPECT_NE(std::string(close(got, want, {}).message()).find("2 of 3 elements differ; worst at (0,0,1,0): 3, not 0"),
            std::string::npos);
  values[2] = kNan;
  EXPECT_NE(std::string(close(got, want, {}).message()).find("3 of 3 elements differ; worst at (0,0,2,0): nan, not 0"),
            std::string::npos);
}

TEST(SameBits, TellsSignsOfZeroTypesAndShapesApart) {
  EXPECT_TRUE(same_bits(around(kNan), around(kNan)));
  EXPECT_FALSE(same_bits(around(0.0), around(-0.0)));
  EXPECT_FALSE(same_bits(around(1, DType::f32), around(1)));
  EXPECT_FALSE(same_bits(Tensor({1, 2, 3, 4}), Tensor({1, 3, 2, 4})));
}

}  // namespace
}  // namespace furrow
