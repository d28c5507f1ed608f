// Losses, dropout and optimiser steps of the Backend page on the CUDA kernels, held against `ref`: with every tensor in
// the host's memory, which is the device's on the emulator, and on a device apart.
#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/device_under_test.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

class Devices : public ::testing::Test {
 protected:
  // On the device under test, then on one whose memory is not the host's.
  void on_each(const std::function<void(Backend&)>& body) {
    const DeviceKind kind = testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
    const auto backend = make_backend({kind, 0}, nullptr, {.precision = Precision::fp32});
    in_every_schedule([&] { body(*backend); });
    SCOPED_TRACE("a device apart");
    CudaBackend apart(std::make_unique<SeparateRuntime>(), separate_kernels(), Precision::fp32);
    body(apart);
  }
  void TearDown() override { EXPECT_EQ(SeparateRuntime::alive(), 0) << "a device leaks"; }
  RefBackend ref_{nullptr};
};

Tensor poisoned(const Shape& shape, DType type) {
  Tensor t(shape, DType::f64);
  for (double& value : t.values<double>()) value = NAN;
  return t.to(type);
}

// Sums are float64 on both sides; a term carries the rounding of float32 arithmetic, some ten operations of 2^-24.
constexpr double kTerms = 1e-6;

TEST_F(Devices, DiceFocal) {
  const Shape shape{2, 9, 7, 1};
  Tensor z = random_values(shape, 1), t = random_values(shape, 2);
  for (double& value : z.values<double>()) value *= 8;
  for (double& value : t.values<double>()) value = value > 0.6;
  for (const char* name : {"L0", "L1", "L6"}) {
    const DiceFocal form = dice_focal_form(name);
    Tensor want_dz(shape, DType::f64);
    const DiceFocalValue want = ref_.dice_focal(form, z, t, &want_dz);
    on_each([&](Backend& backend) {
      Tensor dz = poisoned(shape, DType::f32);
      const Tensor narrow = z.to(DType::f32), targets = t.to(DType::f32);
      const DiceFocalValue value = backend.dice_focal(form, narrow, targets, &dz);
      EXPECT_NEAR(value.total, want.total, kTerms * want.total) << name;
      EXPECT_NEAR(value.dice, want.dice, kTerms * want.dice) << name;
      EXPECT_NEAR(value.focal, want.focal, kTerms * want.focal) << name;
      EXPECT_TRUE(close(dz, want_dz, {.absolute = kTerms * largest(want_dz)})) << name;
      EXPECT_EQ(backend.dice_focal(form, narrow, targets, nullptr).total, value.total) << name << ": value alone";
    });
  }
}

TEST_F(Devices, CrossEntropy) {
  const Shape shape{2, 5, 7, 4};
  Tensor z = random_values(shape, 3), labels({2, 5, 7, 1}, DType::i32);
  for (double& value : z.values<double>()) value *= 5;
  for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)
    labels.values<int32_t>()[i] = i % 11 == 0 ? 255 : i % 13 == 0 ? 9 : static_cast<int32_t>(i * 7 % 4);
  for (const bool weighted : {false, true}) {
    CrossEntropy form{.ignore_index = 255};
    if (weighted) form.class_weights = {0.5f, 2, 1, 3};
    Tensor want_dz(shape, DType::f64);
    const CrossEntropyValue want = ref_.cross_entropy(form, z, labels, &want_dz);
    EXPECT_GT(want.invalid, 0);
    on_each([&](Backend& backend) {
      Tensor dz = poisoned(shape, DType::f32);
      const CrossEntropyValue value = backend.cross_entropy(form, z.to(DType::f32), labels, &dz);
      EXPECT_NEAR(value.loss, want.loss, kTerms * want.loss);
      EXPECT_EQ(value.weight, want.weight);
      EXPECT_EQ(value.invalid, want.invalid);
      EXPECT_TRUE(close(dz, want_dz, {.absolute = kTerms * largest(want_dz)}));
    });
  }
}

