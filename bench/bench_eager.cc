// The eager operations of device `cpu` that no plan runs on their own: batch norm is folded into the convolution before
// it, ReLU runs inside it, padding moves into the step before it, and the U-Net has no sum and ends with logits. Their
// label says so; the row is what the operation costs alone, on dense NHWC tensors. Beside them, what a training step
// runs and no other row shows alone: bilinear interpolation, and the gradients of that and of batch norm.
//
//   furrow_bench --benchmark_filter='eager/.*threads:1'
#include <algorithm>
#include <functional>
#include <string>

#include "bench/measure.h"
#include "bench/rows.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

constexpr Shape kShape{1, 256, 256, 64};
constexpr Shape kHalf{1, 128, 128, 64};  // interpolated to kShape
constexpr int64_t kPad = 1;              // pixels at the top and at the left

// What every operation may read and write: two inputs, one value per channel four times, an output.
struct Operands {
  Tensor a = cases::random_values(kShape, 1, DType::f32), b = cases::random_values(kShape, 2, DType::f32);
  Tensor gamma = channels(3), beta = channels(4), mean = channels(5), var = channels(6);
  Tensor half = cases::random_values(kHalf, 7, DType::f32), dgamma = channels(8), dbeta = channels(9);
  Tensor y = Tensor(kShape), padded = Tensor({kShape.n, kShape.h + kPad, kShape.w + kPad, kShape.c});

  static Tensor channels(uint64_t seed) {
    Tensor t = cases::random_values({1, 1, 1, kShape.c}, seed, DType::f32);
    for (float& value : t.values<float>()) value += 1.5f;  // a variance is positive
    return t;
  }
};

struct EagerOp {
  const char* name;
  double flops_per_element;  // by the formula on the Backend page; exp counts as one, a copy as none
  double tensors_moved;      // of kShape, read or written
  const char* label;
  void (*run)(cpu::CpuBackend&, Operands&);
};

const EagerOp kOps[] = {
    {"batch_norm", 3, 2, "eager, dense NHWC; plans fold it into the convolution",
     [](cpu::CpuBackend& cpu, Operands& t) {
       cpu.batch_norm(t.a, t.gamma, t.beta, {&t.mean, &t.var}, t.y);
     }},
    {"relu", 1, 2, "eager, dense NHWC; plans fuse it into the convolution",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.relu(t.a, t.y); }},
    {"sigmoid", 3, 2, "eager, dense NHWC; in no plan",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.sigmoid(t.a, t.y); }},
    {"add", 1, 3, "eager, dense NHWC; in no plan of the U-Net",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.add(t.a, t.b, t.y); }},
    {"pad", 0, 2, "eager, dense NHWC; plans fuse it into the step before it",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.pad(t.a, kPad, kPad, t.padded, Grad::overwrite); }},
    {"upsample_bilinear", 7, 1.25, "eager, dense NHWC, from half the side; plans run it on blocked buffers",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.upsample_bilinear(t.half, t.y); }},
    {"upsample_bilinear_grad", 8, 1.25, "eager, dense NHWC, to half the side; training alone",
     [](cpu::CpuBackend& cpu, Operands& t) { cpu.upsample_bilinear_grad(t.a, t.half, Grad::overwrite); }},
    {"batch_norm_grad", 9, 5, "eager, dense NHWC; training alone",
     [](cpu::CpuBackend& cpu, Operands& t) {
       cpu.batch_norm_grad(t.a, t.gamma, t.mean, t.var, false, t.b, &t.y, &t.dgamma, &t.dbeta, Grad::overwrite);
     }},
};

}  // namespace

void add_eager() {
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads)
    for (const EagerOp& op : kOps) {
      const std::string name =
          std::string("eager/") + op.name + " " + to_string(kShape) + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(
          name.c_str(),
          [&op, threads](benchmark::State& state) {
            ThreadPool pool(threads);
            cpu::CpuBackend backend(&pool);
            Operands operands;
            const auto elements = static_cast<double>(kShape.elements());
            const Work work{op.flops_per_element * elements, op.tensors_moved * elements * sizeof(float)};
            measure(state, work, threads, op.label, [&] { op.run(backend, operands); });
          })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}

}  // namespace furrow::bench
