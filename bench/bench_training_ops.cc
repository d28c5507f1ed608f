// The operations of a training step one by one on device `cpu`, dense NHWC tensors: gradients, pools, losses,
// optimisers. (The gradients of batch norm and interpolation are in bench_eager.cc, Dice + Focal and whole steps in
// bench_train.cc.)
//
//   furrow_bench --benchmark_filter='training/.*threads:1'
//
// FLOPs by the formulas of kernels/backend.h, kernels/losses.h and kernels/optim_ops.h: a comparison, exp or log counts
// as one, a random number as none.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/rows.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

constexpr Shape kWide{1, 128, 128, 64}, kHalf{1, 64, 64, 64}, kGate{1, 128, 128, 1}, kMeans{1, 1, 1, 64},
                kScores{1, 512, 512, 19};
constexpr int64_t kParameters = 1 << 22;
constexpr Grad kSet = Grad::overwrite;

struct Operands {
  Tensor x = random(kWide, 1), dy = random(kWide, 2), to = Tensor(kWide);
  Tensor half = random(kHalf, 3), half_to = Tensor(kHalf);
  Tensor gate = random(kGate, 4), gate_to = Tensor(kGate);
  Tensor means = random(kMeans, 10), means_to = Tensor(kMeans);
  Tensor w3 = random({64, 3, 3, 64}, 5), w3_to = Tensor({64, 3, 3, 64});
  Tensor w2 = random({64, 2, 2, 64}, 6), w2_to = Tensor({64, 2, 2, 64});
  Tensor bias = Tensor({1, 1, 1, 64});
  Tensor scores = random(kScores, 7), scores_to = Tensor(kScores),
         labels = Tensor({kScores.n, kScores.h, kScores.w, 1}, DType::i32);
  Tensor gradient = random({1, 1, 1, kParameters}, 8), m = Tensor(gradient.shape()), v = Tensor(gradient.shape()),
         p = random(gradient.shape(), 9);
  std::vector<OptimSegment> segments = {{}};
  OptimState state = {};

  Operands() {
    for (Tensor* moment : {&m, &v}) std::ranges::fill(moment->values<float>(), 0.0f);
    for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)
      labels.values<int32_t>()[i] = static_cast<int32_t>(i / 5 % 19);
  }
  static Tensor random(const Shape& shape, uint64_t seed) { return cases::random_values(shape, seed, DType::f32); }
};

struct Op {
  const char* name;
  double flops, floats;  // of a run; read and written once each
  void (*run)(cpu::CpuBackend&, Operands&);
};

double count(const Shape& shape) { return static_cast<double>(shape.elements()); }

