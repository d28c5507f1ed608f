// One number for each image and channel: global means and channel attention, eager and planned. All wait for memory.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/more_steps.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kChunkPixels = 1024;

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

float open_by(float z) {
  const float e = std::exp(-std::fabs(z));  // never overflows
  return (z < 0 ? e : 1.0f) / (1.0f + e);
}
// The slope of that, s * (1-s): as a product it would lose digits where s is near 1.
double slope_at(float z) {
  const double e = std::exp(-std::fabs(static_cast<double>(z)));
  return e / ((1 + e) * (1 + e));
}

// sums[n][c] over the pixels of image n, in double: body(first value, one past the last, the sums of a channel's chunk)
// adds up the pixels of a chunk in order; chunks have a fixed size and are added in order too.
template <class Body>
std::vector<double> image_sums(ThreadPool* pool, const Shape& s, const Body& body) {
  const int64_t pixels = s.h * s.w, chunks = ceil_div(pixels, kChunkPixels);
  std::vector<double> parts(static_cast<size_t>(s.n * chunks * s.c)), sums(static_cast<size_t>(s.n * s.c));
  for_tasks(pool, s.n * chunks, [&](int64_t task, int) {
    const int64_t first = task / chunks * pixels, begin = task % chunks * kChunkPixels;
    body(first + begin, first + std::min(begin + kChunkPixels, pixels), parts.data() + task * s.c);
  });
  for (int64_t task = 0; task < s.n * chunks; ++task)
    for (int64_t c = 0; c < s.c; ++c)
      sums[static_cast<size_t>(task / chunks * s.c + c)] += parts[static_cast<size_t>(task * s.c + c)];
  return sums;
}

// y = factors of the image * x, for all pixels, in tasks of fixed size.
void scale_channels(ThreadPool* pool, const Shape& s, const float* x, const float* factors, float* y, Grad mode) {
  const int64_t pixels = s.h * s.w, chunks = ceil_div(pixels, kChunkPixels);
  for_tasks(pool, s.n * chunks, [&](int64_t task, int) {
    const int64_t n = task / chunks, begin = task % chunks * kChunkPixels;
    const float* factor = factors + n * s.c;
    for (int64_t pixel = n * pixels + begin; pixel < n * pixels + std::min(begin + kChunkPixels, pixels); ++pixel) {
      const float* from = x + pixel * s.c;
      float* to = y + pixel * s.c;
      if (mode == Grad::overwrite)
        for (int64_t c = 0; c < s.c; ++c) to[c] = from[c] * factor[c];
      else
        for (int64_t c = 0; c < s.c; ++c) to[c] += from[c] * factor[c];
    }
  });
}

std::vector<float> openings(const Tensor& z) {
  std::vector<float> open;
  for (const float logit : z.values<float>()) open.push_back(open_by(logit));
  return open;
}

}  // namespace

void CpuBackend::global_mean(const Tensor& x, Tensor& y) {
  const Shape& s = x.shape();
  require(s.h > 0 && s.w > 0 && y.shape() == Shape{s.n, 1, 1, s.c}, "global_mean: shapes");
  const float* from = in(x);
  const std::vector<double> sums = image_sums(pool_, s, [&](int64_t begin, int64_t end, double* part) {
    for (int64_t pixel = begin; pixel < end; ++pixel)
      for (int64_t c = 0; c < s.c; ++c) part[c] += static_cast<double>(from[pixel * s.c + c]);
  });
  const auto pixels = static_cast<double>(s.h * s.w);
  std::ranges::transform(sums, out(y), [pixels](double sum) { return static_cast<float>(sum / pixels); });
}

void CpuBackend::global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape& s = dx.shape();
  require(s.h > 0 && s.w > 0 && dy.shape() == Shape{s.n, 1, 1, s.c}, "global_mean_grad: shapes");
  const auto pixels = static_cast<double>(s.h * s.w);
  std::vector<float> shares;
  for (const float gradient : dy.values<float>()) shares.push_back(static_cast<float>(gradient / pixels));
  float* to = out(dx);
  for_tasks(pool_, s.n * s.h, [&](int64_t row, int) {
    const float* share = shares.data() + row / s.h * s.c;
    for (int64_t w = 0; w < s.w; ++w)
      for (int64_t c = 0; c < s.c; ++c) store(to[(row * s.w + w) * s.c + c], share[c], mode);
  });
}

void CpuBackend::channel_gate(const Tensor& x, const Tensor& z, Tensor& y) {
  const Shape& s = x.shape();
  require(y.shape() == s && z.shape() == Shape{s.n, 1, 1, s.c}, "channel_gate: shapes");
  scale_channels(pool_, s, in(x), openings(z).data(), out(y), Grad::overwrite);
}

