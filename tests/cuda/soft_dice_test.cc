// The soft-Dice kernels against the float64 oracle: every form, storage type and number of classes, and every logit.
#include "kernels/ref/losses.h"
#include "tests/cuda/loss_test_tools.h"

namespace furrow::gpu {
namespace {

struct Result {
  SoftDiceValue value;
  Tensor dz;  // empty where it was not asked for
};

Result run(const SoftDice& form, const Tensor& z, const Tensor& labels, const Storage& storage, DType label_type,
           float scale, bool with_gradient = true) {
  const Shape& s = z.shape();
  PitchedImage in = storage.of(z), dz = storage.empty(s);
  DeviceArray<std::byte> label(label_bytes(labels, label_type)), workspace(soft_dice_workspace(s.n, s.h, s.w, s.c));
  DeviceArray<SoftDiceValue> value(1);
  std::vector<float> weights = form.entropy.class_weights;
  weights.resize(static_cast<size_t>(s.c));
  DeviceArray<float> class_weights(weights), half(std::vector<float>{scale / 2});
  kernels().soft_dice({}, {.form = form,
                           .z = in.image(),
                           .labels = label.data(),
                           .label_type = label_type,
                           .class_weights = form.entropy.class_weights.empty() ? nullptr : class_weights.data(),
                           .dz = with_gradient ? dz.image() : Image{},
                           .scale = {.factor = 2, .device_factor = half.data()},
                           .value = value.data(),
                           .workspace = workspace.data()});
  return {value.values()[0], with_gradient ? dz.values() : Tensor()};
}

void expect_soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, const Storage& storage,
                      DType label_type) {
  constexpr float kScale = 256;
  const Result got = run(form, z, labels, storage, label_type, kScale);
  Tensor dz(z.shape(), DType::f64);
  const SoftDiceValue want = ref::soft_dice(form, z, labels, &dz);
  for (double& value : dz.values<double>()) value *= kScale;
  expect_value(got.value.total, want.total);
  expect_value(got.value.dice, want.dice);
  expect_value(got.value.entropy, want.entropy);
  expect_value(got.value.weight, want.weight);
  EXPECT_EQ(got.value.invalid, want.invalid);
  Tolerance tolerance = of_largest(kBound, dz, storage.type);
  tolerance.absolute += kScale * kPixelFloor;
  EXPECT_TRUE(close(got.dz, dz, tolerance));
}

std::vector<SoftDice> every_form() {
  std::vector<SoftDice> forms;
  for (const char* name : {"L0", "L0_class_mean", "soft_dice", "foreground_dice"})
    forms.push_back(soft_dice_form(name));
  for (SoftDice form : {soft_dice_form("foreground_dice"), soft_dice_form("L0")}) {
    form.over_batch = false;
    form.eps = 0.5;
    form.entropy.ignore_index = 255;
    forms.push_back(form);
  }
  return forms;
}

TEST(CudaSoftDice, EveryFormAndNumberOfClasses) {
  int number = 0;
  for (const SoftDice& form : every_form())
    for (const int classes : {2, 3, 4, 5, 19}) {  // four are summed in one pass
      SCOPED_TRACE("form " + std::to_string(number / 5) + ", classes " + std::to_string(classes));
      const Shape s{3, 13, 23, classes};
      const Tensor z = rounded_to(DType::f32, scaled(cases::random_values(s, 8), 4));
      expect_soft_dice(form, z, random_labels(s, classes, 255), {DType::f32, ++number % 2 == 0},
                       number % 3 == 0 ? DType::i32 : DType::u8);
    }
}

TEST(CudaSoftDice, EveryStorageInEverySchedule) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) {
      const Shape s{2, 71, 59, 3};  // two chunks an image, the second of 93 pixels
      const Tensor z = rounded_to(storage.type, scaled(cases::random_values(s, 7), 6));
      SoftDice form = soft_dice_form("foreground_dice");
      form.over_batch = false;
      form.entropy = {.ignore_index = 255, .class_weights = {0.5f, 1, 2.5f}};
      expect_soft_dice(form, z, random_labels(s, 3, 255), storage, DType::u8);
    });
  });
}

