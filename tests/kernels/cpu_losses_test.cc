// Losses and optimiser steps of device `cpu` against their float64 oracle: every instruction set this CPU has, and the
// same bits for any number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/losses.h"
#include "kernels/ref/optim.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {
namespace {

using cases::random_values;

// body(backend, place) for every instruction set, on one thread and on others. `body` returns what must have the same
// bits on all of them.
void on_every_isa(const std::function<Tensor(cpu::CpuBackend&, const std::string&)>& body) {
  for (const cpu::Isa isa : cpu::supported_isas()) {
    Tensor first;
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      cpu::CpuBackend backend(isa, &pool);
      const std::string place = std::string(cpu::name(isa)) + ", " + std::to_string(threads) + " threads";
      const Tensor bits = body(backend, place);
      if (threads == 1) first = bits;
      EXPECT_TRUE(same_bits(bits, first)) << place;
    }
  }
}

// `dz` with the value behind it, so that both are held to the same bits.
Tensor with_value(const Tensor& dz, std::initializer_list<double> values) {
  Tensor all({1, 1, 1, dz.shape().elements() + static_cast<int64_t>(values.size())}, DType::f64);
  const Tensor wide = dz.to(DType::f64);
  std::ranges::copy(wide.values<double>(), all.values<double>().begin());
  std::ranges::copy(values, all.values<double>().end() - static_cast<std::ptrdiff_t>(values.size()));
  return all;
}

Tensor scaled(Tensor t, double factor) {
  for (double& v : t.values<double>()) v = static_cast<float>(v * factor);
  return t;
}

std::vector<std::pair<std::string, DiceFocal>> forms() {
  std::vector<std::pair<std::string, DiceFocal>> all;
  for (const std::string name : {"L0", "L1", "L2", "L3", "L4", "L5", "L6"})
    all.emplace_back(name, dice_focal_form(name));
  for (const double gamma : {0.0, 0.5, 1.0, 2.0, 3.5}) {
    DiceFocal form = dice_focal_form("L6");
    form.gamma = gamma, form.clamp = false;
    all.emplace_back("gamma " + std::to_string(gamma), form);
    form.double_sigmoid = true, form.batch_broadcast = true, form.dice_map_weight = 1.5;
    all.emplace_back("twice, broadcast, gamma " + std::to_string(gamma), form);
    form.clamp = true, form.dice_over_batch = true;
    all.emplace_back("everything, gamma " + std::to_string(gamma), form);
  }
  return all;
}

// Per pixel some ten roundings of 2^-24, of terms that do not cancel: exp and log1p are good to two units. Their sums
// run in double. A power is exp(gamma * ln p), whose exponent of up to 87 is rounded: 87 * 2^-24 of the result, which
// then is 1e-38; where it matters, below 10, it is 6e-7.
constexpr double kPixelDigits = 1e-6;

// |got - want| in units in the last place of a float32 `want`, which is normal; of no number, as many as there are.
double units(float got, double want) {
  if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
  return std::abs(static_cast<double>(got) - want) / std::ldexp(1.0, std::ilogb(want) - 23);
}

TEST(CpuLosses, ExponentialsAndLogarithmsKeepTheirDigits) {
  constexpr size_t kCount = 1 << 16;
  std::vector<float> z(kCount), e(kCount), of(4 * kCount);
  const Tensor random = random_values({1, 1, 1, kCount}, 1);
  for (size_t i = 0; i < kCount; ++i) {  // everywhere up to 87, half of them below 1 and down to 1e-9
    const double value = random.values<double>()[i];
    z[i] = static_cast<float>(i % 2 == 0 ? 87 * value : std::copysign(std::exp(-21 * std::abs(value)), value));
  }
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::LossKernels& kernels = cpu::loss_kernels(isa);
    std::vector<float> size(z);
    for (float& v : size) v = std::abs(v);
    kernels.exponentials(size.data(), kCount, e.data());
    kernels.probabilities(z.data(), kCount, of.data());
    double of_exp = 0, of_probability[4] = {};
    for (size_t i = 0; i < kCount; ++i) {
      const auto x = static_cast<double>(z[i]);
      const double want[] = {1 / (1 + std::exp(-x)), 1 / (1 + std::exp(x)),
                             std::log1p(std::exp(-std::abs(x))) + std::max(-x, 0.0),
                             std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0)};
      of_exp = std::max(of_exp, units(e[i], std::exp(-std::abs(x))));
      for (size_t k = 0; k < 4; ++k)
        of_probability[k] = std::max(of_probability[k], units(of[k * kCount + i], want[k]));
    }
    EXPECT_LE(of_exp, 2) << cpu::name(isa);
    for (const double most : of_probability) EXPECT_LE(most, 4) << cpu::name(isa);
    const float ends[16] = {
        0, 87, 87.5f, 1e4f, 3.4e38f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()};
    kernels.exponentials(ends, 16, e.data());
    EXPECT_EQ(e[0], 1);
    EXPECT_GT(e[1], 0);
    for (size_t i = 2; i < 6; ++i) EXPECT_EQ(e[i], 0) << ends[i];
    EXPECT_TRUE(std::isnan(e[6]));
  }
}

