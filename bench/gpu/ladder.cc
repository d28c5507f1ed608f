// The five steps of kernels/cuda/ladder on one shape (docs/ladder.md).
#include <cstring>

#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "kernels/half.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

struct LadderStep {
  const char* name;
  Precision precision;   // of storage: fp32 or fp16
  void (*gpu::LadderKernels::*launch)(gpu::Stream, const gpu::LadderArgs&);
};
constexpr LadderStep kSteps[] = {{"1 naive", Precision::fp32, &gpu::LadderKernels::naive},
                                 {"2 shared tile", Precision::fp32, &gpu::LadderKernels::shared_tile},
                                 {"3 register tile", Precision::fp32, &gpu::LadderKernels::register_tile},
                                 {"4 mma", Precision::fp16, &gpu::LadderKernels::mma},
                                 {"5 pipelined halo", Precision::fp16, &gpu::LadderKernels::pipelined_halo}};

// Values as they are stored: float32, or bits of float16.
std::vector<std::byte> stored(const Tensor& t, bool half) {
  const Tensor narrow = t.to(DType::f32);
  const auto values = narrow.values<float>();
  std::vector<std::byte> out(values.size() * (half ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = f32_to_f16(values[i]);
    std::memcpy(&out[i * (half ? 2 : 4)], half ? static_cast<const void*>(&bits) : &values[i], half ? 2 : 4);
  }
  return out;
}

}  // namespace

void add_ladder(Session& session) {
  const int side = session.tiny() ? 16 : 256, channels = session.tiny() ? 16 : 128;
  const ConvStep step = cases::conv({1, side, side, channels}, channels);
  StepInputs in{.x = {cases::random_values(step.x[0], 2, DType::f32), {}}, .weights = cases::random_weights(step, 1)};
  for (const LadderStep& rung : kSteps) {
    const std::string name = std::string(rung.name) + " " + problem(step);
    if (!session.time_for("ladder " + name, session.tiny() ? 0.2 : 4)) continue;
    const bool half = rung.precision == Precision::fp16;
    const std::vector<std::byte> x_host = stored(in.x[0], half), w_host = stored(in.weights.w, half),
                                 b_host = stored(in.weights.b, false);
    const std::vector<std::byte> nan(x_host.size(), std::byte{0xFF});   // all bits set: NaN in both types
    gpu::Runtime& runtime = session.runtime();
    const DeviceBytes x(runtime, x_host.data(), x_host.size()), w(runtime, w_host.data(), w_host.size()),
        b(runtime, b_host.data(), b_host.size()), y(runtime, nan.data(), nan.size());
    const DType type = half ? DType::f16 : DType::f32;
    const gpu::LadderArgs args{.x = {x.data(), type, 1, side, side, channels, channels},
                               .w = w.data(),
                               .b = b.as<float>(),
                               .y = {y.data(), type, 1, side, side, channels, channels}};
    const auto launch = session.tables().ladder->*rung.launch;
    const Timing timing = session.time({session.launches([&] { launch(session.stream(), args); })}, 5)[0];
    std::vector<std::byte> bits(nan.size());
    y.download(bits.data());
    StepResults got{.y = Tensor(step.y())};
    auto values = got.y.values<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t narrow = 0;
      std::memcpy(half ? static_cast<void*>(&narrow) : &values[i], &bits[i * (half ? 2 : 4)], half ? 2 : 4);
      if (half) values[i] = f16_to_f32(narrow);
    }
    Row row{.group = "ladder",
            .name = name,
            .cost = {static_cast<double>(flops(step)), static_cast<double>(min_bytes(step, half ? 2 : 4))},
            .timed = "device"};
    row.note = half ? "fp16" : "fp32";
    row.check = {"samples against float64, of the largest", sampled_error(step, in, got, session.tiny() ? 16 : 48),
                 rounding_bound(half ? "fp16" : "fp32", 9 * int64_t{channels})};
    session.add(std::move(row), timing, session.peak_tflops(rung.precision));
  }
}

}  // namespace furrow::bench
