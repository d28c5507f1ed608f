// The losses' oracle against PyTorch, against finite differences, and at the ends of the number range.
#include "kernels/ref/losses.h"

#include <gtest/gtest.h>

#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/golden.h"

namespace furrow {
namespace {

const Golden& golden() {
  static const Golden instance("losses");
  return instance;
}

// The case's options, in the order of DiceFocal.
DiceFocal form_of(const std::string& one) {
  size_t i = 0;
  const auto next = [&] { return golden().get(one + "/form").values<double>()[i++]; };
  DiceFocal form;
  for (double* option : {&form.dice_weight, &form.focal_weight, &form.alpha_positive, &form.alpha_negative, &form.gamma,
                         &form.pos_weight, &form.dice_map_weight, &form.eps})
    *option = next();
  for (bool* option : {&form.clamp, &form.double_sigmoid, &form.batch_broadcast, &form.dice_over_batch})
    *option = next() != 0;
  return form;
}

void expect_same(const DiceFocal& a, const DiceFocal& b, const std::string& what) {
  EXPECT_EQ(a.dice_weight, b.dice_weight) << what;
  EXPECT_EQ(a.focal_weight, b.focal_weight) << what;
  EXPECT_EQ(a.alpha_positive, b.alpha_positive) << what;
  EXPECT_EQ(a.alpha_negative, b.alpha_negative) << what;
  EXPECT_EQ(a.gamma, b.gamma) << what;
  EXPECT_EQ(a.pos_weight, b.pos_weight) << what;
  EXPECT_EQ(a.dice_map_weight, b.dice_map_weight) << what;
  EXPECT_EQ(a.eps, b.eps) << what;
  EXPECT_EQ(a.clamp, b.clamp) << what;
  EXPECT_EQ(a.dice_over_batch, b.dice_over_batch) << what;
}

Tensor like(const Tensor& t) {
  Tensor out(t.shape(), DType::f64);
  for (double& value : out.values<double>()) value = NAN;
  return out;
}

Tensor as_labels(const Tensor& t) {
  Tensor out(t.shape(), DType::i32);
  for (size_t i = 0; i < out.values<int32_t>().size(); ++i)
    out.values<int32_t>()[i] = static_cast<int32_t>(t.values<double>()[i]);
  return out;
}

// Float64 on both sides; PyTorch's 1 - D and ln(1-p) cancel, so its values carry an absolute error of a few 2^-53 times
// the sums' length and, clamped at p = 1 - 1e-6, of 2^-53 / 1e-6 relative in ln(1-p).
constexpr double kDigits = 1e-10;

TEST(DiceFocal, AgreesWithPyTorch) {
  for (const std::string& one : golden().cases("dice_focal")) {
    const Tensor &z = golden().get(one + "/z"), &want = golden().get(one + "/dz");
    Tensor dz = like(z);
    const DiceFocalValue value = ref::dice_focal(form_of(one), z, golden().get(one + "/t"), &dz);
    const auto expected = golden().get(one + "/value").values<double>();
    EXPECT_NEAR(value.total, expected[0], kDigits * std::abs(expected[0])) << one;
    EXPECT_NEAR(value.dice, expected[1], kDigits * std::abs(expected[1])) << one;
    EXPECT_NEAR(value.focal, expected[2], kDigits * std::abs(expected[2])) << one;
    EXPECT_TRUE(close(dz, want, {.absolute = kDigits * largest(want)})) << one;
  }
}

TEST(DiceFocal, FormsAreThoseOfTheTable) {
  for (const std::string name : {"L0", "L1", "L2", "L3", "L4", "L5", "L6"})
    expect_same(dice_focal_form(name), form_of("dice_focal/" + name), name);
  expect_same(dice_focal_form("L3", 3.5), form_of("dice_focal/L3_given_3.5"), "L3 given 3.5");
  try {
    dice_focal_form("L7");
    FAIL() << "L7 is none";
  } catch (const Error& e) { EXPECT_EQ(e.code(), ErrorCode::configuration); }
}

// The clamped losses as float32 PyTorch computed them. It rounds p to 2^-24, which moves ln(1-p) of one pixel by up to
// 1.5e-2 of itself at the clamp, 1e-5 at z = 6; the mean over 2304 pixels keeps six digits where logits are spread by 2
// or 3 (a network in training), and five where they are spread by 6 (`wide`).
TEST(DiceFocal, AgreesWithTheFloat32OfTraining) {
  for (const std::string& one : golden().cases("parity")) {
    const DiceFocalValue value = ref::dice_focal(dice_focal_form(one.ends_with("L5") ? "L5" : "L6"),
                                                 golden().get(one + "/z"), golden().get(one + "/t"), nullptr);
    const auto expected = golden().get(one + "/value").values<double>();
    const double digits = one.ends_with("wide") ? 1e-5 : 1e-6;
    EXPECT_NEAR(value.total, expected[0], digits * expected[0]) << one;
    EXPECT_NEAR(value.dice, expected[1], digits * expected[1]) << one;
    EXPECT_NEAR(value.focal, expected[2], digits * expected[2]) << one;
  }
}

// Figures measured on the training system: 1 x 64 x 64, alpha 0.9, gamma 1, 60 positive pixels, float32.
TEST(DiceFocal, SaturatedFiguresOfTheClampedLoss) {
  const auto run = [](double logit, int64_t positives) {
    Tensor z({1, 64, 64, 1}, DType::f64), t({1, 64, 64, 1}, DType::f64), dz = like(z);
    for (double& value : z.values<double>()) value = logit;
    for (int64_t i = 0; i < positives; ++i) t.values<double>()[static_cast<size_t>(i)] = 1;
    const DiceFocalValue value = ref::dice_focal(dice_focal_form("L6"), z, t, &dz);
    if (std::abs(logit) > 14) { EXPECT_EQ(largest(dz), 0) << "the clamp lets nothing through"; }
    return value;
  };
  const auto expect = [](const DiceFocalValue& value, double focal, double dice) {  // six figures were written down
    EXPECT_NEAR(value.focal, focal, 5e-6 * focal);
    EXPECT_NEAR(value.dice, dice, 5e-6 * dice);
  };
  expect(run(1e4, 60), 1.36001, 0.971126);
  expect(run(-1e4, 60), 0.182138, 1);
  expect(run(-1e4, 4096), 12.4339, 1);
  EXPECT_NEAR(run(0, 0).focal, 0.0346574, 5e-7);
  EXPECT_NEAR(run(-1e4, 0).focal, 1.0e-13, 5e-15);
  EXPECT_NEAR(run(-1e4, 0).dice, 0, 1e-300);
}

TEST(DiceFocal, GradientIsTheDifferenceQuotient) {
  // Curvature: step^2 / 6 of the third derivative, 2e-9 of values near 1; rounding: 2^-53 / step = 1e-12 of the loss.
  constexpr double kStep = 1e-4, kTolerance = 1e-7;
  for (const std::string& one : golden().cases("dice_focal")) {
    if (form_of(one).clamp) continue;  // has kinks; checked against autograd alone
    const DiceFocal form = form_of(one);
    Tensor z = golden().get(one + "/z").to(DType::f64), dz = like(z), numeric = like(z);
    const Tensor& t = golden().get(one + "/t");
    ref::dice_focal(form, z, t, &dz);
    for (size_t i = 0; i < z.values<double>().size(); ++i) {
      double& value = z.values<double>()[i];
      const double before = value;
      value = before + kStep;
      const double above = ref::dice_focal(form, z, t, nullptr).total;
      value = before - kStep;
      const double below = ref::dice_focal(form, z, t, nullptr).total;
      value = before;
      numeric.values<double>()[i] = (above - below) / (2 * kStep);
    }
    EXPECT_TRUE(close(dz, numeric, {.absolute = kTolerance * largest(numeric)})) << one;
  }
}

TEST(DiceFocal, EveryConfidentlyWrongPixelTeachesUnlessClamped) {
  for (const double size : {20.0, 100.0, 1e4, 3.4e38})
    for (const bool clamped : {false, true}) {
      DiceFocal form = dice_focal_form("L6");
      form.clamp = clamped;
      Tensor z({1, 2, 2, 1}, DType::f64), t({1, 2, 2, 1}, DType::f64), dz = like(z);
      for (size_t i = 0; i < 4; ++i) {
        t.values<double>()[i] = static_cast<double>(i % 2);
        z.values<double>()[i] = i % 2 == 1 ? -size : size;
      }
      const DiceFocalValue value = ref::dice_focal(form, z, t, &dz);
      EXPECT_TRUE(std::isfinite(value.total));
      for (size_t i = 0; i < 4; ++i) {
        const double gradient = dz.values<double>()[i];
        if (clamped) {
          EXPECT_LT(std::abs(gradient), 1e-8);
        } else {
          EXPECT_GT(i % 2 == 1 ? -gradient : gradient, 0.02) << size;  // alpha / 4 pixels
        }
      }
    }
}

TEST(CrossEntropy, AgreesWithPyTorch) {
  for (const std::string& one : golden().cases("cross_entropy")) {
    const Tensor &z = golden().get(one + "/z"), &want = golden().get(one + "/dz");
    CrossEntropy form{.ignore_index = static_cast<int32_t>(golden().get(one + "/ignore").values<double>()[0])};
    for (const double weight : golden().get(one + "/weights").values<double>())
      form.class_weights.push_back(static_cast<float>(weight));
    Tensor dz = like(z);
    const CrossEntropyValue value = ref::cross_entropy(form, z, as_labels(golden().get(one + "/labels")), &dz);
    const double expected = golden().get(one + "/value").values<double>()[0];
    EXPECT_NEAR(value.loss, expected, 1e-13 * expected) << one;
    EXPECT_EQ(value.invalid, 0) << one;
    EXPECT_TRUE(close(dz, want, {.absolute = 1e-13 * largest(want)})) << one;
  }
}

TEST(CrossEntropy, NothingToLearnFromIsZeroAndBadLabelsAreCounted) {
  Tensor z({1, 1, 3, 2}, DType::f64), labels({1, 1, 3, 1}, DType::i32), dz = like(z);
  for (size_t i = 0; i < 3; ++i) labels.values<int32_t>()[i] = 255;
  CrossEntropyValue value = ref::cross_entropy({.ignore_index = 255}, z, labels, &dz);
  EXPECT_EQ(value.loss, 0);
  EXPECT_EQ(value.invalid, 0);
  EXPECT_EQ(largest(dz), 0);
  labels.values<int32_t>()[1] = 2;
  labels.values<int32_t>()[2] = 1;
  value = ref::cross_entropy({.ignore_index = 255}, z, labels, &dz);
  EXPECT_EQ(value.invalid, 1);
  EXPECT_NEAR(value.loss, std::log(2.0), 1e-15);
}

// The case's options, in the order of SoftDice, and its cross-entropy's.
SoftDice soft_form_of(const std::string& one) {
  const auto options = golden().get(one + "/form").values<double>();
  SoftDice form{.dice_weight = options[0],
                .entropy_weight = options[1],
                .first_class = static_cast<int32_t>(options[2]),
                .over_batch = options[3] != 0,
                .classes_together = options[4] != 0,
                .eps = options[5]};
  form.entropy.ignore_index = static_cast<int32_t>(golden().get(one + "/ignore").values<double>()[0]);
  for (const double weight : golden().get(one + "/weights").values<double>())
    form.entropy.class_weights.push_back(static_cast<float>(weight));
  return form;
}

TEST(SoftDice, AgreesWithPyTorch) {
  for (const std::string& one : golden().cases("soft_dice")) {
    const Tensor &z = golden().get(one + "/z"), &want = golden().get(one + "/dz");
    Tensor dz = like(z);
    const SoftDiceValue value =
        ref::soft_dice(soft_form_of(one), z, as_labels(golden().get(one + "/labels")), &dz);
    const auto expected = golden().get(one + "/value").values<double>();
    EXPECT_NEAR(value.total, expected[0], kDigits * std::abs(expected[0])) << one;
    EXPECT_NEAR(value.dice, expected[1], kDigits * std::abs(expected[1])) << one;
    EXPECT_NEAR(value.entropy, expected[2], kDigits * std::abs(expected[2])) << one;
    EXPECT_EQ(value.invalid, 0) << one;
    EXPECT_TRUE(close(dz, want, {.absolute = kDigits * largest(want)})) << one;
  }
}

TEST(SoftDice, FormsAreThoseOfTheTable) {
  for (const std::string name : {"L0", "L0_class_mean", "soft_dice", "foreground_dice"}) {
    const SoftDice a = soft_dice_form(name), b = soft_form_of("soft_dice/" + name);
    EXPECT_EQ(a.dice_weight, b.dice_weight) << name;
    EXPECT_EQ(a.entropy_weight, b.entropy_weight) << name;
    EXPECT_EQ(a.first_class, b.first_class) << name;
    EXPECT_EQ(a.over_batch, b.over_batch) << name;
    EXPECT_EQ(a.classes_together, b.classes_together) << name;
    EXPECT_EQ(a.eps, b.eps) << name;
  }
  try {
    soft_dice_form("L1");
    FAIL() << "L1 has one channel";
  } catch (const Error& e) { EXPECT_EQ(e.code(), ErrorCode::configuration); }
}

TEST(SoftDice, GradientIsTheDifferenceQuotient) {
  constexpr double kStep = 1e-4, kTolerance = 1e-7;  // as above
  for (const std::string& one : golden().cases("soft_dice")) {
    const SoftDice form = soft_form_of(one);
    Tensor z = golden().get(one + "/z").to(DType::f64), dz = like(z), numeric = like(z);
    const Tensor labels = as_labels(golden().get(one + "/labels"));
    ref::soft_dice(form, z, labels, &dz);
    for (size_t i = 0; i < z.values<double>().size(); ++i) {
      double& value = z.values<double>()[i];
      const double before = value;
      value = before + kStep;
      const double above = ref::soft_dice(form, z, labels, nullptr).total;
      value = before - kStep;
      const double below = ref::soft_dice(form, z, labels, nullptr).total;
      value = before;
      numeric.values<double>()[i] = (above - below) / (2 * kStep);
    }
    EXPECT_TRUE(close(dz, numeric, {.absolute = kTolerance * largest(numeric)})) << one;
  }
}

// With two classes the softmax is the sigmoid of the logits' difference, and the Dice of the foreground that of one
// channel.
TEST(SoftDice, OfTwoClassesIsTheDiceOfOneChannel) {
  const Shape s{2, 4, 5, 1};
  const Tensor difference = cases::random_values(s, 1), random = cases::random_values(s, 2);
  Tensor z({2, 4, 5, 2}, DType::f64), t(s, DType::f64), labels(s, DType::i32), dz2 = like(z), dz1 = like(t);
  for (size_t i = 0; i < 40; ++i) {
    z.values<double>()[2 * i] = 0.25;
    z.values<double>()[2 * i + 1] = 0.25 + difference.values<double>()[i];
    labels.values<int32_t>()[i] = random.values<double>()[i] > 0.4;
    t.values<double>()[i] = labels.values<int32_t>()[i];
  }
  for (const bool over_batch : {false, true}) {
    const SoftDiceValue two =
        ref::soft_dice({.entropy_weight = 0, .first_class = 1, .over_batch = over_batch}, z, labels, &dz2);
    const DiceFocalValue one = ref::dice_focal({.focal_weight = 0, .dice_over_batch = over_batch}, difference, t, &dz1);
    EXPECT_NEAR(two.dice, one.dice, 1e-14);
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_NEAR(dz2.values<double>()[2 * i + 1], dz1.values<double>()[i], 1e-15);
      EXPECT_NEAR(dz2.values<double>()[2 * i], -dz1.values<double>()[i], 1e-15);
    }
  }
}

}  // namespace
}  // namespace furrow
