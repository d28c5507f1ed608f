// The losses' kernels against the float64 oracle: every form, storage type and mask, and every logit up to the largest.
#include "kernels/ref/losses.h"
#include "tests/cuda/loss_test_tools.h"

namespace furrow::gpu {
namespace {

struct Targets {
  Tensor t;  // float64
  DType type = DType::u8;
  int one = 1;
  std::vector<std::byte> bytes() const {
    const auto from = t.values<double>();
    std::vector<std::byte> out(from.size() * size_of(type));
    for (size_t i = 0; i < from.size(); ++i) {
      const auto value = static_cast<float>(from[i]);
      if (type == DType::u8)
        out[i] = static_cast<std::byte>(std::lround(from[i] * one));
      else
        std::memcpy(&out[i * 4], &value, 4);
    }
    return out;
  }
};

struct Result {
  DiceFocalValue value;
  Tensor dz;
};

Result run(const DiceFocal& form, PitchedImage& z, const Targets& targets, float scale, int64_t dz_pitch) {
  const Shape& s = targets.t.shape();
  const Image in = z.image();
  PitchedImage dz(s, in.type, dz_pitch);
  DeviceArray<std::byte> target(targets.bytes()), workspace(dice_focal_workspace(s.n, s.h, s.w));
  DeviceArray<DiceFocalValue> value(1);
  DeviceArray<float> half(std::vector<float>{scale / 2});  // one half of the scale comes from device memory
  kernels().dice_focal({}, {.form = form,
                            .z = in,
                            .targets = target.data(),
                            .target_type = targets.type,
                            .target_one = targets.one,
                            .dz = dz.image(),
                            .scale = {.factor = 2, .device_factor = half.data()},
                            .value = value.data(),
                            .workspace = workspace.data()});
  return {value.values()[0], dz.values()};
}

void expect_result(const Result& got, const DiceFocal& form, const Tensor& z, const Targets& targets, float scale,
                   DType type) {
  Tensor dz(z.shape(), DType::f64);
  const DiceFocalValue want = ref::dice_focal(form, z, targets.t, &dz);
  for (double& value : dz.values<double>()) value *= scale;
  expect_value(got.value.total, want.total);
  expect_value(got.value.dice, want.dice);
  expect_value(got.value.focal, want.focal);
  Tolerance tolerance = of_largest(kBound, dz, type);
  tolerance.absolute += scale * kPixelFloor;
  EXPECT_TRUE(close(got.dz, dz, tolerance));
}

Tensor hard_targets(const Shape& s, double share) {
  Tensor t = cases::random_values(s, 5);
  for (double& value : t.values<double>()) value = value < 2 * share - 1 ? 1 : 0;
  return t;
}
Tensor soft_targets(const Shape& s) {
  Tensor t = cases::random_values(s, 6);
  for (double& value : t.values<double>()) value = static_cast<float>((value + 1) / 2);
  return t;
}

std::vector<DiceFocal> every_form() {
  std::vector<DiceFocal> forms;
  for (const char* name : {"L0", "L1", "L2", "L3", "L4", "L5", "L6"}) forms.push_back(dice_focal_form(name));
  forms.push_back(dice_focal_form("L1"));
  forms.back().double_sigmoid = true;
  forms.push_back(dice_focal_form("L5"));
  forms.back().batch_broadcast = true;
  forms.push_back(dice_focal_form("L4", 3.5));
  forms.back().gamma = 4;
  forms.push_back(dice_focal_form("L2"));
  forms.back().gamma = 1.5;
  return forms;
}

constexpr Shape kRagged{3, 71, 59, 1};  // two chunks an image, the second of 93 pixels

TEST(CudaDiceFocal, EveryForm) {
  const Tensor z = rounded_to(DType::f32, scaled(cases::random_values(kRagged, 1), 9));
  PitchedImage device(z, DType::f32, 1);
  int number = 0;
  for (const DiceFocal& form : every_form()) {
    SCOPED_TRACE("form " + std::to_string(number++));
    const Targets hard{.t = hard_targets(kRagged, 0.2)};
    expect_result(run(form, device, hard, 1, 1), form, z, hard, 1, DType::f32);
    const Targets soft{.t = soft_targets(kRagged), .type = DType::f32};
    expect_result(run(form, device, soft, 1, 1), form, z, soft, 1, DType::f32);
  }
}

TEST(CudaDiceFocal, EveryStorageInEverySchedule) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) {
      const Shape s{2, 83, 50, 1};
      const Tensor z = rounded_to(storage.type, scaled(cases::random_values(s, 2), 5));
      PitchedImage device = storage.of(z);
      const Targets targets{.t = hard_targets(s, 0.1), .one = 255};
      expect_result(run(dice_focal_form("L6"), device, targets, 512, storage.pitch(1)), dice_focal_form("L6"), z,
                    targets, 512, storage.type);
    });
  });
}

