// Runs one planned step on any back-end, with every buffer as large as the back-end asks for and not a byte more.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/layout.h"
#include "tests/kernels/cases.h"

namespace furrow {

// Memory between two guards. Everything starts as 0xFF bytes, which read as NaN: a value that was never written shows,
// and so does a byte written outside.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t bytes) : bytes_(bytes), memory_({1, 1, 1, Size(bytes + 2 * kGuard)}, DType::u8) {
    std::memset(begin(), 0xFF, bytes + 2 * kGuard);
  }
  std::byte* data() { return begin() + kGuard; }
  bool intact() {
    for (size_t i = 0; i < kGuard; ++i)
      if (begin()[i] != std::byte{0xFF} || data()[bytes_ + i] != std::byte{0xFF}) return false;
    return true;
  }

 private:
  using Size = int64_t;
  static constexpr size_t kGuard = 256;
  std::byte* begin() { return reinterpret_cast<std::byte*>(memory_.values<uint8_t>().data()); }
  size_t bytes_;
  Tensor memory_;
};

// The bytes of a dense tensor of f32 or f64.
inline const void* data_of(const Tensor& t) {
  if (t.dtype() == DType::f64) return t.values<double>().data();
  return t.values<float>().data();
}

// What a step leaves behind, dense and in the back-end's type; without elements where the step does not ask for it.
struct StepResults {
  Tensor y, pooled, head;
};

// The inputs of a step, float64; of a step with a residual, that comes last.
inline std::vector<Tensor> random_inputs(const Step& step, uint64_t seed) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    std::vector<Tensor> x{cases::random_values(conv->x[0], seed)};
    if (conv->x[1].c > 0) x.push_back(cases::random_values(conv->x[1], seed + 1));
    if (conv->residual) x.push_back(cases::random_values(conv->y(), seed + 2));
    return x;
  }
  if (const auto* up = std::get_if<UpconvStep>(&step)) return {cases::random_values(up->x, seed)};
  if (const auto* up = std::get_if<UpsampleStep>(&step)) return {cases::random_values(up->x, seed)};
  if (const auto* gate = std::get_if<GateStep>(&step))
    return {cases::random_values(gate->x, seed), cases::random_values(gate->z(), seed + 1)};
  if (const auto* nearest = std::get_if<NearestStep>(&step)) return {cases::random_values(nearest->x, seed)};
  if (const auto* mean = std::get_if<MeanStep>(&step)) return {cases::random_values(mean->x, seed)};
  if (const auto* gate = std::get_if<ChannelGateStep>(&step)) {
    std::vector<Tensor> x{cases::random_values(gate->x, seed), cases::random_values(gate->z(), seed + 1)};
    if (gate->residual) x.push_back(cases::random_values(gate->x, seed + 2));
    return x;
  }
  return {cases::random_values(std::get<PoolStep>(step).x, seed)};
}

// Lanes past the last channel of a buffer of device `cpu` have no meaning (kernels/cpu/layout.h): makes them NaN.
inline void spoil_spare_lanes(const Backend& backend, const Placed& placed) {
  if (dynamic_cast<const cpu::CpuBackend*>(&backend) == nullptr || placed.data == nullptr || placed.quantised) return;
  const cpu::BlockedLayout layout(placed.shape);
  const Shape& s = placed.shape;
  const int64_t used = s.c - (layout.blocks - 1) * layout.lanes;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t h = 0; h < s.h; ++h) {
      float* row = reinterpret_cast<float*>(placed.data) + layout.row(n, layout.blocks - 1, h);
      for (int64_t w = 0; w < s.w; ++w)
        for (int64_t lane = used; lane < layout.lanes; ++lane) row[w * layout.lanes + lane] = std::nanf("");
    }
}

// Padding of a quantised buffer is the zero point: before every row, and after the last.
inline void expect_zero_padding(const Placed& placed) {
  const cpu::BlockedLayout layout(placed.shape);
  const Shape& s = placed.shape;
  size_t other = 0;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t block = 0; block < layout.blocks; ++block)
      for (int64_t h = 0; h < s.h; ++h)
        for (int64_t lane = 0; lane < layout.lanes; ++lane) {
          const auto* row = reinterpret_cast<const uint8_t*>(placed.data) + layout.row(n, block, h) + lane;
          other += row[-layout.lanes] != placed.quantised.zero_point;
          other += h + 1 == s.h && row[s.w * layout.lanes] != placed.quantised.zero_point;
        }
  EXPECT_EQ(other, 0u) << "bytes of padding that are not the zero point";
}