TEST(CpuLosses, DiceFocalIsCloseToFloat64) {
  for (const Shape& s : {Shape{1, 1, 1, 1}, {2, 7, 9, 1}, {3, 65, 67, 1}})
    for (const double spread : {1.0, 20.0})
      for (const auto& [name, form] : forms()) {
        const Tensor z = scaled(random_values(s, 1), spread);
        Tensor t = random_values(s, 2), want_dz(s, DType::f64);
        for (double& v : t.values<double>()) v = v < -0.3 ? 0 : v > 0.5 ? 1 : static_cast<float>(std::abs(v));
        const DiceFocalValue want = ref::dice_focal(form, z, t, &want_dz);
        const Tensor z32 = z.to(DType::f32), t32 = t.to(DType::f32);
        const std::string what = name + " " + to_string(s) + " spread " + std::to_string(spread) + " ";
        on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
          Tensor dz = random_values(s, 3, DType::f32);
          const DiceFocalValue value = on.dice_focal(form, z32, t32, &dz);
          EXPECT_NEAR(value.total, want.total, kPixelDigits * want.total) << what << place;
          EXPECT_NEAR(value.dice, want.dice, kPixelDigits * want.dice) << what << place;
          EXPECT_NEAR(value.focal, want.focal, kPixelDigits * want.focal) << what << place;
          EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz)})) << what << place;
          const DiceFocalValue alone = on.dice_focal(form, z32, t32, nullptr);
          EXPECT_EQ(alone.total, value.total) << what << place;
          return with_value(dz, {value.total, value.dice, value.focal});
        });
      }
}

// One value everywhere, against masks that leave nothing, everything or little to find.
TEST(CpuLosses, EveryLogitAgainstEveryMask) {
  const Shape s{1, 3, 1389, 1};  // two blocks; two pixels of 0.03 %
  for (const float size : {0.0f, 1e-40f, 1e-8f, 1.0f, 20.0f, 88.7f, 89.0f, 100.0f, 1e4f, 3.4e38f})
    for (const float logit : {size, -size})
      for (int kind = 0; kind < 5; ++kind) {
        Tensor z(s), t(s);
        for (size_t i = 0; i < t.values<float>().size(); ++i) {
          const bool set[] = {false, true, i == 2000, i % 3333 == 500, i % 2 == 0};
          z.values<float>()[i] = logit, t.values<float>()[i] = set[kind] ? 1 : 0;
        }
        for (const std::string name : {"L6", "L6 unclamped", "L4"}) {  // L4 weighs wrinkle pixels five times
          DiceFocal form = dice_focal_form(name.substr(0, 2));
          form.clamp = name == "L6";
          Tensor want_dz(s, DType::f64);
          const DiceFocalValue want = ref::dice_focal(form, z.to(DType::f64), t.to(DType::f64), &want_dz);
          const std::string what = name + ", logit " + std::to_string(logit) + ", mask " + std::to_string(kind) + " ";
          on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
            Tensor dz = random_values(s, 3, DType::f32);
            const DiceFocalValue value = on.dice_focal(form, z, t, &dz);
            // Below exp(-87) = 1.6e-38 a probability is 0, and Dice divides by as little as eps = 1e-6.
            constexpr double kFloor = 1.7e-38, kDiceFloor = 4167 * kFloor / 1e-6;
            EXPECT_NEAR(value.total, want.total, kPixelDigits * want.total + kDiceFloor) << what << place;
            EXPECT_NEAR(value.focal, want.focal, kPixelDigits * want.focal + 100 * kFloor) << what << place;
            EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz) + 2 * kFloor / 1e-6}))
                << what << place;
            for (size_t i = 0; i < 4167 && !form.clamp; ++i) {
              const bool positive = t.values<float>()[i] == 1;
              if (positive ? logit <= -1 : logit >= 1) {
                EXPECT_GT(positive ? -dz.values<float>()[i] : dz.values<float>()[i], 0) << what << "teaches nothing";
              }
            }
            return with_value(dz, {value.total});
          });
        }
      }
}

