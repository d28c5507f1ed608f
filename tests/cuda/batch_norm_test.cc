// kernels/cuda/batch_norm.h against the reference back-end. Inputs are rounded to the storage type first.
#include "kernels/cuda/batch_norm.h"

#include "kernels/ref/ref_backend.h"
#include "kernels/short_sums.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

const BatchNormKernels& kernels() { return KERNELS_UNDER_TEST(batch_norm_kernels); }

// Several chunks of pixels, the last one short; several tiles of channels in the last two; channels beside vector
// widths. Then short sums, with several blocks of channels in the last.
const Shape kShapes[] = {{2, 13, 11, 1}, {2, 9, 11, 3}, {1, 13, 10, 17}, {1, 7, 10, 40},
                         {3, 5, 5, 271}, {1, 3, 3, 3},  {1, 7, 7, 17},   {2, 6, 4, 271}};

// Chunks grow with the image, up to one of all pixels.
static_assert(batch_norm_chunk(4096, 16) == 64 && batch_norm_chunks(4096, 16) == 64);
static_assert(batch_norm_chunk(401 * 331, 1) == 65 && batch_norm_chunks(401 * 331, 1) == 2043);
static_assert(batch_norm_chunk(8 << 20, 64) == 8192 && batch_norm_chunks(8 << 20, 64) == 1024);
static_assert(batch_norm_chunk(1 << 20, 100000) == 1 << 20 && batch_norm_chunks(1 << 20, 100000) == 1);

void each_case(const std::function<void(const Storage&, const Shape&)>& body) {
  for_each_storage([&](const Storage& storage) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(to_string(shape));
      body(storage, shape);
    }
  });
}

DeviceArray<float> on_device(const Tensor& t) {
  const Tensor narrow = t.to(DType::f32);
  const auto values = narrow.values<float>();
  return DeviceArray<float>(std::vector<float>(values.begin(), values.end()));
}
Tensor read(const DeviceArray<float>& from, int64_t offset, int64_t channels) {
  const std::vector<float> values = from.values();
  Tensor t({1, 1, 1, channels}, DType::f64);
  for (int64_t c = 0; c < channels; ++c)
    t.values<double>()[static_cast<size_t>(c)] = values[static_cast<size_t>(offset + c)];
  return t;
}
Tensor read(const DeviceArray<float>& from) { return read(from, 0, static_cast<int64_t>(from.size())); }
Tensor shifted(Tensor t, double factor, double offset) {  // float32 values again
  for (double& value : t.values<double>()) value = static_cast<float>(value * factor + offset);
  return t;
}
Tensor vector(int64_t c, uint64_t seed, double factor = 1, double offset = 0) {
  return shifted(random_values({1, 1, 1, c}, seed), factor, offset);
}
DeviceArray<float> workspace(const Shape& s) {
  return DeviceArray<float>(batch_norm_workspace(s.pixels(), s.c) / sizeof(float));
}

// Chunks and vectors cost nothing in accuracy: the error is that of results rounded to float32 once, and of differences
// from the first pixel; both far below 4e-8 * sqrt(M).
const Tolerance kStatistics{.absolute = 2e-7, .relative = 2e-7};

struct Train {
  Tensor y, mean, rstd, running_mean, running_var;
};
Train train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
            const Tensor& running_var) {
  RefBackend ref(nullptr);
  const Shape v{1, 1, 1, x.shape().c};
  Train t{Tensor(x.shape(), DType::f64), Tensor(v, DType::f64), Tensor(v, DType::f64), running_mean.to(DType::f64),
          running_var.to(DType::f64)};
  ref.batch_norm_train(x, gamma, beta,
                       {.momentum = 0.25, .running_mean = &t.running_mean, .running_var = &t.running_var}, t.y, t.mean,
                       t.rstd);
  return t;
}

