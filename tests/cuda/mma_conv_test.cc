// The tensor-core convolution against the reference, on shapes that break kernels.
#include "kernels/cuda/mma_conv.h"

#include "tests/cuda/mma_test_tools.h"

namespace furrow::gpu {
namespace {

using cases::conv;
constexpr DType kTypes[] = {DType::f16, DType::bf16, DType::f32};

MmaConvShape shape_of(const ConvStep& s, DType type) {
  MmaConvShape shape{.type = type, .oc = static_cast<int>(s.oc)};
  for (int i = 0; i < 2; ++i) {
    shape.c[i] = static_cast<int>(s.x[i].c);
    shape.pitch[i] = shape.c[i] > 0 ? pitch_of(type, shape.c[i]) : 0;
  }
  shape.kernel_h = static_cast<int>(s.geometry.kernel_h), shape.kernel_w = static_cast<int>(s.geometry.kernel_w);
  shape.stride = static_cast<int>(s.geometry.stride);
  return shape;
}

// A step's tensors as the kernel sees them, and the reference's results, computed once for all schedules.
struct Problem {
  ConvStep step;
  DType type;
  Tensor x[2], w, b, residual, head_w, head_b, want, want_pooled, want_head;

  Problem(const ConvStep& s, DType t, bool with_residual = false, bool round = true) : step(s), type(t) {
    const auto rounded = [&](const Tensor& tensor, DType as) { return round ? gpu::rounded(tensor, as) : tensor; };
    const StepWeights weights = cases::random_weights(s, 3);
    for (int i = 0; i < 2; ++i)
      if (s.x[i].c > 0) x[i] = rounded(cases::random_values(s.x[i], 7 + static_cast<uint64_t>(i)), type);
    w = rounded(weights.w, type), b = weights.b, head_w = weights.head_w, head_b = weights.head_b;
    RefBackend ref(nullptr);
    want = Tensor(s.y(), DType::f64);
    ref.conv2d({&x[0], s.x[1].c > 0 ? &x[1] : nullptr, &w, &b, s.geometry, with_residual ? Activation::none : s.act},
               want);
    if (with_residual) {
      residual = rounded(cases::random_values(s.y(), 11), type);
      ref.add(want, residual, want);
      if (s.act == Activation::relu) ref.relu(want, want);
    }
    if (s.pool) {
      want_pooled = Tensor({s.y().n, s.y().h / 2, s.y().w / 2, s.oc}, DType::f64);
      ref.max_pool2x2(want, want_pooled);
    }
    if (s.head > 0) {
      want_head = Tensor({s.y().n, s.y().h, s.y().w, s.head}, DType::f64);
      ref.conv2d({&want, nullptr, &head_w, &head_b, {1, 1, 1, 0}}, want_head);
    }
  }

