// Attention gates, eager and planned, and the residual of a planned convolution. All are bound by memory.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/more_steps.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTaskPixels = 1024, kTaskFloats = 16384;

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

float opening(float z) {
  const float e = std::exp(-std::fabs(z));  // never overflows
  return (z < 0 ? e : 1.0f) / (1.0f + e);
}

// body(pixel) for all of them, in tasks of fixed size.
template <class Body>
void for_pixels(ThreadPool* pool, int64_t pixels, const Body& body) {
  for_tasks(pool, ceil_div(pixels, kTaskPixels), [&](int64_t task, int) {
    const int64_t end = std::min((task + 1) * kTaskPixels, pixels);
    for (int64_t pixel = task * kTaskPixels; pixel < end; ++pixel) body(pixel);
  });
}

}  // namespace

void CpuBackend::gate(const Tensor& x, const Tensor& z, Tensor& y) {
  const Shape& s = x.shape();
  require(y.shape() == s && z.shape() == Shape{s.n, s.h, s.w, 1}, "gate: shapes");
  const float *from = in(x), *logits = in(z);
  float* to = out(y);
  for_pixels(pool_, s.n * s.h * s.w, [&](int64_t pixel) {
    const float open = opening(logits[pixel]);
    for (int64_t i = pixel * s.c; i < (pixel + 1) * s.c; ++i) to[i] = from[i] * open;
  });
}

// The sum over channels goes in double: one chain of float32 would be all that stands between it and the bound of sums.
void CpuBackend::gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) {
  const Shape& s = x.shape();
  require(dy.shape() == s && z.shape() == Shape{s.n, s.h, s.w, 1}, "gate_grad: shapes");
  require((dx == nullptr || dx->shape() == s) && (dz == nullptr || dz->shape() == z.shape()), "gate_grad: results");
  const float *from = in(x), *logits = in(z), *gradient = in(dy);
  float *to_x = dx != nullptr ? out(*dx) : nullptr, *to_z = dz != nullptr ? out(*dz) : nullptr;
  for_pixels(pool_, s.n * s.h * s.w, [&](int64_t pixel) {
    const float open = opening(logits[pixel]);
    double sum = 0;
    for (int64_t i = pixel * s.c; i < (pixel + 1) * s.c; ++i) {
      sum += static_cast<double>(gradient[i]) * static_cast<double>(from[i]);
      if (to_x != nullptr) store(to_x[i], gradient[i] * open, mode);
    }
    if (to_z != nullptr) store(to_z[pixel], static_cast<float>(open * (1 - open) * sum), mode);
  });
}

void run_gate(const Machine& m, const GateStep& step, const StepBuffers& buffers) {
  require(step.x.n > 0 && step.x.h > 0 && step.x.w > 0 && step.x.c > 0, "GateStep: an extent is not positive");
  expect(buffers.x[0], step.x, "GateStep: buffer x");
  expect(buffers.x[1], step.z(), "GateStep: buffer z");
  expect(buffers.y, step.x, "GateStep: buffer y");
  const BlockedLayout x(step.x), z(step.z());
  for_tasks(m.pool, x.shape.n * x.shape.h, [&](int64_t task, int) {
    const int64_t n = task / x.shape.h, h = task % x.shape.h;
    const float* logits = floats(buffers.x[1]) + z.row(n, 0, h);
    for (int64_t w = 0; w < x.shape.w; ++w) {
      const float open = opening(logits[w * z.lanes]);
      for (int64_t block = 0; block < x.blocks; ++block) {
        const int64_t at = x.row(n, block, h) + w * x.lanes;
        const float* from = floats(buffers.x[0]) + at;
        float* to = floats(buffers.y.data) + at;
        for (int64_t i = 0; i < x.lanes; ++i) to[i] = from[i] * open;
      }
    }
    for (int64_t block = 0; block < x.blocks; ++block) x.close_row(floats(buffers.y.data) + x.row(n, block, h), h);
  });
}

// Both have one layout, so rows, blocks and the zeros between them are one line of numbers.
void add_residual(const Machine& m, const ConvStep& step, const StepBuffers& buffers) {
  const Shape shape = step.y();
  expect(buffers.residual, shape, "ConvStep: buffer residual");
  expect(buffers.y, shape, "ConvStep: buffer y");
  const BlockedLayout layout(shape);
  const float* residual = floats(buffers.residual);
  float* y = floats(buffers.y.data);
  const bool relu = step.act == Activation::relu;
  const int64_t rows = layout.shape.n * layout.blocks * layout.shape.h, width = layout.shape.w * layout.lanes;
  const int64_t task_rows = std::max<int64_t>(1, kTaskFloats / width);
  for_tasks(m.pool, ceil_div(rows, task_rows), [&](int64_t task, int) {
    for (int64_t r = task * task_rows; r < std::min((task + 1) * task_rows, rows); ++r) {
      const int64_t plane = r / layout.shape.h;
      const int64_t at = layout.row(plane / layout.blocks, plane % layout.blocks, r % layout.shape.h);
      for (int64_t i = at; i < at + width; ++i) {
        const float sum = y[i] + residual[i];
        y[i] = relu && sum <= 0 ? 0 : sum;
      }
    }
  });
}

}  // namespace furrow::cpu