TEST(CudaDiceFocal, ValueAlone) {
  const Shape s{1, 5, 7, 1};
  const Targets targets{.t = hard_targets(s, 0.3)};
  const Tensor z = cases::random_values(s, 3);
  PitchedImage device(z, DType::f32, 1);
  DeviceArray<std::byte> target(targets.bytes()), workspace(dice_focal_workspace(1, 5, 7));
  DeviceArray<DiceFocalValue> value(1);
  kernels().dice_focal({}, {.form = dice_focal_form("L2"),
                            .z = device.image(),
                            .targets = target.data(),
                            .dz = {},
                            .scale = {},
                            .value = value.data(),
                            .workspace = workspace.data()});
  expect_value(value.values()[0].total, ref::dice_focal(dice_focal_form("L2"), z, targets.t, nullptr).total);
}

// Values 0..255 of a u8 target are weak labels.
TEST(CudaDiceFocal, ByteTargetsMayBeSoft) {
  const Shape s{2, 9, 16, 1};
  Targets targets{.t = Tensor(s, DType::f64), .one = 255};
  for (size_t i = 0; i < 288; ++i) targets.t.values<double>()[i] = static_cast<double>(i % 256) / 255;
  const Tensor z = cases::random_values(s, 4);
  PitchedImage device(z, DType::f32, 1);
  expect_result(run(dice_focal_form("L6"), device, targets, 1, 1), dice_focal_form("L6"), z, targets, 1, DType::f32);
}

// One value everywhere, against masks that leave nothing, everything or little to find.
TEST(CudaDiceFocal, EveryLogitAgainstEveryMask) {
  const Shape s{1, 3, 1389, 1};  // two chunks; two pixels of 0.03 %
  const auto mask = [&](int kind) {
    Tensor t(s, DType::f64);
    for (size_t i = 0; i < t.values<double>().size(); ++i) {
      const bool set[] = {false, true, i == 2000, i % 3333 == 500, i % 2 == 0};
      t.values<double>()[i] = set[kind] ? 1 : 0;
    }
    return t;
  };
  int cells = 0;
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const double size : {0.0, 1e-8, 1.0, 20.0, 88.7, 89.0, 100.0, 1e4, largest_of(type), smallest_of(type)})
      for (const double logit : {size, -size})
        for (int kind = 0; kind < 5; ++kind) {
          SCOPED_TRACE(type_name(type) + ", logit " + std::to_string(logit) + ", mask " + std::to_string(kind));
          Tensor z(s, DType::f64);
          for (double& value : z.values<double>()) value = rounded_to(type, logit);
          PitchedImage device(z, type, 1);
          const Targets targets{.t = mask(kind)};
          for (const DiceFocal& other : every_form()) {
            const Result got = run(other, device, targets, 1024, 1);
            expect_result(got, other, z, targets, 1024, type);
            EXPECT_TRUE(std::ranges::all_of(got.dz.values<double>(), [](double g) { return std::isfinite(g); }));
          }
          DiceFocal form = dice_focal_form("L6");
          for (const bool clamp : {false, true}) {
            if (clamp && type != DType::f32) continue;  // the same arithmetic
            form.clamp = clamp;
            const Result got = run(form, device, targets, 1024, 1);
            expect_result(got, form, z, targets, 1024, type);
            for (size_t i = 0; i < got.dz.values<double>().size(); ++i) {
              const double gradient = got.dz.values<double>()[i], t = targets.t.values<double>()[i];
              const double uphill = t == 1 ? -gradient : gradient;  // the gradient lowers z of a negative pixel
              ASSERT_TRUE(std::isfinite(gradient));
              ASSERT_GE(uphill, 0);
              const bool wrong = t == 1 ? logit <= -1 : logit >= 1;
              if (wrong && !clamp) { ASSERT_GT(uphill, 0) << "a wrong pixel that teaches nothing"; }
            }
          }
          ++cells;
        }
  EXPECT_EQ(cells, 300);
}

// -- cross-entropy ----------------------------------------------------------------------------------------------------

struct EntropyResult {
  CrossEntropyValue value;
  Tensor dz;
};

