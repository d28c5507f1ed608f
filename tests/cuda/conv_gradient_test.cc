// The gradients of the convolution kernels against the float64 reference.
#include <optional>

#include "tests/cuda/conv_test_tools.h"

namespace furrow::gpu {
namespace {

struct Case {
  ConvStep step;
  int64_t extra;
  bool accumulate;
};  // extra: pad channels of every image

std::string name_of(const Case& c) { return problem(c.step) + (c.accumulate ? " accumulate" : " overwrite"); }

// Its dx0 and dx1 together and each alone.
void check_grad_input(const Case& c) {
  SCOPED_TRACE(name_of(c));
  const ConvStep& s = c.step;
  const int64_t inputs0 = s.x[0].c, inputs1 = s.x[1].c;
  const Tensor dy = cases::random_values(s.y(), 1), w = cases::random_weights(s, 2).w;
  Tensor want[2] = {cases::random_values(s.x[0], 3), inputs1 > 0 ? cases::random_values(s.x[1], 4) : Tensor()};
  const Tensor before[2] = {want[0].to(DType::f64), inputs1 > 0 ? want[1].to(DType::f64) : Tensor()};
  RefBackend ref(nullptr);
  ref.conv2d_grad_input({.dy = &dy, .w = &w, .geometry = s.geometry}, &want[0], inputs1 > 0 ? &want[1] : nullptr,
                        c.accumulate ? Grad::accumulate : Grad::overwrite);

  DeviceImage device_dy(dy, c.extra);
  DeviceArray<float> device_w(floats_of(w)), scratch(conv_grad_input_scratch(s.geometry, s.oc, inputs0, inputs1));
  const int64_t length = s.oc * s.geometry.kernel_h * s.geometry.kernel_w;
  for (const int asked : {3, 1, 2}) {  // bit i: dx[i]
    if (inputs1 == 0 && asked != 1) continue;
    std::optional<DeviceImage> dx[2];
    for (const int i : {0, 1})
      if (asked >> i & 1) {
        if (c.accumulate)
          dx[i].emplace(before[i], c.extra);
        else
          dx[i].emplace(before[i].shape(), c.extra);
      }
    kernels().grad_input({}, {.dy = device_dy.image(),
                              .w = device_w.data(),
                              .inputs0 = static_cast<int>(inputs0),
                              .inputs1 = static_cast<int>(inputs1),
                              .geometry = s.geometry,
                              .dx0 = dx[0] ? dx[0]->image() : Image{},
                              .dx1 = dx[1] ? dx[1]->image() : Image{},
                              .accumulate = c.accumulate,
                              .scratch = scratch.data()});
    for (const int i : {0, 1})
      if (dx[i]) {
        EXPECT_TRUE(close(dx[i]->values(), want[i], rounding(want[i], length))) << "dx" << i << " of " << asked;
      }
  }
}

void check_grad_weight(const Case& c, bool with_bias = true) {
  SCOPED_TRACE(name_of(c));
  const ConvStep& s = c.step;
  const Tensor dy = cases::random_values(s.y(), 1), x0 = cases::random_values(s.x[0], 2);
  const Tensor x1 = s.x[1].c > 0 ? cases::random_values(s.x[1], 3) : Tensor();
  Tensor dw = cases::random_values({s.oc, s.geometry.kernel_h, s.geometry.kernel_w, cases::input_channels(s)}, 4);
  Tensor db = cases::random_values({1, 1, 1, s.oc}, 5);
  const size_t weights = static_cast<size_t>(dw.shape().elements());
  DeviceArray<float> device_dw(c.accumulate ? floats_of(dw) : std::vector<float>(weights, NAN));
  DeviceArray<float> device_db(c.accumulate ? floats_of(db) : std::vector<float>(static_cast<size_t>(s.oc), NAN));
  RefBackend ref(nullptr);
  ref.conv2d_grad_weight({.x0 = &x0, .x1 = x1.empty() ? nullptr : &x1, .dy = &dy, .geometry = s.geometry}, dw, &db,
                         c.accumulate ? Grad::accumulate : Grad::overwrite);

  DeviceImage device_x0(x0, c.extra), device_dy(dy, c.extra);
  std::optional<DeviceImage> device_x1;
  if (!x1.empty()) device_x1.emplace(x1, c.extra);
  DeviceArray<float> scratch(
      conv_grad_weight_scratch(dy.shape().pixels(), s.oc, dw.shape().h * dw.shape().w, dw.shape().c));
  kernels().grad_weight({}, {.x0 = device_x0.image(),
                             .x1 = device_x1 ? device_x1->image() : Image{},
                             .dy = device_dy.image(),
                             .geometry = s.geometry,
                             .dw = device_dw.data(),
                             .db = with_bias ? device_db.data() : nullptr,
                             .accumulate = c.accumulate,
                             .scratch = scratch.data()});
  EXPECT_TRUE(close(tensor_of(dw.shape(), device_dw.values()), dw, rounding(dw, dy.shape().pixels())));
  if (with_bias) {
    EXPECT_TRUE(close(tensor_of(db.shape(), device_db.values()), db, rounding(db, dy.shape().pixels())));
  }
}

ConvStep oblong(int64_t stride) {
  ConvStep s = cases::conv({2, 9, 10, 5}, 3);
  s.geometry = {2, 5, stride, 1};
  return s;
}

TEST(ConvGradInput, EverySchedule) {
  using namespace cases;
  in_every_schedule([] {
    check_grad_input({conv({2, 9, 17, 33}, 4, 9, 3, 1), 0, true});
    check_grad_input({conv({2, 17, 9, 3}, 2, 17, 3, 2), 3, true});
    check_grad_input({oblong(3), 0, false});  // input rows that no output reads
  });
}

TEST(ConvGradInput, RaggedShapes) {
  int64_t i = 0;
  for (const Step& step : cases::ragged_convolutions()) {
    const auto& s = std::get<ConvStep>(step);
    if (s.x[0].pixels() > 2000) continue;  // forward tests that size
    check_grad_input({s, i % 4, i / 4 % 2 == 1});
    ++i;
  }
  check_grad_input({oblong(1), 1, false});
  check_grad_input({oblong(2), 0, true});
}

TEST(ConvGradWeight, EverySchedule) {
  using namespace cases;
  in_every_schedule([] {
    check_grad_weight({conv({2, 17, 17, 5}, 3, 66, 3, 1), 1, true});  // two row tiles, two column tiles, two slices
    check_grad_weight({oblong(2), 0, false});
  });
}

TEST(ConvGradWeight, RaggedShapes) {
  int64_t i = 0;
  for (const Step& step : cases::ragged_convolutions()) {
    const auto& s = std::get<ConvStep>(step);
    if (s.x[0].pixels() > 2000) continue;
    check_grad_weight({s, i % 4, i / 4 % 2 == 1}, i % 3 != 0);
    ++i;
  }
  check_grad_weight({cases::conv({3, 70, 53, 2}, 3), 0, false});  // 43 slices: the second stage's groups
}

}  // namespace
}  // namespace furrow::gpu
