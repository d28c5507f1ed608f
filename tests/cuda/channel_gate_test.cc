// Channel attention of kernels/cuda/elementwise.h against the reference back-end. Inputs are rounded to the storage
// type first, so that only the arithmetic and the last rounding differ.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/resample.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/pitched_image.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

const ElementwiseKernels& kernels() { return KERNELS_UNDER_TEST(elementwise_kernels); }

// One pixel, several chunks of a sum, several tiles of channels, and channels beside vector widths.
const Shape kShapes[] = {{3, 1, 1, 19}, {2, 13, 11, 1}, {2, 9, 11, 3}, {1, 3, 5, 24}, {3, 17, 9, 8}, {1, 2, 5, 271}};

struct Problem {
  Problem(const Shape& shape, DType type)
      : x(rounded_to(type, random_values(shape, 1))),
        dy(rounded_to(type, random_values(shape, 2))),
        residual(rounded_to(type, random_values(shape, 3))),
        logits(random_values({shape.n, 1, 1, shape.c}, 4)),
        before(rounded_to(type, random_values(shape, 5))),
        before_logits(rounded_to(type, random_values(logits.shape(), 6))) {
    for (double& value : logits.values<double>()) value *= 6;
    logits = rounded_to(type, logits);
  }
  Tensor x, dy, residual, logits, before, before_logits;
};

void each_case(const std::function<void(const Storage&, const Shape&, const Problem&)>& body) {
  for_each_storage([&](const Storage& storage) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(to_string(shape));
      body(storage, shape, Problem(shape, storage.type));
    }
  });
}

size_t workspace_floats(const Shape& s) { return global_mean_workspace(s.n, s.h * s.w, s.c) / sizeof(float); }

TEST(ChannelGate, WithAndWithoutAResidual) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape, const Problem& p) {
    Tensor want(shape, DType::f64), sum(shape, DType::f64);
    ref.channel_gate(p.x, p.logits, want);
    ref.add(want, p.residual, sum);
    PitchedImage x = storage.of(p.x), logits = storage.of(p.logits), residual = storage.of(p.residual),
                 y = storage.empty(shape), added = storage.empty(shape);
    kernels().channel_gate({}, {x.image(), logits.image(), {}, y.image()});
    EXPECT_TRUE(close(y.values(), want, ulps(4.5, storage.type)));  // the sigmoid's 4, one product
    kernels().channel_gate({}, {x.image(), logits.image(), residual.image(), added.image()});
    EXPECT_TRUE(close(added.values(), sum, of_largest(5.5 * 0x1p-23, sum, storage.type)));
    kernels().channel_gate({}, {x.image(), logits.image(), residual.image(), residual.image()});  // in place
    EXPECT_TRUE(same_bits(residual.values(), added.values()));
  });
}

TEST(ChannelGate, ItsGradient) {
  RefBackend ref(nullptr);
  each_case([&](const Storage& storage, const Shape& shape, const Problem& p) {
    const DType type = storage.type;
    Tensor dx(shape, DType::f64), dlogits(p.logits.shape(), DType::f64), dx_added = p.before.to(DType::f64),
                                                                         dlogits_added = p.before_logits.to(DType::f64);
    ref.channel_gate_grad(p.x, p.logits, p.dy, &dx, &dlogits, Grad::overwrite);
    ref.channel_gate_grad(p.x, p.logits, p.dy, &dx_added, &dlogits_added, Grad::accumulate);
    PitchedImage x = storage.of(p.x), logits = storage.of(p.logits), dy = storage.of(p.dy);
    PitchedImage to_x = storage.empty(shape), to_logits = storage.empty(p.logits.shape());
    PitchedImage onto_x = storage.of(p.before), onto_logits = storage.of(p.before_logits);
    DeviceArray<float> workspace(workspace_floats(shape));
    kernels().channel_gate_grad({}, {.x = x.image(),
                                     .logits = logits.image(),
                                     .dy = dy.image(),
                                     .dx = to_x.image(),
                                     .dlogits = to_logits.image(),
                                     .workspace = workspace.data()});
    kernels().channel_gate_grad(
        {}, {x.image(), logits.image(), dy.image(), onto_x.image(), onto_logits.image(), true, true, workspace.data()});
    EXPECT_TRUE(close(to_x.values(), dx, ulps(4.5, type)));
    EXPECT_TRUE(close(onto_x.values(), dx_added, of_largest(4 * 0x1p-23, dx_added, type)));
    // A sum of K products, and the slope's units.
    const double bound = (float_sum_error(shape.h * shape.w) + 6 * 0x1p-23) * largest(dlogits);
    Tolerance tolerance{.absolute = bound + half_subnormal(type), .relative = type == DType::f32 ? 0 : half_ulp(type)};
    EXPECT_TRUE(close(to_logits.values(), dlogits, tolerance));
    tolerance.absolute += 0x1p-24 * largest(dlogits_added);
    EXPECT_TRUE(close(onto_logits.values(), dlogits_added, tolerance));

    PitchedImage x_alone = storage.empty(shape), logits_alone = storage.empty(p.logits.shape());
    kernels().channel_gate_grad(
        {}, {.x = x.image(), .logits = logits.image(), .dy = dy.image(), .dx = x_alone.image(), .dlogits = {}});
    kernels().channel_gate_grad({}, {.x = x.image(),
                                     .logits = logits.image(),
                                     .dy = dy.image(),
                                     .dx = {},
                                     .dlogits = logits_alone.image(),
                                     .workspace = workspace.data()});
    EXPECT_TRUE(same_bits(x_alone.values(), to_x.values()));
    EXPECT_TRUE(same_bits(logits_alone.values(), to_logits.values()));
  });
}