TEST(BatchNorm, TrainingForward) {
  each_case([&](const Storage& storage, const Shape& shape) {
    const int64_t c = shape.c;
    const Tensor x = rounded_to(storage.type, shifted(random_values(shape, 1), 2, 0.5));
    const Tensor gamma = vector(c, 2), beta = vector(c, 3), running_mean = vector(c, 4),
                 running_var = vector(c, 5, 0.5, 1);
    const Train want = train(x, gamma, beta, running_mean, running_var);
    PitchedImage from = storage.of(x), to = storage.empty(shape);
    DeviceArray<float> scale = on_device(gamma), offset = on_device(beta), rm = on_device(running_mean),
                       rv = on_device(running_var);
    DeviceArray<float> mean(static_cast<size_t>(c)), rstd(static_cast<size_t>(c)), scratch = workspace(shape);
    kernels().stats({}, {.x = from.image(),
                         .momentum = 0.25,
                         .mean = mean.data(),
                         .rstd = rstd.data(),
                         .running_mean = rm.data(),
                         .running_var = rv.data(),
                         .workspace = scratch.data()});
    const bool in_double = is_short_sum(shape.pixels());
    const auto tolerance = [&](const Tensor& t) { return in_double ? rounded_once(t) : kStatistics; };
    EXPECT_TRUE(close(read(mean), want.mean, storage.type == DType::f32 ? rounded_once(want.mean) : kStatistics));
    EXPECT_TRUE(close(read(rstd), want.rstd, tolerance(want.rstd)));
    EXPECT_TRUE(close(read(rm), want.running_mean, tolerance(want.running_mean)));
    EXPECT_TRUE(close(read(rv), want.running_var, tolerance(want.running_var)));
    kernels().apply({},
                    {.x = from.image(),
                     .y = to.image(),
                     .with = {.gamma = scale.data(), .beta = offset.data(), .mean = mean.data(), .rstd = rstd.data()}});
    // The statistics' error, and five roundings of numbers of that size.
    EXPECT_TRUE(close(to.values(), want.y, of_largest(6e-7, want.y, storage.type)));
  });
}

// A mean of 1e4 deviations: sums of squares in float32 would leave no digit of the variance.
TEST(BatchNorm, LargeMeanCostsNoDigits) {
  const Shape shape{2, 37, 29, 6};
  const Tensor x = shifted(random_values(shape, 6), std::sqrt(3.0), 1e4), ones = vector(6, 7, 0, 1);
  const Train want = train(x, ones, ones, ones, ones);
  PitchedImage from(x, DType::f32, 6);
  DeviceArray<float> mean(6), rstd(6), scratch = workspace(shape);
  kernels().stats({}, {.x = from.image(), .mean = mean.data(), .rstd = rstd.data(), .workspace = scratch.data()});
  EXPECT_TRUE(close(read(mean), want.mean, {.relative = 0x1p-24}));  // rounded once
  EXPECT_TRUE(close(read(rstd), want.rstd, {.relative = 2e-7}));
}

// The sum of the values is beyond float32's range, their differences are not.
TEST(BatchNorm, MeansOfValuesWhoseSumOverflows) {
  const Shape shape{1, 10, 10, 3};
  Tensor x(shape, DType::f64);
  for (size_t i = 0; i < 300; ++i)
    x.values<double>()[i] = static_cast<float>(i % 3 == 0 ? 1e38 : i % 3 == 1 ? -3e38 : 3e38);
  PitchedImage from(x, DType::f32, 3);
  DeviceArray<float> mean(3), rstd(3), scratch = workspace(shape);
  kernels().stats({}, {.x = from.image(), .mean = mean.data(), .rstd = rstd.data(), .workspace = scratch.data()});
  EXPECT_EQ(mean.values(), (std::vector<float>{1e38f, -3e38f, 3e38f}));
  for (const float value : rstd.values()) EXPECT_FLOAT_EQ(value, static_cast<float>(1 / std::sqrt(1e-5)));
}

TEST(BatchNorm, ConstantChannelAndNotANumber) {
  const Shape shape{1, 10, 10, 2};
  Tensor x = random_values(shape, 8);
  for (size_t i = 0; i < 200; i += 2) x.values<double>()[i] = 7.1875;
  x.values<double>()[151] = NAN;
  PitchedImage from(x, DType::f32, 2);
  DeviceArray<float> mean(2), rstd(2), scratch = workspace(shape);
  kernels().stats({}, {.x = from.image(), .mean = mean.data(), .rstd = rstd.data(), .workspace = scratch.data()});
  EXPECT_EQ(mean.values()[0], 7.1875f);
  EXPECT_FLOAT_EQ(rstd.values()[0], static_cast<float>(1 / std::sqrt(1e-5)));
  EXPECT_TRUE(std::isnan(mean.values()[1]) && std::isnan(rstd.values()[1]));
}

