// Planned steps: their shapes, names and costs; and the base class's way of running them, against the eager operations.
#include "kernels/planned.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/ref/ref_backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {
namespace {

using cases::random_values;

TEST(PlannedStep, NamesShapesAndCosts) {
  ConvStep conv = cases::with_pool(cases::conv({1, 64, 48, 16}, 8, 32, 3, 1));
  EXPECT_EQ(output_shape(conv), (Shape{1, 64, 48, 32}));
  EXPECT_EQ(op_name(conv), "conv2d+relu+pool");
  EXPECT_EQ(problem(conv), "1x64x48x(16+8) -> 1x64x48x32 k3s1p1");
  const uint64_t y = 64 * 48 * 32;
  EXPECT_EQ(flops(conv), 2 * y * 9 * 24 + 3 * y / 4);
  EXPECT_EQ(min_bytes(conv, 4), 4u * (64 * 48 * 24 + 32 * 9 * 24 + 32 + y + y / 4));
  conv.store_y = false;
  EXPECT_EQ(min_bytes(conv, 4), 4u * (64 * 48 * 24 + 32 * 9 * 24 + 32 + y / 4));

  const ConvStep head = cases::with_head(cases::without_activation(cases::conv({2, 9, 7, 3}, 8, 7, 2)), 2);
  EXPECT_EQ(output_shape(head), (Shape{2, 5, 4, 8}));
  EXPECT_EQ(op_name(head), "conv2d+head");
  EXPECT_EQ(problem(head), "2x9x7x3 -> 2x5x4x8 k7s2p3 head 2");
  EXPECT_EQ(flops(head), 2u * (2 * 5 * 4 * 8) * (7 * 7 * 3 + 2));
  EXPECT_EQ(min_bytes(head, 8), 8u * (2 * 9 * 7 * 3 + 8 * 49 * 3 + 8 + 2 * 8 + 2 + 2 * 5 * 4 * 2));

  const UpconvStep up = cases::upconv({1, 8, 6, 16}, 4);
  EXPECT_EQ(output_shape(up), (Shape{1, 16, 12, 4}));
  EXPECT_EQ(op_name(up), "upconv2x2");
  EXPECT_EQ(problem(up), "1x8x6x16 -> 1x16x12x4");
  EXPECT_EQ(flops(up), 2u * (16 * 12 * 4) * 16);
  EXPECT_EQ(min_bytes(up, 4), 4u * (8 * 6 * 16 + 4 * 4 * 16 + 4 + 16 * 12 * 4));
  EXPECT_EQ(problem(cases::upconv_at({1, 8, 6, 16}, 4, 17, 13, 0, 1)), "1x8x6x16 -> 1x17x13x4 at (0,1)");

  const UpsampleStep upsample = cases::upsample({1, 3, 4, 5}, 6, 8);
  EXPECT_EQ(op_name(upsample), "upsample_bilinear");
  EXPECT_EQ(problem(upsample), "1x3x4x5 -> 1x6x8x5");
  EXPECT_EQ(flops(upsample), 8u * 6 * 8 * 5);
  EXPECT_EQ(min_bytes(upsample, 4), 4u * (3 * 4 * 5 + 6 * 8 * 5));

  const PoolStep pool{{2, 5, 7, 3}};
  EXPECT_EQ(output_shape(pool), (Shape{2, 2, 3, 3}));
  EXPECT_EQ(op_name(pool), "max_pool2x2");
  EXPECT_EQ(problem(pool), "2x5x7x3 -> 2x2x3x3");
  EXPECT_EQ(flops(pool), 3u * 2 * 2 * 3 * 3);
  EXPECT_EQ(min_bytes(pool, 4), 4u * (2 * 5 * 7 * 3 + 2 * 2 * 3 * 3));
}

TEST(PlannedStep, NamesShapesAndCostsOfResidualsWindowsAndGates) {
  const ConvStep last = cases::with_residual(cases::conv({1, 8, 6, 16}, 4, 1));
  EXPECT_EQ(op_name(last), "conv2d+add+relu");
  EXPECT_EQ(flops(last), 2u * (8 * 6 * 4) * 16 + 8 * 6 * 4);
  EXPECT_EQ(min_bytes(last, 4), 4u * (8 * 6 * 16 + 4 * 16 + 4 + 2 * (8 * 6 * 4)));

  const PoolStep pool{{2, 5, 8, 3}, 3};
  EXPECT_EQ(output_shape(pool), (Shape{2, 3, 4, 3}));
  EXPECT_EQ(op_name(pool), "max_pool3x3");
  EXPECT_EQ(flops(pool), 8u * 2 * 3 * 4 * 3);
  EXPECT_EQ(min_bytes(pool, 4), 4u * (2 * 5 * 8 * 3 + 2 * 3 * 4 * 3));

  const GateStep gate{{1, 4, 6, 8}};
  EXPECT_EQ(output_shape(gate), gate.x);
  EXPECT_EQ(op_name(gate), "gate");
  EXPECT_EQ(problem(gate), "1x4x6x8 by 1x4x6x1");
  EXPECT_EQ(flops(gate), 4u * 6 * 8 + 3 * 4 * 6);
  EXPECT_EQ(min_bytes(gate, 4), 4u * (2 * 4 * 6 * 8 + 4 * 6));
}

TEST(PlannedStep, NamesShapesAndCostsOfNearestPixelsMeansAndChannelGates) {
  const NearestStep nearest{{2, 3, 4, 5}, 6, 7};
  EXPECT_EQ(output_shape(nearest), (Shape{2, 6, 7, 5}));
  EXPECT_EQ(op_name(nearest), "upsample_nearest");
  EXPECT_EQ(problem(nearest), "2x3x4x5 -> 2x6x7x5");
  EXPECT_EQ(flops(nearest), 0u);
  EXPECT_EQ(min_bytes(nearest, 4), 4u * (2 * 3 * 4 * 5 + 2 * 6 * 7 * 5));

  const MeanStep mean{{2, 3, 4, 5}};
  EXPECT_EQ(output_shape(mean), (Shape{2, 1, 1, 5}));
  EXPECT_EQ(op_name(mean), "global_mean");
  EXPECT_EQ(problem(mean), "2x3x4x5 -> 2x1x1x5");
  EXPECT_EQ(flops(mean), 2u * 3 * 4 * 5);
  EXPECT_EQ(min_bytes(mean, 2), 2u * (2 * 3 * 4 * 5 + 2 * 5));

  ChannelGateStep gate{{2, 4, 6, 8}};
  EXPECT_EQ(output_shape(gate), gate.x);
  EXPECT_EQ(op_name(gate), "channel_gate");
  EXPECT_EQ(problem(gate), "2x4x6x8 by 2x1x1x8");
  EXPECT_EQ(flops(gate), 2u * 4 * 6 * 8);
  EXPECT_EQ(min_bytes(gate, 4), 4u * (2 * (2 * 4 * 6 * 8) + 2 * 8));
  gate.residual = true;
  EXPECT_EQ(op_name(gate), "channel_gate+add");
  EXPECT_EQ(flops(gate), 2u * (2 * 4 * 6 * 8));
  EXPECT_EQ(min_bytes(gate, 4), 4u * (3 * (2 * 4 * 6 * 8) + 2 * 8));
  for (const Step& step : {Step(nearest), Step(mean), Step(gate)}) EXPECT_EQ(weight_elements(step), 0);
}

TEST(PlannedStep, CostsThatOverflowAreRefused) {
  const int64_t huge = int64_t{1} << 31;
  EXPECT_THROW(flops(cases::conv({1, huge, huge, 64}, 64)), Error);
  EXPECT_THROW(min_bytes(PoolStep{{huge, huge, huge, 1}}, 4), Error);
  EXPECT_THROW(RefBackend(nullptr).placed_bytes({huge, huge, huge, 1}), Error);
}

// Memory of exactly the size asked for, poisoned with NaN, with a canary on either side.
class Guarded {
 public:
  explicit Guarded(size_t bytes) : size_(bytes), memory_(bytes + 2 * kGuard, kCanary) {
    std::memset(data(), 0xFF, size_);  // every double a NaN
  }
  std::byte* data() { return memory_.data() + kGuard; }
  bool intact() const {
    const auto is_canary = [](std::byte b) { return b == kCanary; };
    return std::all_of(memory_.begin(), memory_.begin() + kGuard, is_canary) &&
           std::all_of(memory_.end() - kGuard, memory_.end(), is_canary);
  }

