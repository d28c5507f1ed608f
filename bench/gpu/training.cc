// What a training step does beside the network: loss with its gradient, and the optimiser's step.
#include <cmath>

#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "kernels/cuda/loss.h"
#include "kernels/half.h"
#include "kernels/ref/losses.h"
#include "kernels/ref/optim.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

void add_loss(Session& session) {
  const Shape shape = session.tiny() ? Shape{2, 32, 32, 1} : Shape{8, 512, 512, 1};
  const DiceFocal form = dice_focal_form("L6");
  const auto pixels = static_cast<size_t>(shape.elements());
  Tensor z = cases::random_values(shape, 1, DType::f32), t(shape, DType::f64), dz(shape, DType::f64);
  std::vector<uint8_t> targets(pixels);
  for (size_t i = 0; i < pixels; ++i) {
    z.values<float>()[i] = f16_to_f32(f32_to_f16(4 * z.values<float>()[i]));   // the same logits in both types
    targets[i] = i % 7 == 0 ? 1 : 0;
    t.values<double>()[i] = targets[i];
  }
  const DiceFocalValue want = ref::dice_focal(form, z.to(DType::f64), t, &dz);
  const Tensor gradient = dz.to(DType::f32);
  gpu::Runtime& runtime = session.runtime();
  const DeviceBytes target(runtime, targets.data(), targets.size()), value(runtime, sizeof(DiceFocalValue)),
      workspace(runtime, gpu::dice_focal_workspace(shape.n, shape.h, shape.w));
  for (const bool half : {false, true}) {
    std::vector<uint16_t> narrow(pixels);
    for (size_t i = 0; i < pixels; ++i) narrow[i] = f32_to_f16(z.values<float>()[i]);
    const size_t element = half ? 2 : 4;
    const std::vector<std::byte> nan(pixels * element, std::byte{0xFF});
    const DeviceBytes in(runtime, half ? static_cast<const void*>(narrow.data()) : z.values<float>().data(),
                         pixels * element),
        out(runtime, nan.data(), nan.size());
    const DType type = half ? DType::f16 : DType::f32;
    const int n = static_cast<int>(shape.n), side = static_cast<int>(shape.h);
    // Gradients of a mean over 2 M pixels lie below what float16 can tell from 0: scaled, as in training.
    const float scale = half ? 65536 : 1;
    const gpu::DiceFocalArgs args{.form = form,
                                  .z = {in.data(), type, n, side, side, 1, 1},
                                  .targets = target.data(),
                                  .dz = {out.data(), type, n, side, side, 1, 1},
                                  .scale = {.factor = scale},
                                  .value = value.as<DiceFocalValue>(),
                                  .workspace = workspace.data()};
    const Timing timing =
        session.time({session.launches([&] { session.tables().api->loss->dice_focal(session.stream(), args); })}, 5)[0];
    DiceFocalValue got;
    value.download(&got);
    std::vector<float> got_dz(pixels);
    out.download(half ? static_cast<void*>(narrow.data()) : got_dz.data());
    for (size_t i = 0; i < pixels; ++i) got_dz[i] = (half ? f16_to_f32(narrow[i]) : got_dz[i]) / scale;
    const double value_error = std::abs(got.total - want.total) / want.total,
                 by = relative_difference(got_dz, gradient.values<float>());
    // float32 arithmetic per pixel: some 8 roundings (tests/cuda/loss_test.cc); float16 rounds the gradient to 11 bits.
    session.add({.group = "loss",
                 .name = std::string("dice+focal b") + std::to_string(shape.n) + " " + std::to_string(side) +
                         (half ? " fp16" : " fp32"),
                 .cost = {0, static_cast<double>(pixels * (2 * element + 1))},
                 .timed = "device",
                 .note = "value and gradient; logits, targets u8, gradient moved once",
                 .check = {"value and gradient against float64, relative", value_error <= by ? by : value_error,
                           half ? 1e-3 : 2e-6}},
                timing, 0);
  }
}

void add_optimiser(Session& session) {
  const int64_t count = session.tiny() ? 50'000 : 31'000'000, checked = std::min<int64_t>(count, 100'000);
  const Tensor p0 = cases::random_values({1, 1, 1, count}, 1, DType::f32),
               g0 = cases::random_values({1, 1, 1, count}, 2, DType::f32);
  const size_t bytes = p0.bytes();
  gpu::Runtime& runtime = session.runtime();
  const DeviceBytes p(runtime, p0.values<float>().data(), bytes), g(runtime, g0.values<float>().data(), bytes),
      m(runtime, bytes), v(runtime, bytes), shadow(runtime, bytes / 2);
  runtime.zero(session.stream(), m.data(), bytes);
  runtime.zero(session.stream(), v.data(), bytes);
  const double lr = 1e-3;
  const OptimState fresh;
  const OptimSegment whole{0, 1, 0.01f};
  const DeviceBytes state(runtime, &fresh, sizeof fresh), rate(runtime, &lr, sizeof lr),
      segment(runtime, &whole, sizeof whole), workspace(runtime, gpu::optim_workspace(count));
  const auto step = [&] {
    session.tables().optim->prepare(session.stream(), {.gradient = g.as<float>(),
                                                       .count = count,
                                                       .max_norm = 1,
                                                       .state = state.as<OptimState>(),
                                                       .workspace = workspace.data()});
    session.tables().optim->adamw(session.stream(), {.options = {},
                                                     .buffers = {.gradient = g.as<float>(),
                                                                 .parameters = p.as<float>(),
                                                                 .shadow = shadow.data(),
                                                                 .shadow_type = DType::bf16,
                                                                 .count = count,
                                                                 .segments = segment.as<OptimSegment>(),
                                                                 .segment_count = 1,
                                                                 .lr = rate.as<double>(),
                                                                 .state = state.as<OptimState>()},
                                                     .m = m.as<float>(),
                                                     .v = v.as<float>()});
  };
  // The first step against float64, before the timing takes thousands more.
  step();
  runtime.synchronize(session.stream());
  std::vector<float> got(static_cast<size_t>(count));
  p.download(got.data());
  const auto wide = [&](const Tensor& t) {
    const Tensor all = t.to(DType::f64);
    return std::vector<double>(all.values<double>().begin(), all.values<double>().end());
  };
  const std::vector<double> gradient = wide(g0);
  std::vector<double> want = wide(p0);
  want.resize(static_cast<size_t>(checked));
  OptimState exact;
  ref::optim_prepare(gradient, 1, {}, exact);
  std::vector<double> first(want.size()), second(want.size());
  ref::adamw({}, lr, {&whole, 1}, exact, std::span(gradient).first(want.size()), first, second, want);
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double by = std::abs(static_cast<double>(got[i]) - want[i]);
    worst = std::isnan(worst) || by <= worst ? worst : by;
  }
  const Timing timing = session.time({session.launches(step)}, 10)[0];
  // A parameter below 1 is rounded to float32 three times, 2^-25 each; its change, of at most lr, adds 1e-4 of that.
  session.add({.group = "optimiser",
               .name = "clip+adamw " + std::to_string(count),
               .cost = {0, 34.0 * static_cast<double>(count)},
               .timed = "device",
               .note = "norm, factor, update, bf16 copy: 34 bytes a parameter",
               .check = {"first step against float64, absolute", worst, 0x1.8p-24}},
              timing, 0);
}

}  // namespace

void add_training(Session& session) {
  if (session.time_for("loss", session.tiny() ? 0.2 : 8)) add_loss(session);
  if (session.time_for("optimiser", session.tiny() ? 0.2 : 10)) add_optimiser(session);
}

}  // namespace furrow::bench