  // Runs the kernel on poisoned results. `wide`: results have a pitch past the last tile of channels.
  void check(bool wide = false, const Tolerance* bound = nullptr) const {
    SCOPED_TRACE(problem(step) + " " + std::string(name(type)) + (residual.empty() ? "" : " residual") +
                 (wide ? " wide" : ""));
    const MmaConvKernels& kernels = KERNELS_UNDER_TEST(mma_conv_kernels);
    MmaConv c;
    c.layout = mma_conv_layout(shape_of(step, type));
    std::vector<std::byte> packed(c.layout.bytes());
    pack_mma_conv(c.layout, w, packed.data());
    DeviceArray<std::byte> weights(packed);
    DeviceArray<float> bias(floats(b)), head_weights(head_w.empty() ? std::vector<float>(1) : floats(head_w)),
        head_bias(head_b.empty() ? std::vector<float>(1) : floats(head_b));
    std::unique_ptr<DeviceImage> sources[2], added;
    for (int i = 0; i < 2; ++i)
      if (!x[i].empty()) sources[i] = std::make_unique<DeviceImage>(type, x[i]), c.x[i] = sources[i]->image();
    const int pitch = wide ? pitch_of(type, step.oc) + 72 : 0;
    const Shape y = step.y();
    DeviceImage result(type, y, pitch), pooled(type, {y.n, y.h / 2, y.w / 2, y.c}, pitch);
    DeviceArray<float> logits(static_cast<size_t>(y.pixels() * std::max<int64_t>(step.head, 1))),
        probability(logits.size());
    DeviceArray<uint8_t> mask(logits.size());
    c.weights = weights.data(), c.bias = bias.data(), c.relu = step.act == Activation::relu;
    c.pad_h = c.pad_w = static_cast<int>(step.geometry.pad), c.out_h = static_cast<int>(y.h),
    c.out_w = static_cast<int>(y.w);
    if (!residual.empty()) added = std::make_unique<DeviceImage>(type, residual), c.residual = added->image();
    if (step.store_y) c.y = result.image();
    if (step.pool) c.pooled = pooled.image();
    if (step.head > 0)
      c.head = {static_cast<int>(step.head),
                head_weights.data(),
                head_bias.data(),
                logits.data(),
                probability.data(),
                mask.data(),
                0.5f};
    kernels.conv({}, c);

    bool padding = true;
    if (step.store_y) {
      EXPECT_TRUE(close(result.values(&padding), want, bound != nullptr ? *bound : storage_tolerance(type, want)));
    }
    if (step.pool) {
      EXPECT_TRUE(close(pooled.values(&padding), want_pooled,
                        bound != nullptr ? *bound : storage_tolerance(type, want_pooled)));
    }
    EXPECT_TRUE(padding) << "a channel past c is not zero";
    if (step.head > 0) check_head(logits.values(), probability.values(), mask.values());
  }

