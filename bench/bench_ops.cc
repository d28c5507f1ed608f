// One row per operation of device `cpu`: every layer of the planned networks, and the reorders between them; the rows
// of bench_eager.cc and bench_plan.cc follow.
//
//   furrow_bench --benchmark_filter='base64.*conv2d.*threads:1'
// FURROW_ISA=portable|avx2|avx512 chooses the path. Columns: bench/measure.h.
#include <algorithm>
#include <memory>
#include <set>

#include "bench/measure.h"
#include "bench/rows.h"
#include "kernels/arena.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/label_map.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

Work work_of(const Step& step) {
  return {static_cast<double>(flops(step)), static_cast<double>(min_bytes(step, sizeof(float)))};
}

// The buffers of one step, filled with random values, in huge pages as a plan has them.
class StepRun {
 public:
  StepRun(const Step& step, int threads) : step_(step), pool_(threads), backend_(&pool_), arena_(bytes()) {
    const StepWeights weights = cases::random_weights(step, 1);
    packed_ = backend_.prepare(step, weights);
    const Shape y = output_shape(step);
    const auto* conv = std::get_if<ConvStep>(&step);
    for (int i = 0; i < 2; ++i)
      if (source(i).c > 0) {
        buffers_.x[i] = placed(source(i));
        backend_.place(cases::random_values(source(i), 2, DType::f32), buffers_.x[i]);
      }
    if (cases::has_residual(step)) {
      buffers_.residual = placed(y);
      backend_.place(cases::random_values(y, 3, DType::f32), buffers_.residual);
    }
    if (conv == nullptr || conv->store_y) buffers_.y = placed(y);
    if (conv != nullptr && conv->pool) buffers_.pooled = placed({y.n, y.h / 2, y.w / 2, y.c});
    if (conv != nullptr && conv->head > 0) buffers_.head = arena_.take({y.n, y.h, y.w, conv->head}, DType::f32);
    buffers_.workspace = arena_.take(backend_.workspace_bytes(step));
  }

  void run() { backend_.run(step_, packed_.get(), buffers_); }
  std::string algorithm() const { return backend_.algorithm(step_); }

 private:
  Shape source(int i) const {
    if (const auto* conv = std::get_if<ConvStep>(&step_)) return conv->x[i];
    if (const auto* gate = std::get_if<GateStep>(&step_)) return i == 0 ? gate->x : gate->z();
    if (const auto* gate = std::get_if<ChannelGateStep>(&step_)) return i == 0 ? gate->x : gate->z();
    if (i > 0) return {0, 0, 0, 0};
    if (const auto* up = std::get_if<UpconvStep>(&step_)) return up->x;
    if (const auto* up = std::get_if<UpsampleStep>(&step_)) return up->x;
    if (const auto* nearest = std::get_if<NearestStep>(&step_)) return nearest->x;
    if (const auto* mean = std::get_if<MeanStep>(&step_)) return mean->x;
    return std::get<PoolStep>(step_).x;
  }
  Placed placed(const Shape& shape) { return {arena_.take(backend_.placed_bytes(shape)), shape}; }
  // An upper bound: the pooled map, the head and a residual, which comes without them, are no larger than y.
  size_t bytes() const {
    size_t sum =
        backend_.workspace_bytes(step_) + 3 * backend_.placed_bytes(output_shape(step_)) + 8 * Arena::kAlignment;
    for (int i = 0; i < 2; ++i)
      if (source(i).c > 0) sum += backend_.placed_bytes(source(i));
    return sum;
  }

  Step step_;
  ThreadPool pool_;
  cpu::CpuBackend backend_;
  Arena arena_;
  std::unique_ptr<Packed> packed_;
  StepBuffers buffers_;
};

void add_step(const std::string& group, const Step& step, int threads) {
  const std::string name = group + "/" + op_name(step) + " " + problem(step) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(),
                               [step, threads](benchmark::State& state) {
                                 StepRun run(step, threads);
                                 measure(state, work_of(step), threads, run.algorithm(), [&] { run.run(); });
                               })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void add_reorder(const Shape& shape, bool back, int threads) {
  const std::string name = std::string(back ? "reorder/unplace " : "reorder/place ") + to_string(shape) +
                           "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) {
        ThreadPool pool(threads);
        cpu::CpuBackend backend(&pool);
        Arena arena(backend.placed_bytes(shape) + static_cast<size_t>(shape.elements()) * sizeof(float) +
                    2 * Arena::kAlignment);
        Tensor dense = arena.take(shape, DType::f32);
        const Placed placed{arena.take(backend.placed_bytes(shape)), shape};
        backend.place(dense, placed);
        measure(state, {0, 2.0 * static_cast<double>(dense.bytes())}, threads, "copy portable nChw16c", [&] {
          if (back)
            backend.unplace(placed, dense);
          else
            backend.place(dense, placed);
        });
      })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

// Scores enlarged and compared: 8 FLOPs a score, as upsample_bilinear's, and one for the comparison.
void add_labels(const Shape& scores, int64_t side, int threads) {
  const std::string name = "labels/upsample_argmax " + to_string(scores) + " -> " + std::to_string(side) + "x" +
                           std::to_string(side) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) {
        ThreadPool pool(threads);
        const Tensor from = cases::random_values(scores, 1, DType::f32);
        std::vector<uint8_t> labels(static_cast<size_t>(scores.n * side * side));
        const auto pixels = static_cast<double>(labels.size());
        measure(state, {9 * pixels * static_cast<double>(scores.c), static_cast<double>(from.bytes()) + pixels},
                threads, "rows and comparisons", [&] { cpu::upsample_argmax(&pool, from, side, side, labels); });
      })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

void add_steps() {
  std::set<std::string> seen;
  for (int threads = 1; threads <= std::min(2, usable_processors()); ++threads) {
    for (const int64_t base : {16, 64})
      for (const Step& step : cases::unet_steps(base, 512, 3, base == 16 ? 1 : 2)) {
        const std::string group = "base" + std::to_string(base);
        if (seen.insert(group + problem(step) + op_name(step) + std::to_string(threads)).second)
          add_step(group, step, threads);
      }
    for (const Step& step :
         {Step(PoolStep{{1, 512, 512, 64}}), Step(PoolStep{{1, 256, 256, 64}, 3}), Step(GateStep{{1, 512, 512, 64}}),
          Step(GateStep{{1, 64, 64, 512}}), Step(ChannelGateStep{{1, 64, 64, 256}}),
          Step(ChannelGateStep{{1, 64, 64, 256}, true}), Step(MeanStep{{1, 64, 64, 256}}),
          Step(NearestStep{{1, 32, 32, 128}, 64, 64}), Step(cases::upsample({1, 256, 256, 64}, 512, 512)),
          Step(cases::conv({1, 512, 512, 3}, 64, 7, 2)), Step(cases::conv({1, 128, 128, 64}, 128, 3, 2)),
          Step(cases::conv({1, 64, 64, 256}, 256, 1))})
      add_step("single", step, threads);
    add_labels({1, 64, 64, 19}, 512, threads);
    for (const bool back : {false, true})
      for (const Shape& shape : {Shape{1, 512, 512, 3}, {1, 256, 256, 64}}) add_reorder(shape, back, threads);
  }
}

}  // namespace
}  // namespace furrow::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  furrow::bench::add_steps();
  furrow::bench::add_eager();
  furrow::bench::add_plans();
  furrow::bench::add_training();
  furrow::bench::add_training_ops();
  furrow::bench::add_ladder();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