 private:
  static constexpr std::ptrdiff_t kGuard = 64;
  static constexpr std::byte kCanary{0xA5};
  size_t size_;
  std::vector<std::byte> memory_;
};

// What a step wrote; empty where it wrote nothing.
struct Results {
  Tensor y, pooled, head;
};

// Runs a step as a plan does: reorder, prepare, run, reorder back, all in guarded memory.
Results run_planned(Backend& backend, const Step& step, const Tensor (&x)[2], const Tensor& residual,
                    const StepWeights& weights) {
  const auto* conv = std::get_if<ConvStep>(&step);
  const Shape y = output_shape(step), pooled = PoolStep{y}.y();
  const bool stores_y = conv == nullptr || conv->store_y, pools = conv != nullptr && conv->pool;
  Guarded in0(backend.placed_bytes(x[0].shape())), in1(x[1].empty() ? 0 : backend.placed_bytes(x[1].shape()));
  Guarded added(residual.empty() ? 0 : backend.placed_bytes(residual.shape()));
  Guarded out(backend.placed_bytes(y)), out_pooled(backend.placed_bytes(pooled)),
      workspace(backend.workspace_bytes(step));

  StepBuffers buffers{.workspace = workspace.data()};
  buffers.x[0] = {in0.data(), x[0].shape()};
  backend.place(x[0], buffers.x[0]);
  if (!x[1].empty()) {
    buffers.x[1] = {in1.data(), x[1].shape()};
    backend.place(x[1], buffers.x[1]);
  }
  if (!residual.empty()) {
    buffers.residual = {added.data(), residual.shape()};
    backend.place(residual, buffers.residual);
  }
  if (stores_y) buffers.y = {out.data(), y};
  if (pools) buffers.pooled = {out_pooled.data(), pooled};
  if (conv != nullptr && conv->head > 0) buffers.head = Tensor({y.n, y.h, y.w, conv->head}, backend.dtype());
  const std::unique_ptr<Packed> packed = backend.prepare(step, weights);
  backend.run(step, packed.get(), buffers);

  Results results;
  if (stores_y) backend.unplace(buffers.y, results.y = Tensor(y, backend.dtype()));
  if (pools) backend.unplace(buffers.pooled, results.pooled = Tensor(pooled, backend.dtype()));
  results.head = buffers.head;
  EXPECT_TRUE(in0.intact() && in1.intact() && added.intact() && out.intact() && out_pooled.intact() &&
              workspace.intact())
      << problem(step);
  return results;
}

// The same by the eager operations, each on its own, and placement pixel by pixel.
Tensor framed(const Tensor& whole, const Shape& frame, int64_t top, int64_t left) {
  Tensor y(frame, DType::f64);
  const Shape& s = whole.shape();
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t h = std::max<int64_t>(0, -top); h < s.h && h + top < frame.h; ++h)
      for (int64_t w = std::max<int64_t>(0, -left); w < s.w && w + left < frame.w; ++w)
        for (int64_t c = 0; c < s.c; ++c)
          y.values<double>()[static_cast<size_t>(((n * frame.h + h + top) * frame.w + w + left) * s.c + c)] =
              whole.values<double>()[static_cast<size_t>(((n * s.h + h) * s.w + w) * s.c + c)];
  return y;
}