TEST(BatchNorm, InferenceWithRelu) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    const int64_t c = shape.c;
    Tensor x = rounded_to(storage.type, random_values(shape, 9));
    x.values<double>()[2] = NAN;
    const Tensor gamma = vector(c, 10), beta = vector(c, 11), mean = vector(c, 12), var = vector(c, 13, 0.9, 1);
    Tensor want(shape, DType::f64), positive(shape, DType::f64);
    ref.batch_norm(x, gamma, beta, {&mean, &var, 1e-3}, want);
    ref.relu(want, positive);
    PitchedImage from = storage.of(x), to = storage.empty(shape), cut = storage.empty(shape);
    DeviceArray<float> scale = on_device(gamma), offset = on_device(beta), m = on_device(mean), v = on_device(var);
    const BatchNormVectors with{
        .gamma = scale.data(), .beta = offset.data(), .mean = m.data(), .var = v.data(), .eps = 1e-3};
    kernels().apply({}, {.x = from.image(), .y = to.image(), .with = with});
    kernels().apply({}, {.x = from.image(), .y = cut.image(), .with = with, .relu = true});
    // rstd is off by 2 units, times gamma, times the difference: about 5 units of the largest term, which a ReLU may
    // cut.
    EXPECT_TRUE(close(to.values(), want, of_largest(6e-7, want, storage.type)));
    Tolerance behind_relu = of_largest(6e-7, positive, storage.type);
    behind_relu.absolute = of_largest(6e-7, want, storage.type).absolute;
    EXPECT_TRUE(close(cut.values(), positive, behind_relu));
  });
}

struct Gradient {
  Tensor dx, dgamma, dbeta;
};

// One backward pass; `before` is in every result first where `accumulate`. With `over_dy` the image of dy is dx too.
Gradient run(const Storage& storage, const Tensor& x, const Tensor& dy, const Tensor& y, const Tensor (&vectors)[4],
             ReluMask mask, bool fixed, bool accumulate, const Tensor& before, bool over_dy = false) {
  const Shape& shape = x.shape();
  const auto c = static_cast<size_t>(shape.c);
  PitchedImage input = storage.of(x), gradient = storage.of(dy), output = storage.of(y),
               dx = accumulate ? storage.of(before) : storage.empty(shape);
  DeviceArray<float> gamma = on_device(vectors[0]), beta = on_device(vectors[1]), mean = on_device(vectors[2]),
                     rstd = on_device(vectors[3]);
  DeviceArray<float> dgamma = accumulate ? on_device(vectors[0]) : DeviceArray<float>(c),
                     dbeta = accumulate ? on_device(vectors[1]) : DeviceArray<float>(c);
  DeviceArray<float> sums(2 * c), scratch = workspace(shape);
  BatchNormGradArgs args{.x = input.image(),
                         .dy = gradient.image(),
                         .y = mask == ReluMask::from_y ? output.image() : Image{},
                         .with = {.gamma = gamma.data(), .beta = beta.data(), .mean = mean.data(), .rstd = rstd.data()},
                         .mask = mask,
                         .sums = sums.data(),
                         .dgamma = dgamma.data(),
                         .dbeta = dbeta.data(),
                         .accumulate_vectors = accumulate,
                         .workspace = scratch.data(),
                         .dx = over_dy ? gradient.image() : dx.image(),
                         .fixed_stats = fixed,
                         .accumulate_dx = accumulate};
  kernels().grad_reduce({}, args);
  kernels().grad_apply({}, args);
  return {over_dy ? gradient.values() : dx.values(), read(dgamma), read(dbeta)};
}

