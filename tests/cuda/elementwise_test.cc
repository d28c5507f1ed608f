// kernels/cuda/elementwise.h against the reference back-end, or where that has no such operation against its formula in
// float64. Inputs are rounded to the storage type first, so that only the arithmetic and the last rounding differ.
#include "kernels/cuda/elementwise.h"

#include <limits>

#include "kernels/ref/ref_backend.h"
#include "kernels/random.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

const ElementwiseKernels& kernels() { return KERNELS_UNDER_TEST(elementwise_kernels); }

// Two blocks along the pixels in each: one, few and more than 32 threads of channels, and channels beside vector
// widths.
const Shape kShapes[] = {{2, 13, 11, 1}, {2, 9, 11, 3}, {1, 3, 5, 17}, {1, 3, 3, 64}, {1, 2, 5, 271}};

// Values with everything that comparisons treat apart.
Tensor with_specials(Tensor t) {
  const double specials[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0};
  auto values = t.values<double>();
  for (size_t i = 0; i < 5 && 7 * i < values.size(); ++i) values[7 * i] = specials[i];
  return t;
}

void each_case(const std::function<void(const Storage&, const Shape&)>& body) {
  for_each_storage([&](const Storage& storage) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(to_string(shape));
      body(storage, shape);
    }
  });
}

TEST(Elementwise, Relu) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor x = rounded_to(storage.type, with_specials(random_values(shape, 1)));
    Tensor want(shape, DType::f64);
    ref.relu(x, want);
    PitchedImage from = storage.of(x), to = storage.empty(shape);
    kernels().relu({}, {from.image(), to.image()});
    EXPECT_TRUE(close(to.values(), want, {}));
    kernels().relu({}, {from.image(), from.image()});  // in place
    EXPECT_TRUE(close(from.values(), want, {}));
  });
}

TEST(Elementwise, ReluGradGoesToBothTerms) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor y = rounded_to(storage.type, with_specials(random_values(shape, 2))),
                 dy = rounded_to(storage.type, random_values(shape, 3));
    const Tensor before = rounded_to(storage.type, random_values(shape, 4));
    Tensor stored(shape, DType::f64), added = before.to(DType::f64);
    ref.relu_grad(y, dy, stored, Grad::overwrite);
    ref.relu_grad(y, dy, added, Grad::accumulate);
    PitchedImage value = storage.of(y), gradient = storage.of(dy), da = storage.empty(shape), db = storage.of(before),
                 alone = storage.empty(shape);
    kernels().relu_grad(
        {}, {.y = value.image(), .dy = gradient.image(), .da = da.image(), .db = db.image(), .accumulate_b = true});
    EXPECT_TRUE(close(da.values(), stored, {}));
    EXPECT_TRUE(close(db.values(), added, ulps(1, storage.type)));
    kernels().relu_grad({}, {.y = value.image(), .dy = gradient.image(), .da = alone.image()});
    EXPECT_TRUE(close(alone.values(), stored, {}));
  });
}

// expf is good to 2 units, the addition and the division to half a unit each, and rounding can double a unit.
TEST(Elementwise, SigmoidIsStable) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    Tensor x = random_values(shape, 5);
    for (double& value : x.values<double>()) value *= 100;
    x = rounded_to(storage.type, with_specials(x));
    Tensor want(shape, DType::f64);
    ref.sigmoid(x, want);
    PitchedImage from = storage.of(x), to = storage.empty(shape);
    kernels().sigmoid({}, {from.image(), to.image()});
    Tolerance tolerance = ulps(4, storage.type);
    tolerance.absolute = std::max(tolerance.absolute, 1.2e-38);  // float32's own subnormals
    EXPECT_TRUE(close(to.values(), want, tolerance));
  });
}

// Three roundings of half a unit, and one of an addition.
TEST(Elementwise, SigmoidGrad) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    Tensor y = random_values(shape, 6);
    for (double& value : y.values<double>()) value = 0.5 + 0.5 * value;
    y = rounded_to(storage.type, y);
    const Tensor dy = rounded_to(storage.type, random_values(shape, 7)),
                 before = rounded_to(storage.type, random_values(shape, 8));
    PitchedImage value = storage.of(y), gradient = storage.of(dy);
    for (const bool accumulate : {false, true}) {
      Tensor want = before.to(DType::f64);
      ref.sigmoid_grad(y, dy, want, accumulate ? Grad::accumulate : Grad::overwrite);
      PitchedImage dx = accumulate ? storage.of(before) : storage.empty(shape);
      kernels().sigmoid_grad({}, {value.image(), gradient.image(), dx.image(), accumulate});
      Tolerance tolerance = ulps(2, storage.type);
      if (accumulate) tolerance.absolute += 0x1p-24;  // the terms may cancel
      EXPECT_TRUE(close(dx.values(), want, tolerance));
    }
  });
}