void CpuBackend::channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz,
                                   Grad mode) {
  const Shape& s = x.shape();
  require(dy.shape() == s && z.shape() == Shape{s.n, 1, 1, s.c}, "channel_gate_grad: shapes");
  require((dx == nullptr || dx->shape() == s) && (dz == nullptr || dz->shape() == z.shape()),
          "channel_gate_grad: results");
  if (dz != nullptr) {
    const float *from = in(x), *gradient = in(dy), *logits = in(z);
    const std::vector<double> sums = image_sums(pool_, s, [&](int64_t begin, int64_t end, double* part) {
      for (int64_t pixel = begin; pixel < end; ++pixel)
        for (int64_t c = 0, i = pixel * s.c; c < s.c; ++c, ++i)
          part[c] += static_cast<double>(gradient[i]) * static_cast<double>(from[i]);
    });
    float* to = out(*dz);
    for (size_t i = 0; i < sums.size(); ++i) store(to[i], static_cast<float>(slope_at(logits[i]) * sums[i]), mode);
  }
  if (dx != nullptr) scale_channels(pool_, s, in(dy), openings(z).data(), out(*dx), mode);
}

// A task owns a block of an image's channels and adds up its pixels in order, in double.
void run_mean(const Machine& m, const MeanStep& step, const StepBuffers& buffers) {
  require(step.x.n > 0 && step.x.h > 0 && step.x.w > 0 && step.x.c > 0, "MeanStep: an extent is not positive");
  expect(buffers.x[0], step.x, "MeanStep: buffer x");
  expect(buffers.y, step.y(), "MeanStep: buffer y");
  const BlockedLayout from(step.x), to(step.y());
  for_tasks(m.pool, step.x.n * from.blocks, [&](int64_t task, int) {
    const int64_t n = task / from.blocks, block = task % from.blocks;
    double sums[BlockedLayout::kWide] = {};
    for (int64_t h = 0; h < step.x.h; ++h) {
      const float* row = floats(buffers.x[0]) + from.row(n, block, h);
      for (int64_t w = 0; w < step.x.w; ++w)
        for (int64_t i = 0; i < from.lanes; ++i) sums[i] += static_cast<double>(row[w * from.lanes + i]);
    }
    float* y = floats(buffers.y.data) + to.row(n, block, 0);
    for (int64_t i = 0; i < to.lanes; ++i)
      y[i] = static_cast<float>(sums[i] / static_cast<double>(step.x.h * step.x.w));
    to.close_row(y, 0);
  });
}

size_t channel_gate_workspace(const ChannelGateStep& step) {
  const BlockedLayout z(step.z());
  return static_cast<size_t>(step.x.n * z.blocks * z.lanes) * sizeof(float);
}

// The sigmoids come first, into the workspace: [n][block][lane].
void run_channel_gate(const Machine& m, const ChannelGateStep& step, const StepBuffers& buffers) {
  require(step.x.n > 0 && step.x.h > 0 && step.x.w > 0 && step.x.c > 0, "ChannelGateStep: an extent is not positive");
  expect(buffers.x[0], step.x, "ChannelGateStep: buffer x");
  expect(buffers.x[1], step.z(), "ChannelGateStep: buffer z");
  expect(buffers.y, step.x, "ChannelGateStep: buffer y");
  if (step.residual) expect(buffers.residual, step.x, "ChannelGateStep: buffer residual");
  require(buffers.workspace != nullptr, "ChannelGateStep: no workspace");
  const BlockedLayout x(step.x), z(step.z());
  float* open = floats(buffers.workspace);
  for (int64_t plane = 0; plane < step.x.n * z.blocks; ++plane) {
    const float* logits = floats(buffers.x[1]) + z.row(plane / z.blocks, plane % z.blocks, 0);
    for (int64_t i = 0; i < z.lanes; ++i) open[plane * z.lanes + i] = open_by(logits[i]);
  }
  const float *from = floats(buffers.x[0]), *residual = step.residual ? floats(buffers.residual) : nullptr;
  float* to = floats(buffers.y.data);
  for_tasks(m.pool, step.x.n * x.blocks * step.x.h, [&](int64_t task, int) {
    const int64_t h = task % step.x.h, plane = task / step.x.h, at = x.row(plane / x.blocks, plane % x.blocks, h);
    const float* factor = open + plane * x.lanes;
    for (int64_t i = at; i < at + step.x.w * x.lanes; i += x.lanes)
      for (int64_t lane = 0; lane < x.lanes; ++lane) {
        const float scaled = from[i + lane] * factor[lane];
        to[i + lane] = residual != nullptr ? scaled + residual[i + lane] : scaled;
      }
    x.close_row(to + at, h);
  });
}

}  // namespace furrow::cpu
