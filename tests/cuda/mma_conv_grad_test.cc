// The gradients of the tensor-core convolutions against the reference.
#include "kernels/cuda/mma_conv_grad.h"

#include "kernels/cuda/mma_conv.h"
#include "kernels/short_sums.h"
#include "tests/cuda/mma_test_tools.h"

namespace furrow::gpu {
namespace {

using cases::conv;
constexpr DType kTypes[] = {DType::f16, DType::bf16, DType::f32};

// Float32 sums of `length` products. A GPU's tensor cores may cut instead of rounding: 2^-23 of the running sum for
// each of up to 160 additions in a row, where the running sum may be a few times the result.
Tolerance sum_tolerance(const Tensor& want, int64_t length) {
  if (testing_on_gpu()) return {.absolute = 160 * 0x1p-23 * std::max(largest(want), 1e-3)};
  return rounding(want, length);
}

Tensor tensor_of(const std::vector<float>& values, const Shape& shape) {
  Tensor t(shape, DType::f64);
  std::copy(values.begin(), values.end(), t.values<double>().begin());
  return t;
}

struct Problem {
  ConvStep step;
  DType type;
  Tensor x[2], w, dy, old[2], dx[2], dw, db;

  Problem(const ConvStep& s, DType t) : step(s), type(t) {
    dy = rounded(cases::random_values(s.y(), 5), t);
    w = rounded(cases::random_weights(s, 3).w, t);
    RefBackend ref(nullptr);
    for (int i = 0; i < 2; ++i)
      if (s.x[i].c > 0) {
        x[i] = rounded(cases::random_values(s.x[i], 7 + static_cast<uint64_t>(i)), t);
        old[i] = rounded(cases::random_values(s.x[i], 17 + static_cast<uint64_t>(i)), t);
        dx[i] = Tensor(s.x[i], DType::f64);
      }
    Tensor* const second = s.x[1].c > 0 ? &dx[1] : nullptr;
    ref.conv2d_grad_input({&dy, &w, s.geometry}, &dx[0], second, Grad::overwrite);
    dw = Tensor(w.shape(), DType::f64), db = Tensor({1, 1, 1, s.oc}, DType::f64);
    ref.conv2d_grad_weight({&x[0], second != nullptr ? &x[1] : nullptr, &dy, s.geometry}, dw, &db, Grad::overwrite);
  }

  std::string name_of() const { return problem(step) + " " + std::string(name(type)); }

  void check_input(bool accumulate) const {
    SCOPED_TRACE(name_of() + (accumulate ? " accumulate" : ""));
    const MmaConvKernels& kernels = KERNELS_UNDER_TEST(mma_conv_kernels);
    DeviceArray<float> weights(floats(w));
    DeviceImage source(type, dy);
    const auto kh = static_cast<int>(step.geometry.kernel_h), kw = static_cast<int>(step.geometry.kernel_w),
               pad = static_cast<int>(step.geometry.pad);
    for (int i = 0, first = 0; i < 2 && step.x[i].c > 0; first += static_cast<int>(step.x[i++].c)) {
      MmaConv c;
      c.layout = mma_conv_layout({type,
                                  static_cast<int>(step.x[i].c),
                                  {static_cast<int>(step.oc), 0},
                                  {pitch_of(type, step.oc), 0},
                                  kh,
                                  kw,
                                  1});
      DeviceArray<std::byte> packed(c.layout.bytes());
      kernels.pack({}, {c.layout, weights.data(), static_cast<int>(step.oc), static_cast<int>(w.shape().c),
                        MmaWeights::flipped, first, packed.data()});
      DeviceImage result = accumulate ? DeviceImage(type, old[i]) : DeviceImage(type, step.x[i]);
      c.weights = packed.data(), c.x[0] = source.image(), c.x_spacing = static_cast<int>(step.geometry.stride);
      c.pad_h = kh - 1 - pad, c.pad_w = kw - 1 - pad, c.out_h = static_cast<int>(step.x[i].h),
      c.out_w = static_cast<int>(step.x[i].w);
      c.y = result.image();
      if (accumulate) c.residual = result.image();
      kernels.conv({}, c);
      Tensor want(step.x[i], DType::f64);
      for (size_t e = 0; e < want.values<double>().size(); ++e)
        want.values<double>()[e] = dx[i].values<double>()[e] + (accumulate ? old[i].values<double>()[e] : 0);
      bool padding = true;
      EXPECT_TRUE(close(result.values(&padding), want, storage_tolerance(type, want))) << "source " << i;
      EXPECT_TRUE(padding);
    }
  }