TEST(CudaSoftDice, ValueAlone) {
  const Shape s{1, 5, 7, 2};
  const Tensor z = rounded_to(DType::f32, cases::random_values(s, 3)), labels = random_labels(s, 2, 0);
  const Result got = run(soft_dice_form("L0"), z, labels, {DType::f32, true}, DType::u8, 1, false);
  expect_value(got.value.total, ref::soft_dice(soft_dice_form("L0"), z, labels, nullptr).total);
}

TEST(CudaSoftDice, OneClassIsCertain) {
  const Shape s{1, 3, 5, 1};
  const Tensor z = rounded_to(DType::f32, cases::random_values(s, 3));
  expect_soft_dice(soft_dice_form("L0"), z, random_labels(s, 1, -100), {DType::f32, true}, DType::i32);
}

TEST(CudaSoftDice, NothingCountsAndBadLabels) {
  const Shape s{2, 3, 5, 4};
  Tensor z = rounded_to(DType::f32, cases::random_values(s, 8));
  Tensor labels({2, 3, 5, 1}, DType::i32);
  for (int32_t& y : labels.values<int32_t>()) y = 255;
  for (SoftDice form : every_form()) {
    form.entropy.ignore_index = 255;
    expect_soft_dice(form, z, labels, {DType::f32, true}, DType::u8);
  }
  labels.values<int32_t>()[3] = 4;
  labels.values<int32_t>()[4] = 3;
  labels.values<int32_t>()[5] = -1;
  for (SoftDice form : every_form()) {
    form.entropy.ignore_index = 255;
    expect_soft_dice(form, z, labels, {DType::f32, false}, DType::i32);
  }
}

// A NaN of a pixel that counts reaches the loss and that pixel's gradient; one that does not count reaches nothing.
TEST(CudaSoftDice, NaNIsSeenWhereItCounts) {
  const Shape s{1, 2, 3, 3};
  Tensor z = rounded_to(DType::f32, cases::random_values(s, 8));
  Tensor labels({1, 2, 3, 1}, DType::i32);
  SoftDice form = soft_dice_form("L0");
  form.entropy.ignore_index = 255;
  labels.values<int32_t>()[4] = 255;
  z.values<double>()[4 * 3 + 1] = NAN;
  Result got = run(form, z, labels, {DType::f32, true}, DType::u8, 1);
  EXPECT_TRUE(std::isfinite(got.value.total));
  for (const double value : got.dz.values<double>()) EXPECT_TRUE(std::isfinite(value));
  z.values<double>()[3 + 2] = NAN;
  got = run(form, z, labels, {DType::f32, true}, DType::u8, 1);
  EXPECT_TRUE(std::isnan(got.value.total));
  EXPECT_TRUE(std::isnan(got.dz.values<double>()[3 + 2]));
}

// One channel at the logit and one at its negative, the others at 0; labels on each of them.
TEST(CudaSoftDice, EveryLogit) {
  const Shape s{1, 3, 4, 4};
  Tensor labels({1, 3, 4, 1}, DType::i32);
  for (size_t i = 0; i < 12; ++i) labels.values<int32_t>()[i] = static_cast<int32_t>(i % 4);
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const double size : {0.0, 1e-8, 1.0, 20.0, 88.7, 89.0, 100.0, 1e4, largest_of(type), smallest_of(type)})
      for (const int right : {0, 1})  // every label; labels on the largest logit alone
        for (const char* name : {"L0", "soft_dice", "foreground_dice"}) {
          SCOPED_TRACE(type_name(type) + ", logit " + std::to_string(size) + ", " + name);
          Tensor z(s, DType::f64);
          for (size_t i = 0; i < 12; ++i) {
            const size_t top = right == 1 ? i % 4 : 1;
            z.values<double>()[i * 4 + top] = rounded_to(type, size);
            z.values<double>()[i * 4 + (top + 1) % 4] = rounded_to(type, -size);
          }
          expect_soft_dice(soft_dice_form(name), z, labels, {type, true}, DType::u8);
        }
}

}  // namespace
}  // namespace furrow::gpu