  // The head sees y before it is rounded: its bound is that of float32 sums.
  void check_head(const std::vector<float>& logits, const std::vector<float>& probability,
                  const std::vector<uint8_t>& mask) const {
    Tensor got(want_head.shape(), DType::f64);
    for (size_t i = 0; i < logits.size(); ++i) {
      got.values<double>()[i] = logits[i];
      const float expected = 1 / (1 + std::exp(-logits[i]));
      EXPECT_NEAR(probability[i], expected, 1e-6) << i;
      EXPECT_EQ(mask[i], probability[i] > 0.5f ? 255 : 0) << i;
    }
    EXPECT_TRUE(close(got, want_head, storage_tolerance(DType::f32, want_head)));
  }
};

// What the pipeline of copies and barriers can get wrong: one step and several, two sources, both row lengths, one and
// several halo buffers, every epilogue.
std::vector<ConvStep> pipelines() {
  using namespace cases;
  return {
      with_pool(conv({2, 9, 17, 3}, 65)),
      conv({1, 9, 33, 17}, 20, 31, 3, 1),
      with_head(conv({1, 5, 17, 40}, 70), 2, true),
      conv({1, 9, 18, 70}, 40, 1),
      conv({1, 17, 34, 24}, 40, 3, 2),
  };
}

// Beside every width: vectors of 4 and 8, rows of 32 and 64 bytes, tiles of 32 and 64 channels, 16 and 32 columns.
std::vector<ConvStep> edges() {
  using namespace cases;
  return {
      conv({1, 1, 1, 3}, 1),
      without_activation(conv({1, 9, 33, 17}, 31)),
      conv({1, 10, 35, 33}, 9, 64, 3, 1),
      with_pool(conv({2, 11, 19, 40}, 72)),
      pool_only(conv({1, 10, 36, 8}, 24)),
      with_head(with_pool(conv({1, 9, 18, 8}, 33)), 3, true),
      with_head(conv({1, 9, 35, 24}, 20), 1),
      with_head(conv({1, 5, 3, 16}, 130), 2),
      conv({2, 19, 35, 3}, 16, 7, 2),
      conv({1, 9, 18, 20}, 40, 1, 2),
      with_pad(conv({1, 12, 36, 17}, 9), 0),
      with_pad(conv({1, 5, 6, 3}, 8), 4),
      conv({1, 10, 12, 12}, 20, 7),
  };
}

TEST(MmaConv, AgreesWithTheReferenceInEverySchedule) {
  for (const DType type : kTypes)
    for (const ConvStep& step : pipelines()) {
      const Problem problem(step, type);
      in_every_schedule([&] { problem.check(); });
    }
}

// The lanes of one ldmatrix meet every bank of shared memory once.
TEST(MmaConv, AgreesOnEdgesOfEveryKindAndMeetsNoBankTwice) {
  for (const DType type : kTypes)
    for (const std::vector<ConvStep>& steps : {pipelines(), edges()})
      for (const ConvStep& step : steps) {
        emu::reset_counters();
        Problem(step, type).check();
        if (testing_on_gpu()) continue;
        EXPECT_EQ(emu::counters().ldmatrix_conflicts, 0u) << problem(step);
        EXPECT_GT(emu::counters().mma, 0u);
      }
}

// With f32 sources the operands are rounded to 11 bits, each by at most 2^-11 of itself; random signs leave well below
// 1e-3 of the largest result.
TEST(MmaConv, RoundsFloatsToTensorFloat32Only) {
  const Problem problem(conv({1, 9, 18, 40}, 40), DType::f32, false, false);
  const Tolerance bound{.absolute = 1e-3 * largest(problem.want)};
  problem.check(false, &bound);
}

TEST(MmaConv, AddsAResidualAndFillsWidePitchesWithZeros) {
  for (const DType type : kTypes) {
    const Problem pooled(cases::with_pool(conv({2, 9, 18, 16}, 72)), type, true),
        plain(cases::without_activation(conv({1, 9, 35, 16}, 20, 1)), type, true);
    in_every_schedule([&] { pooled.check(true), plain.check(true); });
  }
}

TEST(MmaConv, AgreesOnEveryRaggedShape) {
  size_t turn = 0;
  for (const Step& step : cases::ragged_convolutions()) {
    const auto& s = std::get<ConvStep>(step);
    if (s.x[0].h * s.x[0].w * s.geometry.kernel_h > 3 * 31 * 45) continue;  // seconds, and no new edges
    Problem(s, kTypes[turn++ % 3]).check();
    if (HasFailure()) return;
  }
}

TEST(MmaConv, PacksTheSameOnHostAndDevice) {
  for (const DType type : kTypes)
    for (const ConvStep& step :
         {conv({1, 4, 4, 33}, 9, 70, 3, 1), conv({1, 4, 4, 3}, 20), conv({1, 9, 9, 24}, 40, 7, 2)}) {
      const MmaConvLayout layout = mma_conv_layout(shape_of(step, type));
      const Tensor w = cases::random_weights(step, 5).w;
      std::vector<std::byte> want(layout.bytes());
      pack_mma_conv(layout, w, want.data());
      DeviceArray<float> dense(floats(w));
      DeviceArray<std::byte> packed(layout.bytes());
      KERNELS_UNDER_TEST(mma_conv_kernels)
          .pack({}, {layout, dense.data(), static_cast<int>(w.shape().n), static_cast<int>(w.shape().c),
                     MmaWeights::forward, 0, packed.data()});
      EXPECT_EQ(packed.values(), want) << problem(step);
    }
}

// NaN and infinity of a source reach exactly the outputs that read them, through ReLU and maximum, and no pad channel.
// Of infinity ReLU keeps the positive results.
TEST(MmaConv, KeepsNaNAndInfinityWhereTheyBelong) {
  for (const DType type : kTypes)
    for (const double value : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      Problem p(cases::with_pool(conv({1, 10, 18, 5}, 20)), type);
      const Tolerance bound = storage_tolerance(type, p.want);   // of the finite results
      p.x[0].values<double>()[(4 * 18 + 6) * 5 + 2] = value;
      RefBackend ref(nullptr);
      ref.conv2d({&p.x[0], nullptr, &p.w, &p.b, p.step.geometry, p.step.act}, p.want);
      ref.max_pool2x2(p.want, p.want_pooled);
      p.check(false, &bound);
    }
}

}  // namespace
}  // namespace furrow::gpu