TEST(Elementwise, AddAndAddRelu) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor a = rounded_to(storage.type, with_specials(random_values(shape, 9))),
                 b = rounded_to(storage.type, random_values(shape, 10));
    Tensor sum(shape, DType::f64), positive(shape, DType::f64);
    ref.add(a, b, sum);
    ref.relu(sum, positive);
    PitchedImage left = storage.of(a), right = storage.of(b), y = storage.empty(shape), z = storage.empty(shape);
    kernels().add({}, {left.image(), right.image(), y.image()});
    kernels().add_relu({}, {left.image(), right.image(), z.image()});
    EXPECT_TRUE(close(y.values(), sum, ulps(0.5, storage.type)));
    EXPECT_TRUE(close(z.values(), positive, ulps(0.5, storage.type)));
  });
}

TEST(Elementwise, FillLeavesPadsZero) {
  each_case([&](const Storage& storage, const Shape& shape) {
    Tensor want(shape, DType::f64);
    for (double& value : want.values<double>()) value = -1.75;
    PitchedImage y = storage.empty(shape);
    kernels().fill({}, {y.image(), -1.75f});
    EXPECT_TRUE(close(y.values(), want, {}));
  });
}

TEST(Elementwise, ConvertBetweenEveryTwoLayouts) {
  const Shape shape{2, 3, 7, 19};
  Tensor x = with_specials(random_values(shape, 11));
  x.values<double>()[1] = 70000;  // beyond f16
  x.values<double>()[2] = 3e-6;   // subnormal in f16
  for_each_storage([&](const Storage& source) {
    for_each_storage([&](const Storage& target) {
      const Tensor rounded = rounded_to(source.type, x);
      PitchedImage from = source.of(rounded), to = target.empty(shape);
      kernels().convert({}, {from.image(), to.image()});
      EXPECT_TRUE(close(to.values(), rounded_to(target.type, rounded), {}));
    });
  });
  PitchedImage wide(random_values({1, 1, 3, 8}, 12), DType::f32, 24),
      narrow({1, 1, 3, 8}, DType::f16, 16);  // both in vectors
  kernels().convert({}, {wide.image(), narrow.image()});
  EXPECT_TRUE(close(narrow.values(), rounded_to(DType::f16, random_values({1, 1, 3, 8}, 12)), {}));
}

