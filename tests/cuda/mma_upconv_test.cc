// The tensor-core transposed convolution against the reference.
#include "kernels/cuda/mma_conv.h"
#include "tests/cuda/mma_test_tools.h"

namespace furrow::gpu {
namespace {

constexpr DType kTypes[] = {DType::f16, DType::bf16, DType::f32};

struct Problem {
  UpconvStep step;
  DType type;
  Tensor x, w, b, want;

  Problem(const UpconvStep& s, DType t) : step(s), type(t), want(s.y, DType::f64) {
    const StepWeights weights = cases::random_weights(s, 3);
    x = rounded(cases::random_values(s.x, 7), t), w = rounded(weights.w, t), b = weights.b;
    RefBackend ref(nullptr);
    Tensor doubled({s.x.n, 2 * s.x.h, 2 * s.x.w, s.y.c}, DType::f64);
    ref.upconv2x2(x, w, &b, doubled);
    ref.pad(doubled, s.top, s.left, want, Grad::overwrite);
  }

  void check(bool pack_on_device = false) const {
    SCOPED_TRACE(problem(step) + " " + std::string(name(type)));
    const MmaConvKernels& kernels = KERNELS_UNDER_TEST(mma_conv_kernels);
    const MmaUpconvLayout layout =
        mma_upconv_layout(type, static_cast<int>(step.y.c), static_cast<int>(step.x.c), pitch_of(type, step.x.c));
    std::vector<std::byte> host(layout.bytes());
    pack_mma_upconv(layout, w, host.data());
    DeviceArray<std::byte> weights(host);
    DeviceArray<float> bias(floats(b));
    if (pack_on_device) {
      DeviceArray<float> dense(floats(w));
      DeviceArray<std::byte> packed(layout.bytes());
      kernels.pack_upconv({}, {layout, dense.data(), packed.data()});
      EXPECT_EQ(packed.values(), host);
    }
    DeviceImage source(type, x), result(type, step.y);
    MmaUpconv c;
    c.layout = layout, c.weights = weights.data(), c.bias = bias.data(), c.x = source.image(), c.y = result.image();
    c.top = static_cast<int>(step.top), c.left = static_cast<int>(step.left);
    kernels.upconv({}, c);
    bool padding = true;
    EXPECT_TRUE(close(result.values(&padding), want, storage_tolerance(type, want)));
    EXPECT_TRUE(padding) << "a channel past c is not zero";
  }
};

TEST(MmaUpconv, AgreesWithTheReferenceInEverySchedule) {
  for (const DType type : kTypes)
    for (const UpconvStep& step :
         {cases::upconv({2, 9, 17, 40}, 70), cases::upconv_at({1, 9, 33, 70}, 20, 19, 65, 1, -1)}) {
      const Problem problem(step, type);
      in_every_schedule([&] { problem.check(); });
    }
}

TEST(MmaUpconv, AgreesOnRaggedShapesOfEveryKindAndMeetsNoBankTwice) {
  emu::reset_counters();
  for (const DType type : kTypes)
    for (const Step& step : cases::ragged_resampling())
      if (const auto* up = std::get_if<UpconvStep>(&step)) Problem(*up, type).check();
  if (testing_on_gpu()) return;
  EXPECT_EQ(emu::counters().ldmatrix_conflicts, 0u);
  EXPECT_GT(emu::counters().mma, 0u);
}

TEST(MmaUpconv, PacksTheSameOnHostAndDevice) {
  for (const DType type : kTypes) Problem(cases::upconv({1, 3, 3, 33}, 70), type).check(true);
}

}  // namespace
}  // namespace furrow::gpu