std::vector<Op> ops() {
  const double x = count(kWide), half = count(kHalf), w3 = 64 * 9 * 64, w2 = 64 * 4 * 64, z = count(kScores),
               pixels = z / 19, p = kParameters;
  return {
      {"conv2d_grad_input 3x3", 2 * x * 9 * 64, 2 * x + w3,
       [](cpu::CpuBackend& on, Operands& t) {
         on.conv2d_grad_input({.dy = &t.dy, .w = &t.w3, .geometry = {3, 3, 1, 1}}, &t.to, nullptr, kSet);
       }},
      {"conv2d_grad_weight 3x3", 2 * x * 9 * 64, 2 * x + w3,
       [](cpu::CpuBackend& on, Operands& t) {
         on.conv2d_grad_weight({.x0 = &t.x, .dy = &t.dy, .geometry = {3, 3, 1, 1}}, t.w3_to, &t.bias, kSet);
       }},
      {"upconv2x2_grad_input", 2 * x * 64, x + half + w2,
       [](cpu::CpuBackend& on, Operands& t) { on.upconv2x2_grad_input(t.dy, t.w2, t.half_to, kSet); }},
      {"upconv2x2_grad_weight", 2 * x * 64, x + half + w2,
       [](cpu::CpuBackend& on, Operands& t) { on.upconv2x2_grad_weight(t.half, t.dy, t.w2_to, &t.bias, kSet); }},
      {"relu_grad", x, 3 * x, [](cpu::CpuBackend& on, Operands& t) { on.relu_grad(t.x, t.dy, t.to, kSet); }},
      {"sigmoid_grad", 3 * x, 3 * x, [](cpu::CpuBackend& on, Operands& t) { on.sigmoid_grad(t.x, t.dy, t.to, kSet); }},
      {"gate_grad", 3 * x, 3 * x,
       [](cpu::CpuBackend& on, Operands& t) { on.gate_grad(t.x, t.gate, t.dy, &t.to, &t.gate_to, kSet); }},
      {"channel_gate_grad", 3 * x, 3 * x,
       [](cpu::CpuBackend& on, Operands& t) {
         on.channel_gate_grad(t.x, t.means, t.dy, &t.to, &t.means_to, kSet);
       }},
      {"global_mean", x, x, [](cpu::CpuBackend& on, Operands& t) { on.global_mean(t.x, t.means_to); }},
      {"global_mean_grad", 0, x, [](cpu::CpuBackend& on, Operands& t) { on.global_mean_grad(t.means, t.to, kSet); }},
      {"upsample_nearest", 0, 1.25 * x, [](cpu::CpuBackend& on, Operands& t) { on.upsample_nearest(t.half, t.to); }},
      {"upsample_nearest_grad", x, 1.25 * x,
       [](cpu::CpuBackend& on, Operands& t) { on.upsample_nearest_grad(t.dy, t.half_to, kSet); }},
      {"dropout", x, 2 * x,
       [](cpu::CpuBackend& on, Operands& t) { on.dropout(t.x, {.p = 0.5, .seed = 1}, t.to, kSet); }},
      {"max_pool2x2", 0.75 * x, 1.25 * x, [](cpu::CpuBackend& on, Operands& t) { on.max_pool2x2(t.x, t.half_to); }},
      {"max_pool2x2_grad", x, 2.25 * x,
       [](cpu::CpuBackend& on, Operands& t) { on.max_pool2x2_grad(t.x, t.half, t.to, kSet); }},
      {"max_pool3x3", 2 * x, 1.25 * x, [](cpu::CpuBackend& on, Operands& t) { on.max_pool3x3(t.x, t.half_to); }},
      {"max_pool3x3_grad", 2.25 * x, 2.25 * x,
       [](cpu::CpuBackend& on, Operands& t) { on.max_pool3x3_grad(t.x, t.half, t.to, kSet); }},
      {"cross_entropy 19 classes", 5 * z, 2 * z + pixels,
       [](cpu::CpuBackend& on, Operands& t) { on.cross_entropy({}, t.scores, t.labels, &t.scores_to); }},
      {"soft_dice 19 classes", 10 * z, 2 * z + pixels,
       [](cpu::CpuBackend& on, Operands& t) { on.soft_dice({}, t.scores, t.labels, &t.scores_to); }},
      {"squared_error", 4 * x, 3 * x, [](cpu::CpuBackend& on, Operands& t) { on.squared_error(t.x, t.dy, &t.to); }},
      {"optim_prepare", 2 * p, p,
       [](cpu::CpuBackend& on, Operands& t) { on.optim_prepare(t.gradient, 1, {}, t.state); }},
      {"adamw", 14 * p, 7 * p,
       [](cpu::CpuBackend& on, Operands& t) { on.adamw({}, 1e-4, t.segments, t.state, t.gradient, t.m, t.v, t.p); }},
      {"sgd", 4 * p, 5 * p,
       [](cpu::CpuBackend& on, Operands& t) {
         on.sgd({.momentum = 0.9}, 1e-4, t.segments, t.state, t.gradient, t.m, t.p);
       }},
  };
}

}  // namespace

void add_training_ops() {
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads)
    for (const Op& op : ops()) {
      const std::string name = std::string("training/") + op.name + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(
          name.c_str(),
          [op, threads](benchmark::State& state) {
            ThreadPool pool(threads);
            cpu::CpuBackend backend(&pool);
            Operands operands;
            backend.optim_prepare(operands.gradient, 1, {}, operands.state);
            measure(state, {op.flops, op.floats * sizeof(float)}, threads, "eager, dense NHWC",
                    [&] { op.run(backend, operands); });
          })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}

}  // namespace furrow::bench
