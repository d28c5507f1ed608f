// One training step of the classic U-Net (transposed, 3 -> 1) as it runs: forward on a tape, Dice + Focal with its
// gradient, backward, clipping and AdamW; and the loss alone.
//
//   furrow_bench --benchmark_filter='train/'
//   furrow_bench --benchmark_filter='train/dice.focal'    python3 bench/peers/torch_train.py --loss --side 512 --batch
//   8
// flops: three times those of the forward pass, by formula. bench/peers/torch_train.py runs the same step in PyTorch;
// scripts/bench_train.sh runs both in turns.
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>

#include "bench/measure.h"
#include "bench/peak.h"
#include "bench/rows.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/network.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

struct Size {
  int64_t base, side, batch;
};

// A network whose parameters are windows of one flat buffer, as an optimiser wants them.
class Training {
 public:
  Training(const Size& size, ThreadPool* pool)
      : backend_(pool),
        network_(build({.base = size.base})),
        x_(cases::random_values({size.batch, size.side, size.side, 3}, 2, DType::f32)),
        t_({size.batch, size.side, size.side, 1}),
        dz_(t_.shape()) {
    network_->initialise(1);
    for (size_t i = 0; i < t_.values<float>().size(); ++i) t_.values<float>()[i] = i % 7 == 0 ? 1 : 0;
    int64_t count = 0;
    for (const Module::Keyed& keyed : network_->parameters())
      if (keyed.parameter->trainable) count += keyed.parameter->value.shape().elements();
    for (Tensor* flat : {&p_, &g_, &m_, &v_}) *flat = Tensor({1, 1, 1, count});
    float* next = p_.values<float>().data();
    for (const Module::Keyed& keyed : network_->parameters()) {
      Tensor& value = keyed.parameter->value;
      if (!keyed.parameter->trainable) continue;
      std::ranges::copy(value.values<float>(), next);
      const auto owner = std::make_shared<Tensor>(p_);
      value = Tensor(value.shape(), DType::f32, reinterpret_cast<std::byte*>(next), owner);
      next += value.shape().elements();
    }
  }

  void step() {
    Tape tape(backend_, Mode::training);
    const Var y = network_->forward(tape, tape.input(x_));
    flops_ = 0;
    for (const Node& node : tape.nodes()) {
      std::vector<Shape> in;
      for (const VarId id : node.in) in.push_back(tape.nodes()[static_cast<size_t>(id)].shape);
      flops_ += 3 * static_cast<double>(op_def(node.op).flops(node.attrs, in, node.shape));
    }
    backend_.dice_focal(dice_focal_form("L6"), y.value(), t_, &dz_);
    tape.backward(y, dz_);
    float* next = g_.values<float>().data();
    for (const Module::Keyed& keyed : network_->parameters()) {
      if (!keyed.parameter->trainable) continue;
      next = std::ranges::copy(tape.grad(*keyed.parameter).values<float>(), next).out;
    }
    backend_.optim_prepare(g_, 1, {}, state_);
    const OptimSegment all{.weight_decay = 0.01f};
    backend_.adamw({}, 1e-4, {&all, 1}, state_, g_, m_, v_, p_);
  }

  double flops() const { return flops_; }
  std::string device() const { return backend_.name(); }

 private:
  cpu::CpuBackend backend_;
  std::unique_ptr<Network> network_;
  Tensor x_, t_, dz_, p_, g_, m_, v_;
  OptimState state_;
  double flops_ = 0;
};

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Columns beside those of measure.h: CPU time of all threads a step, and the largest resident size of the process after
// the first step, which is this row's where it is the first (later, measure() has memory of its own).
void run_training(benchmark::State& state, const Size& size, int threads) {
  ThreadPool pool(threads);
  Training training(size, &pool);
  training.step();
  const double peak = peak_mib();
  double cpu = 0;
  int steps = 0;
  measure(state, {training.flops(), 0}, threads, training.device(), [&] {
    const double start = process_seconds();
    training.step();
    cpu += process_seconds() - start;
    ++steps;
  });
  state.counters["cpu_ms"] = 1e3 * cpu / steps;
  state.counters["peak_MiB"] = peak;
}

// Logits and targets read once, the gradient written once.
void run_loss(benchmark::State& state, const Size& size, int threads) {
  const Shape s{size.batch, size.side, size.side, 1};
  ThreadPool pool(threads);
  cpu::CpuBackend backend(&pool);
  const Tensor z = cases::random_values(s, 1, DType::f32);
  Tensor t(s), dz(s);
  for (size_t i = 0; i < t.values<float>().size(); ++i) t.values<float>()[i] = i % 7 == 0 ? 1 : 0;
  const Work work{0, 3.0 * static_cast<double>(z.bytes())};
  measure(state, work, threads, backend.name(), [&] { backend.dice_focal(dice_focal_form("L6"), z, t, &dz); });
}

void add_row(const char* what, const Size& size, int threads, void (*run)(benchmark::State&, const Size&, int)) {
  const std::string side = std::to_string(size.side);
  const std::string base = size.base > 0 ? " base" + std::to_string(size.base) : "";
  const std::string name = std::string("train/") + what + base + " " + std::to_string(size.batch) + "x" + side + "x" +
                           side + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { run(state, size, threads); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

void add_training() {
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads)
    for (const Size& size : {Size{64, 256, 2}, {16, 256, 2}}) {
      add_row("step unet", size, threads, run_training);
      if (size.base == 64) add_row("dice+focal", size, threads, run_loss);
    }
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads)
    for (const int64_t batch : {2, 8}) add_row("dice+focal", {0, 512, batch}, threads, run_loss);
}

}  // namespace furrow::bench