TEST_F(Devices, SoftDice) {
  const Shape shape{2, 5, 7, 4};
  Tensor z = random_values(shape, 3), labels({2, 5, 7, 1}, DType::i32);
  for (double& value : z.values<double>()) value *= 5;
  for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)
    labels.values<int32_t>()[i] = i % 11 == 0 ? 255 : i % 13 == 0 ? 9 : static_cast<int32_t>(i * 7 % 4);
  for (const char* name : {"L0", "L0_class_mean", "soft_dice", "foreground_dice"}) {
    SoftDice form = soft_dice_form(name);
    form.entropy.ignore_index = 255;
    if (form.first_class == 1) form.entropy.class_weights = {0.5f, 2, 1, 3};
    Tensor want_dz(shape, DType::f64);
    const SoftDiceValue want = ref_.soft_dice(form, z, labels, &want_dz);
    EXPECT_GT(want.invalid, 0);
    on_each([&](Backend& backend) {
      Tensor dz = poisoned(shape, DType::f32);
      const Tensor narrow = z.to(DType::f32);
      const SoftDiceValue value = backend.soft_dice(form, narrow, labels, &dz);
      EXPECT_NEAR(value.total, want.total, kTerms * want.total) << name;
      EXPECT_NEAR(value.dice, want.dice, kTerms * want.dice) << name;
      EXPECT_NEAR(value.entropy, want.entropy, kTerms * want.entropy) << name;
      EXPECT_EQ(value.weight, want.weight) << name;
      EXPECT_EQ(value.invalid, want.invalid) << name;
      EXPECT_TRUE(close(dz, want_dz, {.absolute = kTerms * largest(want_dz)})) << name;
      EXPECT_EQ(backend.soft_dice(form, narrow, labels, nullptr).total, value.total) << name << ": value alone";
    });
  }
}

TEST_F(Devices, SquaredError) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, {2, 9, 7, 3}, {1, 91, 61, 4}}) {
    const Tensor z = random_values(shape, 4), t = random_values(shape, 5);
    Tensor want_dz(shape, DType::f64);
    const double want = ref_.squared_error(z, t, &want_dz);
    on_each([&](Backend& backend) {
      Tensor dz = poisoned(shape, DType::f32);
      const Tensor narrow = z.to(DType::f32), targets = t.to(DType::f32);
      EXPECT_NEAR(backend.squared_error(narrow, targets, &dz), want, kTerms * want);
      EXPECT_TRUE(close(dz, want_dz, {.absolute = 2 * 0x1p-24 * largest(want_dz)}));  // a difference and a product
      EXPECT_NEAR(backend.squared_error(narrow, targets, nullptr), want, kTerms * want);
    });
  }
}

TEST_F(Devices, DropoutAndItsGradient) {
  const Shape shape{2, 5, 3, 7};
  const Tensor x = random_values(shape, 6), before = random_values(shape, 7);
  const Dropout draw{.p = 0.3, .seed = 11, .stream = 12, .first = 13};
  Tensor want(shape, DType::f64), want_added = before.to(DType::f64);
  ref_.dropout(x, draw, want, Grad::overwrite);
  ref_.dropout(x, draw, want_added, Grad::accumulate);
  on_each([&](Backend& backend) {
    Tensor y = poisoned(shape, DType::f32), added = before.to(DType::f32);
    backend.dropout(x.to(DType::f32), draw, y, Grad::overwrite);
    backend.dropout(x.to(DType::f32), draw, added, Grad::accumulate);
    EXPECT_TRUE(close(y, want, {.relative = 0x1p-23}));  // 1/(1-p) rounded, one product
    EXPECT_TRUE(close(added, want_added, {.absolute = 3 * 0x1p-23}));
  });
}

TEST_F(Devices, ZeroAndScale) {
  const Tensor values = random_values({2, 3, 5, 7}, 8);
  on_each([&](Backend& backend) {
    Tensor t = values.to(DType::f32), want = values.to(DType::f64);
    backend.scale(t, 0.25);
    for (double& value : want.values<double>()) value *= 0.25;
    EXPECT_TRUE(close(t, want, {}));
    backend.zero(t);
    EXPECT_EQ(largest(t), 0);
  });
}