struct Eager {
  RefBackend& ref;
  const Tensor (&x)[2];
  const Tensor& residual;
  const StepWeights& weights;

  Results operator()(const ConvStep& s) const {
    Results r;
    Tensor sum(s.y(), DType::f64), y(s.y(), DType::f64);
    ref.conv2d(
        {.x0 = &x[0], .x1 = x[1].empty() ? nullptr : &x[1], .w = &weights.w, .b = &weights.b, .geometry = s.geometry},
        sum);
    if (s.residual) ref.add(sum, residual, sum);
    if (s.act == Activation::relu)
      ref.relu(sum, y);
    else
      y = sum;
    if (s.pool) ref.max_pool2x2(y, r.pooled = Tensor(PoolStep{s.y()}.y(), DType::f64));
    if (s.head > 0)
      ref.conv2d({.x0 = &y, .w = &weights.head_w, .b = &weights.head_b, .geometry = {1, 1, 1, 0}},
                 r.head = Tensor({s.y().n, s.y().h, s.y().w, s.head}, DType::f64));
    if (s.store_y) r.y = y;
    return r;
  }
  Results operator()(const UpconvStep& s) const {
    Tensor whole({s.x.n, 2 * s.x.h, 2 * s.x.w, s.y.c}, DType::f64);
    ref.upconv2x2(x[0], weights.w, &weights.b, whole);
    return {.y = framed(whole, s.y, s.top, s.left)};
  }
  Results operator()(const UpsampleStep& s) const {
    Tensor whole({s.x.n, s.h, s.w, s.x.c}, DType::f64);
    ref.upsample_bilinear(x[0], whole);
    return {.y = framed(whole, s.y, s.top, s.left)};
  }
  Results operator()(const PoolStep& s) const {
    Results r{.y = Tensor(s.y(), DType::f64)};
    if (s.window == 3)
      ref.max_pool3x3(x[0], r.y);
    else
      ref.max_pool2x2(x[0], r.y);
    return r;
  }
  Results operator()(const GateStep& s) const {
    Results r{.y = Tensor(s.x, DType::f64)};
    ref.gate(x[0], x[1], r.y);
    return r;
  }
  Results operator()(const NearestStep& s) const {
    Results r{.y = Tensor(s.y(), DType::f64)};
    ref.upsample_nearest(x[0], r.y);
    return r;
  }
  Results operator()(const MeanStep& s) const {
    Results r{.y = Tensor(s.y(), DType::f64)};
    ref.global_mean(x[0], r.y);
    return r;
  }
  Results operator()(const ChannelGateStep& s) const {
    Results r{.y = Tensor(s.x, DType::f64)};
    ref.channel_gate(x[0], x[1], r.y);
    if (s.residual) ref.add(r.y, residual, r.y);
    return r;
  }
};