EntropyResult run(const CrossEntropy& form, PitchedImage& z, const Tensor& labels, DType label_type, float scale,
                  int64_t dz_pitch) {
  const Image in = z.image();
  const Shape s{in.n, in.h, in.w, in.c};
  PitchedImage dz(s, in.type, dz_pitch);
  DeviceArray<std::byte> label(label_bytes(labels, label_type)), workspace(cross_entropy_workspace(s.n, s.h, s.w));
  DeviceArray<CrossEntropyValue> value(1);
  std::vector<float> weights = form.class_weights;
  const bool weighted = !weights.empty();
  weights.resize(static_cast<size_t>(s.c));
  DeviceArray<float> class_weights(weights);
  kernels().cross_entropy({}, {.z = in,
                               .labels = label.data(),
                               .label_type = label_type,
                               .ignore_index = form.ignore_index,
                               .class_weights = weighted ? class_weights.data() : nullptr,
                               .dz = dz.image(),
                               .scale = {.factor = scale},
                               .value = value.data(),
                               .workspace = workspace.data()});
  return {value.values()[0], dz.values()};
}

void expect_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, const Storage& storage,
                    DType label_type) {
  constexpr float kScale = 256;
  PitchedImage device = storage.of(z);
  const EntropyResult got = run(form, device, labels, label_type, kScale, storage.pitch(z.shape().c));
  Tensor dz(z.shape(), DType::f64);
  const CrossEntropyValue want = ref::cross_entropy(form, z, labels, &dz);
  for (double& value : dz.values<double>()) value *= kScale;
  expect_value(got.value.loss, want.loss);
  expect_value(got.value.weight, want.weight);
  EXPECT_EQ(got.value.invalid, want.invalid);
  EXPECT_TRUE(close(got.dz, dz, of_largest(kBound, dz, storage.type)));
}

TEST(CudaCrossEntropy, EveryStorageInEverySchedule) {
  in_every_schedule([] {
    for_each_storage([](const Storage& storage) {
      const Shape s{2, 41, 51, 3};  // two chunks over the batch
      const Tensor z = rounded_to(storage.type, scaled(cases::random_values(s, 7), 6));
      expect_entropy({.ignore_index = 255, .class_weights = {0.5f, 1, 2.5f}}, z, random_labels(s, 3, 255), storage,
                     DType::u8);
    });
  });
}

TEST(CudaCrossEntropy, ManyClassesAndLabelsOfThirtyTwoBits) {
  for (const int classes : {1, 2, 19, 33}) {
    SCOPED_TRACE(classes);
    const Shape s{1, 13, 23, classes};
    const Tensor z = rounded_to(DType::f32, scaled(cases::random_values(s, 8), 4));
    expect_entropy({}, z, random_labels(s, classes, -100), {DType::f32, classes != 19}, DType::i32);
  }
}

TEST(CudaCrossEntropy, NothingCountsAndBadLabels) {
  const Shape s{1, 3, 5, 4};
  const Tensor z = rounded_to(DType::f32, cases::random_values(s, 8));
  Tensor labels({1, 3, 5, 1}, DType::i32);
  for (int32_t& y : labels.values<int32_t>()) y = 255;
  expect_entropy({.ignore_index = 255}, z, labels, {DType::f32, true}, DType::u8);
  labels.values<int32_t>()[3] = 4;
  labels.values<int32_t>()[4] = 3;
  labels.values<int32_t>()[5] = -1;
  expect_entropy({.ignore_index = 255}, z, labels, {DType::f32, false}, DType::i32);
}

// One channel at the logit and one at its negative, the others at 0; labels on each of them.
TEST(CudaCrossEntropy, EveryLogit) {
  const Shape s{1, 3, 4, 4};
  Tensor labels({1, 3, 4, 1}, DType::i32);
  for (size_t i = 0; i < 12; ++i) labels.values<int32_t>()[i] = static_cast<int32_t>(i % 4);
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const double size : {0.0, 1e-8, 1.0, 20.0, 88.7, 89.0, 100.0, 1e4, largest_of(type), smallest_of(type)})
      for (const int right : {0, 1}) {  // every label; labels on the largest logit alone
        SCOPED_TRACE(type_name(type) + ", logit " + std::to_string(size));
        Tensor z(s, DType::f64);
        for (size_t i = 0; i < 12; ++i) {
          const size_t top = right == 1 ? i % 4 : 1;
          z.values<double>()[i * 4 + top] = rounded_to(type, size);
          z.values<double>()[i * 4 + (top + 1) % 4] = rounded_to(type, -size);
        }
        expect_entropy({}, z, labels, {type, true}, DType::u8);
      }
}

}  // namespace
}  // namespace furrow::gpu
