// One training step of the classic U-Net (transposed, 3 -> 1) as it runs, TrainStep::run(): forward, Dice + Focal with
// its gradient, backward, clipping and AdamW; and the loss alone.
//
//   furrow_bench --benchmark_filter='train/'
//   furrow_bench --benchmark_filter='train/dice.focal'
//   python3 bench/peers/torch_train.py --loss --side 512 --batch 8
//
// flops: three times those of the forward pass, by formula. bench/peers/torch_train.py runs the same step in PyTorch;
// scripts/bench_train.sh runs both in turns.
#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "bench/measure.h"
#include "bench/peak.h"
#include "bench/rows.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/network.h"
#include "nn/train_step.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

struct Size {
  int64_t base, side, batch;
};

// What a run trains with: the network, one batch, and the step of nn/train_step.h.
class Training {
 public:
  Training(const Size& size, ThreadPool* pool)
      : backend_(pool), network_(build({.base = size.base})), batch_{pictures(size), targets(size)} {
    network_->initialise(1);
    step_ = std::make_unique<TrainStep>(
        *network_, backend_, TrainOptions{.loss = loss_of(dice_focal_form("L6")), .weight_decay = 0.01, .max_norm = 1});
  }

  static Tensor pictures(const Size& size) {
    return cases::random_values({size.batch, size.side, size.side, 3}, 2, DType::f32);
  }
  static Tensor targets(const Size& size) {
    Tensor t({size.batch, size.side, size.side, 1});
    for (size_t i = 0; i < t.values<float>().size(); ++i) t.values<float>()[i] = i % 7 == 0 ? 1 : 0;
    return t;
  }

  void step() { step_->run({&batch_, 1}, 1e-4); }

  double flops() const {
    Tape tape;
    network_->forward(tape, tape.input(batch_.x.shape()));
    double sum = 0;
    for (const Node& node : tape.nodes()) {
      std::vector<Shape> in;
      for (const VarId id : node.in) in.push_back(tape.nodes()[static_cast<size_t>(id)].shape);
      sum += 3 * static_cast<double>(op_def(node.op).flops(node.attrs, in, node.shape));
    }
    return sum;
  }
  std::string device() const { return backend_.name(); }
  double activations_mib() const { return static_cast<double>(step_->memory_bytes()) / (1 << 20); }

 private:
  cpu::CpuBackend backend_;
  std::unique_ptr<Network> network_;
  MicroBatch batch_;
  std::unique_ptr<TrainStep> step_;
};

// The largest resident size of this process so far (VmHWM: unlike ru_maxrss not that of whoever started it).
double peak_mib() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;)
    if (double kib = 0; word == "VmHWM:" && in >> kib) return kib / 1024;
  return 0;
}

// Columns beside those of measure.h: CPU time of all threads a step, the memory of activations and their gradients, and
// the largest resident size of the process after two steps (the second is the first in the memory that all later ones
// use), which is this row's where it is the first (later, measure() has memory of its own).
void run_training(benchmark::State& state, const Size& size, int threads) {
  ThreadPool pool(threads);
  Training training(size, &pool);
  training.step();
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
  state.counters["activations_MiB"] = training.activations_mib();
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