// A value and what it lacks are the value to twice the digits; beyond 16 bits' range nothing is added to infinity.
TEST(Elementwise, SplitKeepsWhatRoundingTakes) {
  for (const DType type : {DType::f16, DType::bf16})
    for (const int64_t c : {1, 3, 4}) {
      const Shape shape{2, 3, 7, c}, whole{2, 3, 7, 8};
      Tensor x = random_values(shape, 11);
      for (double& value : x.values<double>()) value = static_cast<float>(value * 2.6);
      x.values<double>()[1] = INFINITY, x.values<double>()[2] = NAN, x.values<double>()[3] = -3.4e38;
      PitchedImage from(x, DType::f32, c), to(whole, type, 8);
      Image y = to.image();
      y.c = static_cast<int>(c);
      kernels().split({}, {from.image(), y});
      const Tensor all = to.values(), rounded = rounded_to(type, x);
      for (int64_t i = 0; i < whole.elements(); ++i) {
        const int64_t channel = i % 8, k = channel % 4;
        const double got = all.values<double>()[static_cast<size_t>(i)];
        if (k >= c) {
          EXPECT_EQ(got, 0) << i;
          continue;
        }
        const auto at = static_cast<size_t>(i / 8 * c + k);
        const double value = x.values<double>()[at], high = rounded.values<double>()[at];
        if (channel < 4)
          EXPECT_TRUE(got == high || (std::isnan(got) && std::isnan(high))) << i;
        else if (std::isfinite(high))
          EXPECT_NEAR(high + got, value, std::abs(value) * (type == DType::f16 ? 0x1p-22 : 0x1p-16) + 0x1p-25) << i;
        else
          EXPECT_EQ(got, 0) << i;
      }
    }
}

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Elementwise, GateAndItsGradient) {
  each_case([&](const Storage& storage, const Shape& shape) {
    const DType type = storage.type;
    const Tensor x = rounded_to(type, random_values(shape, 13)), dy = rounded_to(type, random_values(shape, 14));
    const Shape one{shape.n, shape.h, shape.w, 1};
    Tensor logits = random_values(one, 15);
    for (double& value : logits.values<double>()) value *= 6;
    logits = rounded_to(type, logits);
    const Tensor before = rounded_to(type, random_values(shape, 16)),
                 before_logits = rounded_to(type, random_values(one, 17));
    Tensor y(shape, DType::f64), dx(shape, DType::f64), dlogits(one, DType::f64), dx_added(shape, DType::f64),
        dlogits_added(one, DType::f64);
    const auto c = static_cast<size_t>(shape.c);
    double magnitude = 0;
    for (size_t p = 0; p < static_cast<size_t>(shape.pixels()); ++p) {
      const double alpha = sigmoid_of(logits.values<double>()[p]);
      double sum = 0;
      for (size_t e = p * c; e < (p + 1) * c; ++e) {
        y.values<double>()[e] = x.values<double>()[e] * alpha;
        dx.values<double>()[e] = dy.values<double>()[e] * alpha;
        dx_added.values<double>()[e] = before.values<double>()[e] + dx.values<double>()[e];
        sum += dy.values<double>()[e] * x.values<double>()[e];
      }
      dlogits.values<double>()[p] = alpha * (1 - alpha) * sum;
      dlogits_added.values<double>()[p] = before_logits.values<double>()[p] + dlogits.values<double>()[p];
      magnitude = std::max(magnitude, std::abs(dlogits.values<double>()[p]));
    }
    PitchedImage skip = storage.of(x), psi = storage.of(logits), gradient = storage.of(dy);
    PitchedImage gated = storage.empty(shape), to_x = storage.empty(shape), to_logits = storage.empty(one);
    PitchedImage onto_x = storage.of(before), onto_logits = storage.of(before_logits);
    kernels().gate({}, {skip.image(), psi.image(), gated.image()});
    EXPECT_TRUE(close(gated.values(), y, ulps(4.5, type)));  // the sigmoid's 4, one product
    kernels().gate_grad({},
                        {skip.image(), psi.image(), gradient.image(), to_x.image(), to_logits.image(), false, false});
    kernels().gate_grad({},
                        {skip.image(), psi.image(), gradient.image(), onto_x.image(), onto_logits.image(), true, true});
    EXPECT_TRUE(close(to_x.values(), dx, ulps(4.5, type)));
    EXPECT_TRUE(close(onto_x.values(), dx_added, of_largest(4 * 0x1p-23, dx_added, type)));
    // A sum of K products, and the sigmoid's units.
    const double bound = (4e-8 * std::sqrt(static_cast<double>(shape.c)) + 5 * 0x1p-23) * magnitude;
    Tolerance tolerance{.absolute = bound + half_subnormal(type), .relative = type == DType::f32 ? 0 : half_ulp(type)};
    EXPECT_TRUE(close(to_logits.values(), dlogits, tolerance));
    tolerance.absolute += 0x1p-23;  // the addition, of numbers up to 2
    EXPECT_TRUE(close(onto_logits.values(), dlogits_added, tolerance));
  });
}