TEST(CpuLosses, ConfidentlyWrongPixelsTeachUnlessClamped) {
  for (const float size : {20.0f, 88.0f, 100.0f, 1e4f, 3.4e38f})
    for (const bool clamped : {false, true})
      on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
        DiceFocal form = dice_focal_form("L6");
        form.clamp = clamped;
        Tensor z({1, 2, 2, 1}), t({1, 2, 2, 1}), dz({1, 2, 2, 1});
        for (size_t i = 0; i < 4; ++i) {
          t.values<float>()[i] = static_cast<float>(i % 2);
          z.values<float>()[i] = i % 2 == 1 ? -size : size;
        }
        const DiceFocalValue value = on.dice_focal(form, z, t, &dz);
        EXPECT_TRUE(std::isfinite(value.total)) << place;
        for (size_t i = 0; i < 4; ++i) {
          const float gradient = dz.values<float>()[i];
          if (clamped) {
            EXPECT_LT(std::abs(gradient), 1e-8) << place;
          } else {
            EXPECT_GT(i % 2 == 1 ? -gradient : gradient, 0.02) << size << " " << place;  // alpha / 4 pixels
          }
        }
        return dz;
      });
  on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {  // a NaN is told, not lost
    Tensor z({1, 1, 3, 1}), t({1, 1, 3, 1}), dz({1, 1, 3, 1});
    z.values<float>()[1] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(on.dice_focal(dice_focal_form("L6"), z, t, &dz).total)) << place;
    EXPECT_TRUE(std::isnan(dz.values<float>()[1])) << place;
    return Tensor({1, 1, 1, 1});
  });
}

TEST(CpuLosses, CrossEntropyAndSquaredErrorAreCloseToFloat64) {
  for (const int64_t classes : {1, 2, 5, 19})
    for (const bool weighted : {false, true}) {
      const Shape s{2, 47, 53, classes};
      const Tensor z = scaled(random_values(s, 1), 8), where = random_values({2, 47, 53, 1}, 2);
      Tensor labels({2, 47, 53, 1}, DType::i32), want_dz(s, DType::f64);
      for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)  // -1 and `classes` are no label, 3 is ignored
        labels.values<int32_t>()[i] =
            static_cast<int32_t>((where.values<double>()[i] + 1) / 2 * static_cast<double>(classes + 2)) - 1;
      CrossEntropy form{.ignore_index = 3};
      for (int64_t c = 0; weighted && c < classes; ++c) form.class_weights.push_back(0.5f + static_cast<float>(c));
      const CrossEntropyValue want = ref::cross_entropy(form, z, labels, &want_dz);
      const Tensor z32 = z.to(DType::f32);
      on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
        Tensor dz = random_values(s, 3, DType::f32);
        const CrossEntropyValue value = on.cross_entropy(form, z32, labels, &dz);
        EXPECT_NEAR(value.loss, want.loss, kPixelDigits * want.loss) << place;
        EXPECT_NEAR(value.weight, want.weight, 1e-12 * want.weight) << place;
        EXPECT_EQ(value.invalid, want.invalid) << place;
        EXPECT_GT(value.invalid, 0);
        EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz)})) << place;
        return with_value(dz, {value.loss});
      });
    }
  const Shape s{1, 71, 83, 3};
  const Tensor z = random_values(s, 1), t = random_values(s, 2);
  double want = 0;
  Tensor want_dz(s, DType::f64);
  for (size_t i = 0; i < z.values<double>().size(); ++i) {
    const double d = z.values<double>()[i] - t.values<double>()[i], n = static_cast<double>(s.elements());
    want += d * d / n;
    want_dz.values<double>()[i] = 2 * d / n;
  }
  on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
    Tensor dz(s);
    const double value = on.squared_error(z.to(DType::f32), t.to(DType::f32), &dz);
    EXPECT_NEAR(value, want, kPixelDigits * want) << place;
    EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz)})) << place;
    return with_value(dz, {value});
  });
}