TEST(BatchNorm, Gradient) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape) {
    const int64_t c = shape.c;
    const Tensor x = rounded_to(storage.type, shifted(random_values(shape, 14), 2, 0.5)),
                 dy = rounded_to(storage.type, random_values(shape, 15));
    const Tensor vectors[4] = {vector(c, 16), vector(c, 17), vector(c, 18, 0.1, 0.5), vector(c, 19, 0.1, 0.9)};
    const Tensor before = rounded_to(storage.type, random_values(shape, 20));
    // y = relu(normalised x) in float64; the mask differs nowhere, as no random value comes that near to zero.
    Tensor y(shape, DType::f64);
    for (size_t i = 0; i < y.values<double>().size(); ++i) {
      const size_t k = i % static_cast<size_t>(c);
      const auto at = [&](int v) { return vectors[v].values<double>()[k]; };
      y.values<double>()[i] = std::max(0.0, at(0) * ((x.values<double>()[i] - at(2)) * at(3)) + at(1));
    }
    for (const ReluMask mask : {ReluMask::none, ReluMask::from_y, ReluMask::from_x}) {
      Tensor masked = dy.to(DType::f64);
      if (mask != ReluMask::none) ref.relu_grad(y, dy, masked, Grad::overwrite);
      for (const bool other : {false, true}) {  // fixed statistics and accumulation, together
        SCOPED_TRACE(testing::Message() << "mask " << static_cast<int>(mask) << (other ? ", fixed, accumulate" : ""));
        Gradient want{before.to(DType::f64), vectors[0].to(DType::f64), vectors[1].to(DType::f64)};
        ref.batch_norm_grad(x, vectors[0], vectors[2], vectors[3], other, masked, &want.dx, &want.dgamma, &want.dbeta,
                            other ? Grad::accumulate : Grad::overwrite);
        const Gradient got = run(storage, x, dy, y, vectors, mask, other, other, before);
        // The deviation of dy is 1/sqrt(3), that of the normalised x about 1; there may be a single channel.
        const int64_t K = shape.pixels();
        const double deviation = std::sqrt(static_cast<double>(K) / 3);
        const bool in_double = is_short_sum(K);
        const auto tolerance = [&](const Tensor& t) { return in_double ? rounded_once(t) : rounding(t, K, deviation); };
        EXPECT_TRUE(close(got.dgamma, want.dgamma, tolerance(want.dgamma)));
        EXPECT_TRUE(close(got.dbeta, want.dbeta, tolerance(want.dbeta)));
        Tolerance of_dx = of_largest(6e-7, want.dx, storage.type);
        if (in_double && storage.type == DType::f32) of_dx = rounded_once(want.dx);
        EXPECT_TRUE(close(got.dx, want.dx, of_dx));
        // In place of dy, which is then what there is before: the same bits.
        const Gradient apart = other ? run(storage, x, dy, y, vectors, mask, other, other, dy) : got;
        const Gradient in_place = run(storage, x, dy, y, vectors, mask, other, other, dy, true);
        EXPECT_TRUE(same_bits(in_place.dx, apart.dx)) << "in place of dy";
      }
    }
  });
}

TEST(BatchNorm, EveryScheduleGivesTheSameBits) {
  const Shape shape{2, 7, 11, 36};
  const Tensor x = random_values(shape, 23), dy = random_values(shape, 24);
  const Tensor vectors[4] = {vector(36, 25), vector(36, 26), vector(36, 27), vector(36, 28, 0.1, 1)};
  std::vector<Tensor> first;
  in_every_schedule([&] {
    PitchedImage from(x, DType::f32, 36);
    DeviceArray<float> mean(36), rstd(36), scratch = workspace(shape);
    kernels().stats({}, {.x = from.image(), .mean = mean.data(), .rstd = rstd.data(), .workspace = scratch.data()});
    const Gradient g = run({DType::f32, true}, x, dy, x, vectors, ReluMask::from_x, false, false, x);
    const Tensor results[] = {read(mean), read(rstd), g.dx, g.dgamma, g.dbeta};
    if (first.empty()) first.assign(std::begin(results), std::end(results));
    for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(same_bits(results[i], first[i]));
  });
}

TEST(BatchNorm, RefusesWhatItCannotServe) {
  PitchedImage one({1, 1, 1, 2}, DType::f32, 2), two({1, 1, 2, 2}, DType::f32, 2);
  DeviceArray<float> a(8);
  EXPECT_THROW(kernels().stats({}, {.x = one.image(), .mean = a.data(), .rstd = a.data(), .workspace = a.data()}),
               Error);  // no variance
  EXPECT_THROW(
      kernels().stats(
          {}, {.x = two.image(), .mean = a.data(), .rstd = a.data(), .running_mean = a.data(), .workspace = a.data()}),
      Error);
  EXPECT_THROW(
      kernels().apply({}, {.x = one.image(), .y = two.image(), .with = {a.data(), a.data(), a.data(), a.data()}}),
      Error);
  EXPECT_THROW(
      kernels().grad_apply(
          {},
          {.x = two.image(), .dy = two.image(), .with = {a.data(), a.data(), a.data(), a.data()}, .dx = two.image()}),
      Error);  // no sums
}

}  // namespace
}  // namespace furrow::gpu