  void check_weight(bool accumulate, int blocks_wanted) const {
    SCOPED_TRACE(name_of() + (accumulate ? " accumulate" : ""));
    const MmaConvGradKernels& kernels = KERNELS_UNDER_TEST(mma_conv_grad_kernels);
    DeviceImage dy_image(type, dy);
    std::unique_ptr<DeviceImage> sources[2];
    MmaConvGradWeight g;
    for (int i = 0; i < 2; ++i)
      if (step.x[i].c > 0) sources[i] = std::make_unique<DeviceImage>(type, x[i]), g.x[i] = sources[i]->image();
    g.dy = dy_image.image();
    g.kernel_h = static_cast<int>(step.geometry.kernel_h), g.kernel_w = static_cast<int>(step.geometry.kernel_w);
    g.stride = static_cast<int>(step.geometry.stride), g.pad_h = g.pad_w = static_cast<int>(step.geometry.pad),
    g.accumulate = accumulate, g.blocks_wanted = blocks_wanted;
    DeviceArray<float> result(accumulate ? std::vector<float>(static_cast<size_t>(dw.shape().elements()), 2.f)
                                         : std::vector<float>(static_cast<size_t>(dw.shape().elements()), NAN));
    DeviceArray<std::byte> workspace(mma_grad_weight_split(g).workspace_bytes);
    g.dw = result.data(), g.workspace = workspace.data();
    kernels.weight({}, g);
    Tensor want = dw;
    if (accumulate) {
      want = Tensor(dw.shape(), DType::f64);
      for (size_t e = 0; e < want.values<double>().size(); ++e) want.values<double>()[e] = dw.values<double>()[e] + 2;
    }
    EXPECT_TRUE(close(tensor_of(result.values(), dw.shape()), want, sum_tolerance(want, dy.shape().pixels())));
  }
};

std::vector<ConvStep> steps() {
  using namespace cases;
  return {
      conv({2, 9, 17, 3}, 65),        conv({1, 9, 33, 17}, 70, 20, 3, 1),    conv({1, 5, 18, 40}, 24, 1),
      conv({2, 9, 18, 24}, 40, 3, 2), conv({1, 10, 35, 8}, 24, 3, 2),        conv({1, 9, 20, 3}, 16, 7, 2),
      conv({1, 1, 1, 5}, 3),          with_pad(conv({1, 12, 20, 17}, 9), 0), with_pad(conv({1, 5, 6, 3}, 8), 2),
      conv({1, 8, 10, 70}, 8, 1, 2),
  };
}

TEST(MmaConvGrad, AgreesWithTheReferenceInEverySchedule) {
  for (const ConvStep& step : {conv({1, 9, 33, 17}, 70, 20, 3, 1), conv({2, 9, 18, 24}, 40, 3, 2)}) {
    const Problem problem(step, DType::bf16);
    in_every_schedule([&] {
      problem.check_weight(true, 24);
      problem.check_input(true);
    });
  }
  const Problem words(conv({1, 5, 18, 9}, 70), DType::f32);
  in_every_schedule([&] { words.check_weight(false, 1); });
}

TEST(MmaConvGrad, AgreesOnEdgesOfEveryKindAndMeetsNoBankTwice) {
  emu::reset_counters();
  for (const DType type : kTypes)
    for (const ConvStep& step : steps()) {
      const Problem problem(step, type);
      problem.check_weight(false, 24);
      problem.check_input(false);
      if (HasFailure()) return;
    }
  if (testing_on_gpu()) return;
  EXPECT_EQ(emu::counters().ldmatrix_conflicts, 0u);
  EXPECT_GT(emu::counters().mma, 0u);
}

// All pixels in one part; several parts of several tiles, the last one shorter; one tile a part.
TEST(MmaConvGrad, SplitsPixels) {
  for (const DType type : {DType::f16, DType::f32}) {
    const Problem p(conv({2, 11, 40, 3}, 5), type);
    for (const int blocks_wanted : {1, 12, 1000}) p.check_weight(false, blocks_wanted);
  }
  MmaConvGradWeight g;
  g.x[0] = {nullptr, DType::f16, 2, 11, 40, 3, 8}, g.dy = {nullptr, DType::f16, 2, 11, 40, 5, 8};
  EXPECT_EQ(mma_grad_weight_split(g).parts, 18);
  g.blocks_wanted = 12;
  EXPECT_EQ(mma_grad_weight_split(g).parts, 4);
  EXPECT_EQ(mma_grad_weight_split(g).tiles_per_part, 5);  // of 18
  g.blocks_wanted = 1;
  EXPECT_EQ(mma_grad_weight_split(g).parts, 1);
  g.dy.h = g.x[0].h = 4000;
  EXPECT_LE(mma_grad_weight_split(g).tiles_per_part, 256) << "a block that runs for ever";
}

TEST(MmaConvGrad, SumsTheBias) {
  const auto check = [](DType type, const Shape& shape) {
    // Of all 24 bits where the type has them: no product, which would be of TensorFloat-32, comes before the sum.
    const Tensor dy =
        type == DType::f32 ? cases::random_values(shape, 5) : rounded(cases::random_values(shape, 5), type);
    DeviceImage image(type, dy);
    MmaGradBias g;
    g.dy = image.image();
    DeviceArray<float> db(std::vector<float>(static_cast<size_t>(shape.c), 1.f));
    DeviceArray<std::byte> workspace(mma_grad_bias_bytes(g.dy));
    g.db = db.data(), g.accumulate = true, g.workspace = workspace.data();
    KERNELS_UNDER_TEST(mma_conv_grad_kernels).bias({}, g);
    Tensor want({1, 1, 1, shape.c}, DType::f64);
    for (double& value : want.values<double>()) value = 1;
    for (size_t i = 0; i < dy.values<double>().size(); ++i)
      want.values<double>()[i % static_cast<size_t>(shape.c)] += dy.values<double>()[i];
    const Tensor got = tensor_of(db.values(), want.shape());
    EXPECT_TRUE(close(got, want, rounding(want, shape.pixels())));
    if (is_short_sum(shape.pixels())) { EXPECT_TRUE(close(got, want, rounded_once(want))); }
  };
  in_every_schedule([&] { check(DType::f16, {1, 5, 7, 33}); });
  check(DType::f32, {1, 1, 1, 3});
  check(DType::f32, {2, 4, 6, 40});  // 48 pixels
  check(DType::f32, {1, 7, 7, 40});
  check(DType::bf16, {2, 130, 33, 40});  // more than one pixel per thread
}

// A transposed convolution: dx is a 2x2 stride-2 convolution of dy, dw the weight gradient of that with the roles
// exchanged.
TEST(MmaConvGrad, ServesTransposedConvolutions) {
  for (const DType type : kTypes) {
    const Shape shape{2, 5, 9, 40};
    const int oc = 70;
    const Tensor x = rounded(cases::random_values(shape, 1), type),
                 dy = rounded(cases::random_values({2, 10, 18, oc}, 2), type);
    const Tensor w = rounded(cases::random_weights(cases::upconv(shape, oc), 3).w, type);
    Tensor dx(shape, DType::f64), dw(w.shape(), DType::f64);
    RefBackend ref(nullptr);
    ref.upconv2x2_grad_input(dy, w, dx, Grad::overwrite);
    ref.upconv2x2_grad_weight(x, dy, dw, nullptr, Grad::overwrite);

    DeviceImage x_image(type, x), dy_image(type, dy), dx_image(type, shape);
    DeviceArray<float> weights(floats(w)), dw_array(static_cast<size_t>(w.shape().elements()));
    MmaConv c;
    c.layout = mma_conv_layout({type, 40, {oc, 0}, {pitch_of(type, oc), 0}, 2, 2, 2});
    DeviceArray<std::byte> packed(c.layout.bytes());
    KERNELS_UNDER_TEST(mma_conv_kernels)
        .pack({}, {c.layout, weights.data(), oc, 40, MmaWeights::transposed, 0, packed.data()});
    c.weights = packed.data(), c.x[0] = dy_image.image(), c.pad_h = c.pad_w = 0, c.out_h = 5, c.out_w = 9,
    c.y = dx_image.image();
    KERNELS_UNDER_TEST(mma_conv_kernels).conv({}, c);
    EXPECT_TRUE(close(dx_image.values(), dx, storage_tolerance(type, dx)));

    MmaConvGradWeight g;
    g.x[0] = dy_image.image(), g.dy = x_image.image(), g.kernel_h = g.kernel_w = g.stride = 2, g.pad_h = g.pad_w = 0,
    g.exchanged = true;
    DeviceArray<std::byte> workspace(mma_grad_weight_split(g).workspace_bytes);
    g.dw = dw_array.data(), g.workspace = workspace.data();
    KERNELS_UNDER_TEST(mma_conv_grad_kernels).weight({}, g);
    EXPECT_TRUE(close(tensor_of(dw_array.values(), w.shape()), dw, sum_tolerance(dw, shape.pixels())));
  }
}

}  // namespace
}  // namespace furrow::gpu