// optim_step is its two halves, to the bit, with a NaN in the second gradient.
TEST_F(Devices, OptimiserStepsInOneCallAreThoseOfTwo) {
  const Shape flat{1, 1, 1, 1000};
  const OptimSegment segments[] = {{0, 1, 0.1f}, {333, 0.5f, 0}, {700, 0, 0.3f}};
  const LossScaling scaling{.interval = 2};
  for (const std::variant<AdamW, Sgd>& optimiser :
       {std::variant<AdamW, Sgd>(AdamW{}), {Sgd{.momentum = 0.9, .nesterov = true}}, {Sgd{}}}) {
    const auto* sgd = std::get_if<Sgd>(&optimiser);
    const auto check = [&](Backend& backend) {
      const DType type = backend.dtype();
      Tensor p[2], m[2], v[2];
      OptimState state[2] = {{.loss_scale = 4}, {.loss_scale = 4}};
      for (int i = 0; i < 2; ++i) {
        p[i] = random_values(flat, 9).to(type);
        if (sgd == nullptr || sgd->momentum != 0) m[i] = Tensor(flat, type);
        if (sgd == nullptr) v[i] = Tensor(flat, type);
      }
      for (int step = 0; step < 4; ++step) {
        Tensor wide = random_values(flat, static_cast<uint64_t>(10 + step));
        if (step == 1) wide.values<double>()[777] = NAN;
        const Tensor gradient = wide.to(type);
        const double lr = 1e-2 / (1 + step);
        backend.optim_step(
            {.optimiser = optimiser, .lr = lr, .segments = segments, .max_norm = 1, .scaling = scaling}, gradient,
            state[0], m[0], v[0], p[0]);
        backend.optim_prepare(gradient, 1, scaling, state[1]);
        if (sgd == nullptr)
          backend.adamw(AdamW{}, lr, segments, state[1], gradient, m[1], v[1], p[1]);
        else
          backend.sgd(*sgd, lr, segments, state[1], gradient, m[1], p[1]);
        EXPECT_EQ(state[0].skip, step == 1);
        EXPECT_EQ(state[0].loss_scale, state[1].loss_scale);
        EXPECT_TRUE(std::isnan(state[0].factor) ? step == 1 : state[0].factor == state[1].factor);
        EXPECT_EQ(state[0].step, state[1].step);
        EXPECT_EQ(state[0].skipped, state[1].skipped);
        EXPECT_EQ(state[0].good_steps, state[1].good_steps);
        EXPECT_TRUE(std::isnan(state[0].norm) ? step == 1 : state[0].norm == state[1].norm);
        EXPECT_TRUE(same_bits(p[0], p[1]));
        if (!m[0].empty()) { EXPECT_TRUE(same_bits(m[0], m[1])); }
        if (!v[0].empty()) { EXPECT_TRUE(same_bits(v[0], v[1])); }
      }
      EXPECT_EQ(state[0].step, 3);
    };
    check(ref_);
    check(*make_backend({DeviceKind::cpu, 0}, nullptr));
    on_each(check);
  }
}

// Three steps with a clip, segments with their own decay and rate, and a NaN in the second gradient.
TEST_F(Devices, OptimiserSteps) {
  const Shape flat{1, 1, 1, 1000};
  const OptimSegment segments[] = {{0, 1, 0.1f}, {333, 0.5f, 0}, {700, 0, 0.3f}};
  for (const bool adam : {true, false}) {
    const auto run = [&](Backend& backend) {
      const DType type = backend.dtype();
      Tensor p = random_values(flat, 9).to(type), m(flat, type), v(flat, type);
      OptimState state;
      for (int step = 0; step < 3; ++step) {
        Tensor wide = random_values(flat, static_cast<uint64_t>(10 + step));
        if (step == 1) wide.values<double>()[777] = NAN;
        const Tensor gradient = wide.to(type);
        backend.optim_prepare(gradient, 1.0, {}, state);
        EXPECT_EQ(state.skip, step == 1);
        if (adam)
          backend.adamw({}, 1e-2, segments, state, gradient, m, v, p);
        else
          backend.sgd({.momentum = 0.9}, 1e-2, segments, state, gradient, m, p);
      }
      EXPECT_EQ(state.step, 2);
      EXPECT_EQ(state.skipped, 1);
      return p;
    };
    const Tensor want = run(ref_);
    on_each([&](Backend& backend) {
      // A parameter near 1 is rounded twice a step; the update itself is 1e-2 of it.
      EXPECT_TRUE(close(run(backend), want, {.absolute = 5e-7}));
    });
  }
}

TEST_F(Devices, RefuseOtherShapes) {
  on_each([](Backend& backend) {
    Tensor a({1, 2, 2, 1}), b({1, 2, 3, 1}), c({1, 2, 2, 2}), flat({1, 1, 1, 4}), longer({1, 1, 1, 5});
    EXPECT_THROW(backend.dice_focal({}, a, b, nullptr), Error);
    EXPECT_THROW(backend.dice_focal({}, c, c, nullptr), Error);
    EXPECT_THROW(backend.squared_error(a, b, nullptr), Error);
    EXPECT_THROW(backend.cross_entropy({}, c, Tensor({1, 2, 3, 1}, DType::i32), nullptr), Error);
    EXPECT_THROW(backend.soft_dice({}, c, Tensor({1, 2, 3, 1}, DType::i32), nullptr), Error);
    EXPECT_THROW(backend.soft_dice({.first_class = 2}, c, Tensor({1, 2, 2, 1}, DType::i32), nullptr), Error);
    EXPECT_THROW(backend.dropout(a, {}, b, Grad::overwrite), Error);
    const OptimSegment all[] = {{}};
    EXPECT_THROW(backend.adamw({}, 1, all, {}, flat, flat, flat, longer), Error);
    EXPECT_THROW(backend.sgd({.momentum = 1}, 1, all, {}, flat, longer, flat), Error);
    OptimState state;
    EXPECT_THROW(backend.optim_step({.segments = all}, flat, state, flat, flat, longer), Error);
    EXPECT_THROW(backend.optim_step({.segments = all}, flat, state, flat, longer, flat), Error);
    EXPECT_THROW(backend.optim_step({.segments = {}}, flat, state, flat, flat, flat), Error);
  });
}

}  // namespace
}  // namespace furrow::gpu
