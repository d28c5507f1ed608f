// The transposed convolution kernels, forward and gradients, against the float64 reference.
#include "tests/cuda/conv_test_tools.h"
#include "tests/kernels/run_step.h"

namespace furrow::gpu {
namespace {

void check_forward(const UpconvStep& step, int64_t extra) {
  SCOPED_TRACE(problem(step));
  const StepWeights weights = cases::random_weights(step, 7);
  const std::vector<Tensor> x = random_inputs(step, 3);
  RefBackend ref(nullptr);
  const Tensor want = run_step(ref, step, x, weights).y;
  DeviceImage in(x[0], extra), y(step.y, extra);
  DeviceArray<float> packed(pack_upconv(weights.w)), bias(floats_of(weights.b));
  kernels().upconv({}, {.x = in.image(),
                        .weights = packed.data(),
                        .bias = bias.data(),
                        .y = y.image(),
                        .top = static_cast<int>(step.top),
                        .left = static_cast<int>(step.left)});
  EXPECT_TRUE(close(y.values(), want, rounding(want, step.x.c)));
}

void check_gradients(const Shape& x_shape, int64_t oc, int64_t extra, bool accumulate) {
  SCOPED_TRACE(to_string(x_shape) + " -> " + std::to_string(oc) + (accumulate ? " accumulate" : " overwrite"));
  const Shape y_shape{x_shape.n, 2 * x_shape.h, 2 * x_shape.w, oc};
  const Tensor x = cases::random_values(x_shape, 1), dy = cases::random_values(y_shape, 2);
  const Tensor w = cases::random_weights(cases::upconv(x_shape, oc), 3).w;
  Tensor dx = cases::random_values(x_shape, 4), dw = cases::random_values(w.shape(), 5),
         db = cases::random_values({1, 1, 1, oc}, 6);
  DeviceImage in(x, extra), device_dy(dy, extra), device_dx(dx, extra), empty(x_shape, extra);
  const auto start = [&](const Tensor& t) {
    return accumulate ? floats_of(t) : std::vector<float>(static_cast<size_t>(t.shape().elements()), NAN);
  };
  DeviceArray<float> device_w(floats_of(w)), device_dw(start(dw)), device_db(start(db));
  RefBackend ref(nullptr);
  const Grad mode = accumulate ? Grad::accumulate : Grad::overwrite;
  ref.upconv2x2_grad_input(dy, w, dx, mode);
  ref.upconv2x2_grad_weight(x, dy, dw, &db, mode);

  DeviceImage& target = accumulate ? device_dx : empty;
  DeviceArray<float> scratch(conv_packed_floats(kUpconvTiling, x_shape.c, 4, oc, 0));
  DeviceArray<float> weight_scratch(upconv_grad_weight_scratch(x_shape.pixels(), oc, x_shape.c));
  kernels().upconv_grad_input({}, {.dy = device_dy.image(),
                                   .w = device_w.data(),
                                   .dx = target.image(),
                                   .accumulate = accumulate,
                                   .scratch = scratch.data()});
  kernels().upconv_grad_weight({}, {.x = in.image(),
                                    .dy = device_dy.image(),
                                    .dw = device_dw.data(),
                                    .db = device_db.data(),
                                    .accumulate = accumulate,
                                    .scratch = weight_scratch.data()});
  EXPECT_TRUE(close(target.values(), dx, rounding(dx, 4 * oc)));
  EXPECT_TRUE(close(tensor_of(dw.shape(), device_dw.values()), dw, rounding(dw, x_shape.pixels())));
  const double deviation = std::sqrt(static_cast<double>(y_shape.pixels()) / 3);  // db may be a single number
  EXPECT_TRUE(close(tensor_of(db.shape(), device_db.values()), db, rounding(db, y_shape.pixels(), deviation)));
}

TEST(Upconv, EverySchedule) {
  in_every_schedule([] {
    check_forward(cases::upconv({2, 9, 17, 17}, 33), 3);
    check_forward(cases::upconv_at({1, 4, 5, 3}, 5, 11, 9, -1, 2), 0);
    check_gradients({2, 9, 17, 5}, 18, 2, true);
  });
}

TEST(Upconv, RaggedShapes) {
  int64_t i = 0;
  for (const Step& step : cases::ragged_resampling()) {
    const auto* up = std::get_if<UpconvStep>(&step);
    if (up == nullptr) continue;
    check_forward(*up, i++ % 4);
    check_gradients(up->x, up->y.c, i % 4, i % 2 == 0);
  }
}

// A frame far from the result holds zeros, and no bias.
TEST(Upconv, FillsTheFrameWithZeros) {
  check_forward(cases::upconv_at({1, 2, 3, 4}, 6, 40, 30, 21, 13), 2);
  check_forward(cases::upconv_at({1, 2, 3, 4}, 6, 5, 7, -9, 0), 0);  // nothing of it inside
}

TEST(Upconv, PacksTheSameOnBothSides) {
  const Tensor w = cases::random_values({35, 2, 2, 18}, 4);
  const std::vector<float> want = pack_upconv(w);
  DeviceArray<float> dense(floats_of(w)), packed(want.size());
  kernels().pack_upconv({}, {.w = dense.data(), .packed = packed.data(), .oc = 35, .ic = 18});
  EXPECT_EQ(packed.values(), want);
}

}  // namespace
}  // namespace furrow::gpu