// `after`, where given, sees the buffers as the step left them.
inline StepResults run_step(Backend& backend, const Step& step, const std::vector<Tensor>& x,
                            const StepWeights& weights,
                            const std::function<void(const StepBuffers&)>& after = nullptr) {
  std::vector<std::unique_ptr<GuardedBuffer>> memory;
  const auto take = [&](size_t bytes) {
    memory.push_back(std::make_unique<GuardedBuffer>(bytes));
    return memory.back()->data();
  };
  const auto placed = [&](const Shape& shape, const Quantised& q = {}) {
    return Placed{take(q ? backend.placed_bytes_of_bytes(shape) : backend.placed_bytes(shape)), shape, q};
  };
  const auto dense = [&](const Placed& from) {
    Tensor t(from.shape, backend.dtype());
    backend.unplace(from, t);
    return t;
  };
  const auto* conv = std::get_if<ConvStep>(&step);
  const StepBytes bytes = bytes_of(step) != nullptr ? *bytes_of(step) : StepBytes{};
  const auto stored = [&](size_t i) { return i < 2 && bytes.in_bytes[i] ? bytes.x[i] : Quantised{}; };
  const Shape y = output_shape(step), half{y.n, y.h / 2, y.w / 2, y.c};
  StepBuffers buffers;
  const auto input = [&](size_t i) -> Placed& {
    return cases::has_residual(step) && i + 1 == x.size() ? buffers.residual : buffers.x[i];
  };
  for (size_t i = 0; i < x.size(); ++i) {
    input(i) = placed(x[i].shape(), stored(i));
    backend.place(x[i].to(backend.dtype()), input(i));
    spoil_spare_lanes(backend, input(i));
  }
  if (conv == nullptr || conv->store_y) buffers.y = placed(y, bytes.y);
  if (conv != nullptr && conv->pool) buffers.pooled = placed(half, bytes.y);
  if (conv != nullptr && conv->head > 0) {
    const Shape shape{y.n, y.h, y.w, conv->head};
    std::byte* head = take(static_cast<size_t>(shape.elements()) * size_of(backend.dtype()));
    buffers.head = Tensor(shape, backend.dtype(), head, nullptr);
  }
  buffers.workspace = take(backend.workspace_bytes(step));
  backend.run(step, backend.prepare(step, weights).get(), buffers);
  if (after) after(buffers);
  for (const auto& m : memory) EXPECT_TRUE(m->intact()) << "written outside a buffer: " << problem(step);

  for (const Placed* written : {&buffers.y, &buffers.pooled})
    if (written->data != nullptr && written->quantised) expect_zero_padding(*written);

  StepResults out;
  if (buffers.y.data != nullptr) out.y = dense(buffers.y);
  if (buffers.pooled.data != nullptr) out.pooled = dense(buffers.pooled);
  if (!buffers.head.empty()) out.head = Tensor(buffers.head.shape(), backend.dtype());
  if (!out.head.empty()) std::memcpy(const_cast<void*>(data_of(out.head)), data_of(buffers.head), out.head.bytes());
  for (size_t i = 0; i < x.size(); ++i) {  // sources are only read
    const Placed again = placed(x[i].shape(), stored(i));
    backend.place(x[i].to(backend.dtype()), again);
    spoil_spare_lanes(backend, again);
    const Tensor before = dense(again), now = dense(input(i));
    EXPECT_EQ(std::memcmp(data_of(before), data_of(now), before.bytes()), 0) << problem(step);
    const size_t all =
        stored(i) ? backend.placed_bytes_of_bytes(x[i].shape()) : backend.placed_bytes(x[i].shape());  // pads too
    EXPECT_EQ(std::memcmp(again.data, input(i).data, all), 0) << problem(step);
  }
  return out;
}

}  // namespace furrow
