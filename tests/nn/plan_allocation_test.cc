// Plan::run must not allocate; and what it does is seen from a back-end that computes nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "kernels/device.h"
#include "nn/plan.h"
#include "tests/nn/count_allocations.h"

namespace furrow {
namespace {

// Computes nothing; checks the addresses it is given, and writes every byte of every output.
class NullBackend : public Backend {
 public:
  NullBackend() : Backend(nullptr) {}
  std::string name() const override { return "null"; }
  DType dtype() const override { return DType::f32; }

  size_t placed_bytes(const Shape& s) const override {
    return static_cast<size_t>(s.pixels() * ((s.c + 15) / 16 * 16)) * 4;
  }
  void place(const Tensor&, const Placed& to) override { fill(to); }
  void unplace(const Placed&, Tensor& dense) override { std::ranges::fill(dense.values<float>(), 1.0f); }
  std::string algorithm(const Step&) const override { return "none"; }
  size_t workspace_bytes(const Step& step) const override { return std::holds_alternative<ConvStep>(step) ? 1000 : 0; }
  std::unique_ptr<Packed> prepare(const Step&, const StepWeights&) override { return std::make_unique<NullPacked>(); }
  void run(const Step& step, const Packed* packed, const StepBuffers& b) override {
    require(b.x[0].data != nullptr && reinterpret_cast<uintptr_t>(b.workspace) % 256 == 0, "buffers");
    const auto* conv = std::get_if<ConvStep>(&step);
    if (conv != nullptr) {
      require(packed != nullptr && (conv->x[1].c > 0) == (b.x[1].data != nullptr), "sources");
      require(conv->store_y == (b.y.data != nullptr) && conv->pool == (b.pooled.data != nullptr), "outputs");
      require((conv->head > 0) == !b.head.empty(), "head");
      std::memset(b.workspace, 7, 1000);
    }
    if (b.y.data != nullptr) fill(b.y);
    if (b.pooled.data != nullptr) fill(b.pooled);
  }

  void conv2d(const furrow::Conv2d&, Tensor&) override { none(); }
  void conv2d_grad_input(const Conv2dGradInput&, Tensor*, Tensor*, Grad) override { none(); }
  void conv2d_grad_weight(const Conv2dGradWeight&, Tensor&, Tensor*, Grad) override { none(); }
  void upconv2x2(const Tensor&, const Tensor&, const Tensor*, Tensor&) override { none(); }
  void upconv2x2_grad_input(const Tensor&, const Tensor&, Tensor&, Grad) override { none(); }
  void upconv2x2_grad_weight(const Tensor&, const Tensor&, Tensor&, Tensor*, Grad) override { none(); }
  void batch_norm(const Tensor&, const Tensor&, const Tensor&, const BatchNormStats&, Tensor&) override { none(); }
  void batch_norm_train(const Tensor&, const Tensor&, const Tensor&, const BatchNormTrain&, Tensor&, Tensor&,
                        Tensor&) override {
    none();
  }
  void batch_norm_grad(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool, const Tensor&, Tensor*,
                       Tensor*, Tensor*, Grad) override {
    none();
  }
  void relu(const Tensor&, Tensor&) override { none(); }
  void relu_grad(const Tensor&, const Tensor&, Tensor&, Grad) override { none(); }
  void sigmoid(const Tensor&, Tensor&) override { none(); }
  void sigmoid_grad(const Tensor&, const Tensor&, Tensor&, Grad) override { none(); }
  void add(const Tensor&, const Tensor&, Tensor&) override { none(); }
  void max_pool2x2(const Tensor&, Tensor&) override { none(); }
  void max_pool2x2_grad(const Tensor&, const Tensor&, Tensor&, Grad) override { none(); }
  void upsample_bilinear(const Tensor&, Tensor&) override { none(); }
  void upsample_bilinear_grad(const Tensor&, Tensor&, Grad) override { none(); }
  void pad(const Tensor&, int64_t, int64_t, Tensor&, Grad) override { none(); }

 private:
  struct NullPacked : Packed {
    size_t bytes() const override { return 1; }
  };
  void fill(const Placed& to) const { std::memset(to.data, 1, placed_bytes(to.shape)); }
  [[noreturn]] static void none() { throw Error(ErrorCode::internal, "the plan called an eager operation"); }
};

TEST(Plan, AllocatesNothingWhenItRuns) {
  NullBackend backend;
  for (const bool bilinear : {false, true})
    for (const bool fused : {false, true}) {
      const auto network = build({.base = 4, .bilinear = bilinear});
      network->initialise(1);
      Plan plan(*network, backend, {1, 45, 31, 3}, {.fuse_pool = fused, .fuse_head = fused});
      const Tensor x({1, 45, 31, 3});
      const int64_t before = test::allocations();
      const Tensor y = plan.run(x);
      EXPECT_EQ(test::allocations(), before);
      EXPECT_EQ(y.shape(), (Shape{1, 45, 31, 1}));
    }
}

TEST(Plan, AllocatesNothingOnDeviceCpu) {
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    const auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
    for (const bool bilinear : {false, true}) {
      const auto network = build({.base = 4, .bilinear = bilinear});
      network->initialise(1);
      Plan plan(*network, *backend, {1, 45, 31, 3});
      const Tensor x({1, 45, 31, 3});
      plan.run(x);
      const int64_t before = test::allocations();
      plan.run(x);
      EXPECT_EQ(test::allocations(), before) << threads << " threads";
    }
  }
}

TEST(Plan, OfTheOtherFamiliesAllocatesNothingEither) {
  ThreadPool pool(2);
  const auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
  for (const char* family : {"attention-unet", "resnet50-attention-unet"}) {
    const auto network = build({.family = family, .base = 4});
    network->initialise(1);
    const Tensor x({1, 45, 33, 3});  // odd: the ResNet's result is cut
    Plan plan(*network, *backend, x.shape());
    plan.run(x);
    const int64_t before = test::allocations();
    const Tensor y = plan.run(x);
    EXPECT_EQ(test::allocations(), before) << family;
    EXPECT_EQ(y.shape(), (Shape{1, 45, 33, 1}));
  }
}

// The small logits of a face parser; run() finds which rows and columns a resize mixes.
TEST(Plan, OfTheFaceParserAllocatesNothingBeforeItsResize) {
  ThreadPool pool(2);
  const auto backend = make_backend({DeviceKind::cpu, 0}, &pool);
  const auto network = build({"bisenet", 4, 3, 19});
  network->initialise(1);
  const Tensor x({1, 45, 33, 3});
  Plan plan(*network, *backend, x.shape());
  plan.run_small(x);
  const int64_t before = test::allocations();
  const Plan::SmallLogits small = plan.run_small(x);
  EXPECT_EQ(test::allocations(), before);
  EXPECT_EQ(small.logits.shape(), (Shape{1, 6, 5, 19}));
}

// 1 x 1024 x 1024 at base 64 in float32. 768 MiB is the least that two-source convolutions allow; a concat would need
// 1024.
TEST(Plan, NeedsTheLeastMemoryAtFullSize) {
  NullBackend backend;
  const auto network = build({.base = 64});
  network->initialise(1);
  const Plan plan(*network, backend, {1, 1024, 1024, 3}, {.fuse_pool = false});
  EXPECT_EQ(plan.activation_bytes(), plan.activation_bound());
  EXPECT_LE(plan.activation_bytes(), size_t{768} << 20);
  EXPECT_EQ(plan.workspace_bytes(), 1000u);
}

}  // namespace
}  // namespace furrow