TEST(PlannedStep, DefaultRunsAreTheEagerOperationsOneAfterAnother) {
  RefBackend ref(nullptr);
  size_t framed_steps = 0, hidden = 0;
  for (const Step& step : cases::ragged_steps()) {
    const auto* conv = std::get_if<ConvStep>(&step);
    const Shape in = std::visit(
        [](const auto& s) {
          if constexpr (requires { s.oc; })
            return s.x[0];
          else
            return s.x;
        },
        step);
    Tensor x[2] = {random_values(in, 1), conv != nullptr && conv->x[1].c > 0 ? random_values(conv->x[1], 2) : Tensor()};
    if (const auto* gate = std::get_if<GateStep>(&step)) x[1] = random_values(gate->z(), 2);
    if (const auto* gate = std::get_if<ChannelGateStep>(&step)) x[1] = random_values(gate->z(), 2);
    const Tensor residual = cases::has_residual(step) ? random_values(output_shape(step), 4) : Tensor();
    const StepWeights weights = cases::random_weights(step, 3);
    const Results got = run_planned(ref, step, x, residual, weights),
                  want = std::visit(Eager{ref, x, residual, weights}, step);
    const auto expect_same = [&](const Tensor& a, const Tensor& b) {
      ASSERT_EQ(a.empty(), b.empty()) << problem(step);
      if (a.empty()) return;
      EXPECT_TRUE(same_bits(a, b)) << op_name(step) << " " << problem(step);
    };
    expect_same(got.y, want.y);
    expect_same(got.pooled, want.pooled);
    expect_same(got.head, want.head);
    framed_steps += problem(step).find(" at (") != std::string::npos;
    hidden += conv != nullptr && !conv->store_y;
    EXPECT_EQ(ref.workspace_bytes(step) > 0,
              (conv != nullptr && !conv->store_y) || problem(step).find(" at (") != std::string::npos);
  }
  EXPECT_GT(framed_steps, 10u);
  EXPECT_GT(hidden, 5u);
}

TEST(PlannedStep, MissingBiasIsZeroAndWeightsComeInTheBackEndsType) {
  RefBackend ref(nullptr);
  const Step step = cases::conv({1, 4, 4, 3}, 5);
  StepWeights weights = cases::random_weights(step, 3);
  weights.b = Tensor();
  EXPECT_EQ(ref.prepare(step, weights)->bytes(), 8u * 5 * 9 * 3);
  const Tensor x[2] = {random_values({1, 4, 4, 3}, 1), Tensor()};
  const Tensor without = run_planned(ref, step, x, {}, weights).y;
  weights.b = Tensor({1, 1, 1, 5}, DType::f64);
  EXPECT_TRUE(same_bits(run_planned(ref, step, x, {}, weights).y, without));
}

TEST(PlannedStep, RefusesForeignWeightsAndBuffers) {
  RefBackend ref(nullptr);
  const Step step = cases::upconv({1, 2, 2, 3}, 4);
  const auto packed = ref.prepare(step, cases::random_weights(step, 1));
  Tensor x({1, 2, 2, 3}, DType::f64), y({1, 4, 4, 4}, DType::f64), single({1, 2, 2, 3});
  StepBuffers buffers;
  buffers.x[0] = {reinterpret_cast<std::byte*>(x.values<double>().data()), x.shape()};
  buffers.y = {reinterpret_cast<std::byte*>(y.values<double>().data()), y.shape()};
  EXPECT_NO_THROW(ref.run(step, packed.get(), buffers));
  EXPECT_THROW(ref.run(step, nullptr, buffers), Error);
  EXPECT_THROW(ref.place(single, buffers.x[0]), Error);
  EXPECT_THROW(ref.place(x, buffers.y), Error);
  EXPECT_THROW(ref.unplace(buffers.y, x), Error);
  StepBuffers swapped = buffers;
  std::swap(swapped.x[0], swapped.y);
  EXPECT_THROW(ref.run(step, packed.get(), swapped), Error);
  EXPECT_THROW(ref.run(cases::upconv_at({1, 2, 2, 3}, 4, 5, 5, 0, 0), packed.get(), buffers), Error)
      << "no workspace, another y";
}

}  // namespace
}  // namespace furrow