TEST(CpuLosses, SoftDiceIsCloseToFloat64) {
  for (const Shape& s : {Shape{1, 1, 1, 1}, {2, 7, 9, 2}, {3, 65, 67, 5}, {1, 13, 11, 19}})
    for (const std::string name : {"L0", "L0_class_mean", "soft_dice", "foreground_dice"})
      for (const bool other : {false, true}) {  // the options that no name sets
        SoftDice form = soft_dice_form(name);
        if (form.first_class >= s.c) continue;
        form.entropy.ignore_index = 3;
        if (other) form.over_batch = false, form.eps = 0.5;
        for (int64_t c = 0; other && c < s.c; ++c)
          form.entropy.class_weights.push_back(0.5f + static_cast<float>(c % 4));
        const Tensor z = scaled(random_values(s, 1), 8), where = random_values({s.n, s.h, s.w, 1}, 2);
        Tensor labels(where.shape(), DType::i32), want_dz(s, DType::f64);
        for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)  // -1 and C are no label, 3 is ignored
          labels.values<int32_t>()[i] =
              static_cast<int32_t>((where.values<double>()[i] + 1) / 2 * static_cast<double>(s.c + 2)) - 1;
        const SoftDiceValue want = ref::soft_dice(form, z, labels, &want_dz);
        const Tensor z32 = z.to(DType::f32);
        const std::string what = name + " " + to_string(s) + " ";
        on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
          Tensor dz = random_values(s, 3, DType::f32);
          const SoftDiceValue value = on.soft_dice(form, z32, labels, &dz);
          EXPECT_NEAR(value.total, want.total, kPixelDigits * want.total) << what << place;
          EXPECT_NEAR(value.dice, want.dice, kPixelDigits * want.dice) << what << place;
          EXPECT_NEAR(value.entropy, want.entropy, kPixelDigits * want.entropy) << what << place;
          EXPECT_NEAR(value.weight, want.weight, 1e-12 * want.weight) << what << place;
          EXPECT_EQ(value.invalid, want.invalid) << what << place;
          EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz)})) << what << place;
          EXPECT_EQ(on.soft_dice(form, z32, labels, nullptr).total, value.total) << what << place;
          return with_value(dz, {value.total, value.dice, value.entropy});
        });
      }
}

// One channel at the logit and one at its negative, the others at 0; labels on each of them.
TEST(CpuLosses, SoftDiceAtEveryLogit) {
  const Shape s{1, 3, 4, 4};
  Tensor labels({1, 3, 4, 1}, DType::i32);
  for (size_t i = 0; i < 12; ++i) labels.values<int32_t>()[i] = static_cast<int32_t>(i % 4);
  for (const float size : {0.0f, 1e-8f, 1.0f, 20.0f, 88.7f, 89.0f, 100.0f, 1e4f, 3.4e38f})
    for (const bool right : {false, true})  // labels on the largest logit alone
      for (const char* name : {"L0", "soft_dice", "foreground_dice"}) {
        Tensor z(s), want_dz(s, DType::f64);
        for (size_t i = 0; i < 12; ++i) {
          const size_t top = right ? i % 4 : 1;
          z.values<float>()[i * 4 + top] = size;
          z.values<float>()[i * 4 + (top + 1) % 4] = -size;
        }
        const SoftDice form = soft_dice_form(name);
        const SoftDiceValue want = ref::soft_dice(form, z.to(DType::f64), labels, &want_dz);
        on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
          Tensor dz = random_values(s, 3, DType::f32);
          const SoftDiceValue value = on.soft_dice(form, z, labels, &dz);
          // Below 2^-126 a float32 p is a multiple of 2^-149, and Dice divides by as little as eps.
          EXPECT_NEAR(value.total, want.total, kPixelDigits * want.total + 1e-35) << size << " " << name << place;
          EXPECT_TRUE(close(dz, want_dz, {.absolute = kPixelDigits * largest(want_dz) + 1e-38}))
              << size << " " << name << place;
          return with_value(dz, {value.total});
        });
      }
}

TEST(CpuLosses, SoftDiceOfNothingAndOfNaN) {
  const Shape s{1, 2, 3, 3};
  on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
    Tensor z = random_values(s, 1, DType::f32), dz = random_values(s, 2, DType::f32), labels({1, 2, 3, 1}, DType::i32);
    SoftDice form = soft_dice_form("L0");
    form.entropy.ignore_index = 255;
    labels.values<int32_t>()[4] = 255;
    z.values<float>()[4 * 3 + 1] = std::numeric_limits<float>::quiet_NaN();  // of a pixel that does not count
    EXPECT_TRUE(std::isfinite(on.soft_dice(form, z, labels, &dz).total)) << place;
    for (const float value : dz.values<float>()) EXPECT_TRUE(std::isfinite(value)) << place;
    z.values<float>()[3 + 2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(on.soft_dice(form, z, labels, &dz).total)) << place;
    EXPECT_TRUE(std::isnan(dz.values<float>()[3 + 2])) << place;
    for (int32_t& y : labels.values<int32_t>()) y = 255;
    EXPECT_EQ(on.soft_dice(form, z, labels, &dz).total, 0) << place;
    EXPECT_EQ(largest(dz), 0) << place;
    EXPECT_THROW(on.soft_dice(form, z, Tensor({1, 3, 2, 1}, DType::i32), &dz), Error);
    form.first_class = 3;
    EXPECT_THROW(on.soft_dice(form, z, labels, &dz), Error);
    return dz;
  });
}