TEST(Elementwise, DropoutDrawsTheNumbersOfNnRandom) {
  const uint64_t seed = 0x123456789abcdef0u, stream = 0x1122334455667788u;
  const Philox philox(seed);
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor x = rounded_to(storage.type, random_values(shape, 18));
    for (const double p : {0.0, 0.3, 0.5}) {
      Tensor want(shape, DType::f64);
      for (size_t e = 0; e < want.values<double>().size(); ++e)
        want.values<double>()[e] = philox.uniform(stream, e) >= p ? x.values<double>()[e] / (1 - p) : 0;
      PitchedImage from = storage.of(x), to = storage.empty(shape), twice = storage.of(x);
      kernels().dropout({}, {.x = from.image(), .y = to.image(), .p = p, .seed = seed, .stream = stream});
      EXPECT_TRUE(close(to.values(), want, ulps(1, storage.type)));  // 1/(1-p) rounded, one product
      for (size_t e = 0; e < want.values<double>().size(); ++e) want.values<double>()[e] += x.values<double>()[e];
      kernels().dropout(
          {}, {.x = from.image(), .y = twice.image(), .p = p, .seed = seed, .stream = stream, .accumulate = true});
      EXPECT_TRUE(close(twice.values(), want, ulps(1.5, storage.type)));  // terms of one sign
    }
  });
}

TEST(Elementwise, DropoutStartsAnywhereInItsSequence) {
  const uint64_t seed = 5, stream = 6, first = 0x1fffffffdu;  // in the middle of a block of four, past 32 bits
  const Philox philox(seed);
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor x = rounded_to(storage.type, random_values(shape, 22));
    Tensor want(shape, DType::f64);
    for (size_t e = 0; e < want.values<double>().size(); ++e)
      want.values<double>()[e] = philox.uniform(stream, first + e) >= 0.25 ? x.values<double>()[e] / 0.75 : 0;
    PitchedImage from = storage.of(x), to = storage.empty(shape);
    kernels().dropout({},
                      {.x = from.image(), .y = to.image(), .p = 0.25, .seed = seed, .stream = stream, .first = first});
    EXPECT_TRUE(close(to.values(), want, ulps(1, storage.type)));
  });
}

TEST(Elementwise, CombineAddsMultiples) {
  each_case([&](const Storage& storage, const Shape& shape) {
    const Tensor a = rounded_to(storage.type, random_values(shape, 23)),
                 b = rounded_to(storage.type, random_values(shape, 24));
    Tensor want(shape, DType::f64), half(shape, DType::f64);
    for (size_t e = 0; e < want.values<double>().size(); ++e) {
      want.values<double>()[e] = 0.75 * a.values<double>()[e] - 1.5 * b.values<double>()[e];
      half.values<double>()[e] = 0.5 * a.values<double>()[e];
    }
    PitchedImage left = storage.of(a), right = storage.of(b), to = storage.empty(shape);
    kernels().combine({}, {left.image(), right.image(), to.image(), 0.75f, -1.5f});
    EXPECT_TRUE(close(to.values(), want, of_largest(2 * 0x1p-23, want, storage.type)));  // two products, one sum
    kernels().combine({}, {.a = left.image(), .y = left.image(), .alpha = 0.5f});        // in place
    EXPECT_TRUE(close(left.values(), half, ulps(0, storage.type)));
  });
}

TEST(Elementwise, SchedulesAgree) {
  const Shape shape{1, 3, 5, 40};
  const Tensor x = random_values(shape, 19), dy = random_values(shape, 20), logits = random_values({1, 3, 5, 1}, 21);
  std::vector<Tensor> results;
  in_every_schedule([&] {
    PitchedImage skip(x, DType::f32, 40), psi(logits, DType::f32, 1), gradient(dy, DType::f32, 40);
    PitchedImage dx(shape, DType::f32, 40), dlogits({1, 3, 5, 1}, DType::f32, 1);
    kernels().gate_grad({}, {skip.image(), psi.image(), gradient.image(), dx.image(), dlogits.image(), false, false});
    results.push_back(dlogits.values());
    EXPECT_TRUE(close(results.back(), results.front(), {}));
  });
}

TEST(Elementwise, RefusesWhatItCannotServe) {
  PitchedImage a({1, 2, 2, 3}, DType::f32, 3), b({1, 2, 2, 4}, DType::f32, 4), half({1, 2, 2, 3}, DType::f16, 3);
  EXPECT_THROW(kernels().relu({}, {a.image(), b.image()}), Error);     // other shapes
  EXPECT_THROW(kernels().relu({}, {a.image(), half.image()}), Error);  // other types
  EXPECT_THROW(kernels().dropout({}, {.x = a.image(), .y = a.image(), .p = 1.0}), Error);
  Image wide = a.image();
  wide.type = DType::f64;
  EXPECT_THROW(kernels().fill({}, {wide, 0}), Error);
}

}  // namespace
}  // namespace furrow::gpu