// Where the sigmoid is near 1 in float32, 1 - s has no digits left.
TEST(ChannelGate, KeepsTheDigitsOfSmallSlopes) {
  const Shape shape{1, 2, 2, 4}, one{1, 1, 1, 4};
  Tensor logits(one, DType::f64), want(one, DType::f64);
  const double values[] = {12, -12, 16, -80};
  std::copy(std::begin(values), std::end(values), logits.values<double>().begin());
  const Tensor x = random_values(shape, 1), dy = random_values(shape, 2);
  RefBackend(nullptr).channel_gate_grad(x, logits, dy, nullptr, &want, Grad::overwrite);
  PitchedImage from(x, DType::f32, 4), z(logits, DType::f32, 4), gradient(dy, DType::f32, 4), to(one, DType::f32, 4);
  DeviceArray<float> workspace(workspace_floats(shape));
  kernels().channel_gate_grad({}, {.x = from.image(),
                                   .logits = z.image(),
                                   .dy = gradient.image(),
                                   .dx = {},
                                   .dlogits = to.image(),
                                   .workspace = workspace.data()});
  EXPECT_TRUE(close(to.values(), want, {.relative = 2e-6}));  // sums of 4 terms of both signs
}

TEST(ChannelGate, EveryScheduleGivesTheSameBits) {
  const Shape shape{2, 11, 13, 40}, one{2, 1, 1, 40};
  const Problem p(shape, DType::f32);
  std::vector<Tensor> first;
  in_every_schedule([&] {
    PitchedImage x(p.x, DType::f32, 40), logits(p.logits, DType::f32, 40), dy(p.dy, DType::f32, 40);
    PitchedImage y(shape, DType::f32, 40), dx(shape, DType::f32, 40), dlogits(one, DType::f32, 40);
    DeviceArray<float> workspace(workspace_floats(shape));
    kernels().channel_gate({}, {x.image(), logits.image(), {}, y.image()});
    kernels().channel_gate_grad({}, {.x = x.image(),
                                     .logits = logits.image(),
                                     .dy = dy.image(),
                                     .dx = dx.image(),
                                     .dlogits = dlogits.image(),
                                     .workspace = workspace.data()});
    const std::vector<Tensor> results{y.values(), dx.values(), dlogits.values()};
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(same_bits(results[i], first[i])) << i;
  });
}

TEST(ChannelGate, RefusesWhatItCannotServe) {
  const Shape shape{2, 2, 2, 3};
  PitchedImage x(shape, DType::f32, 3), other({2, 2, 1, 3}, DType::f32, 3), half(shape, DType::f16, 3),
      logits({2, 1, 1, 3}, DType::f32, 3), pixels({2, 2, 2, 1}, DType::f32, 1);
  const auto gate = [&](const Image& z, const ConstImage& residual, const Image& y) {
    kernels().channel_gate({}, {x.image(), z, residual, y});
  };
  EXPECT_NO_THROW(gate(logits.image(), {}, x.image()));
  EXPECT_THROW(gate(pixels.image(), {}, x.image()), Error);
  EXPECT_THROW(gate(logits.image(), {}, other.image()), Error);
  EXPECT_THROW(gate(logits.image(), other.image(), x.image()), Error);
  EXPECT_THROW(gate(logits.image(), {}, half.image()), Error);
  EXPECT_THROW(
      kernels().channel_gate_grad(
          {}, {.x = x.image(), .logits = logits.image(), .dy = x.image(), .dx = {}, .dlogits = logits.image()}),
      Error)
      << "no workspace";
}

}  // namespace
}  // namespace furrow::gpu