// Three steps of 40,000 parameters in three segments, one of them frozen, one between two tasks; the third step is
// skipped.
template <class Update, class WantUpdate>
void three_steps(const Update& update, const WantUpdate& want_update) {
  const int64_t count = 40000;
  const Shape flat{1, 1, 1, count};
  const OptimSegment segments[] = {{0, 1, 0.01f}, {7, 0, 0.5f}, {16000, 0.5f, 0}, {17000, 1, 0.1f}};
  const double lr = 1e-2;
  on_every_isa([&](cpu::CpuBackend& on, const std::string& place) {
    Tensor p = random_values(flat, 1, DType::f32), first(flat), second(flat);
    const Tensor start = random_values(flat, 1);
    std::vector<double> want(start.values<double>().begin(), start.values<double>().end()), first64(want.size()),
        second64(want.size());
    OptimState state{.loss_scale = 4}, want_state{.loss_scale = 4};
    const LossScaling scaling{.interval = 2};
    for (int step = 0; step < 3; ++step) {
      Tensor g64 = random_values(flat, 10 + static_cast<uint64_t>(step));
      if (step == 2) g64.values<double>()[20000] = std::numeric_limits<double>::infinity();
      const Tensor g = g64.to(DType::f32);
      const auto wide = g64.values<double>();
      ref::optim_prepare(wide, 5, scaling, want_state);
      on.optim_prepare(g, 5, scaling, state);
      EXPECT_EQ(state.skip, step == 2 ? 1 : 0);
      EXPECT_EQ(state.step, want_state.step);
      EXPECT_EQ(state.skipped, want_state.skipped);
      EXPECT_EQ(state.loss_scale, want_state.loss_scale);
      EXPECT_EQ(state.good_steps, want_state.good_steps);
      if (step < 2) { EXPECT_NEAR(state.norm, want_state.norm, 1e-12 * want_state.norm) << place; }
      if (step < 2) { EXPECT_NEAR(state.factor, want_state.factor, 1e-12 * want_state.factor) << place; }
      update(on, lr, segments, state, g, first, second, p);
      want_update(lr, segments, want_state, wide, first64, second64, want);
    }
    // A parameter below 1 is rounded three times a step, its change of at most 2 lr to 2^-20 of itself.
    Tensor exact(flat, DType::f64);
    std::ranges::copy(want, exact.values<double>().begin());
    EXPECT_TRUE(close(p, exact, {.absolute = 6 * 0x1p-24 + 2 * 2 * lr * 0x1p-20})) << place;
    for (size_t i = 7; i < 16000; ++i)
      EXPECT_EQ(p.values<float>()[i], static_cast<float>(start.values<double>()[i])) << "frozen";
    return p;
  });
}

TEST(CpuOptim, AdamWIsCloseToFloat64) {
  three_steps(
      [](cpu::CpuBackend& on, double lr, std::span<const OptimSegment> s, const OptimState& state, const Tensor& g,
         Tensor& m, Tensor& v, Tensor& p) { on.adamw({}, lr, s, state, g, m, v, p); },
      [](double lr, std::span<const OptimSegment> s, const OptimState& state, std::span<const double> g,
         std::span<double> m, std::span<double> v, std::span<double> p) { ref::adamw({}, lr, s, state, g, m, v, p); });
}

TEST(CpuOptim, SgdIsCloseToFloat64) {
  for (const Sgd options : {Sgd{0, false}, Sgd{0.9, false}, Sgd{0.9, true}})
    three_steps(
        [&](cpu::CpuBackend& on, double lr, std::span<const OptimSegment> s, const OptimState& state, const Tensor& g,
            Tensor& m, Tensor&, Tensor& p) { on.sgd(options, lr, s, state, g, m, p); },
        [&](double lr, std::span<const OptimSegment> s, const OptimState& state, std::span<const double> g,
            std::span<double> m, std::span<double>, std::span<double> p) { ref::sgd(options, lr, s, state, g, m, p); });
}

}  // namespace
}  // namespace furrow
