// The five steps of kernels/cuda/ladder. On the emulator a row says how long emulating takes, and its label says so: it
// tells nothing about a GPU. Where there is a GPU, rows named ladder/cuda time it.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <vector>

#include "bench/peak.h"
#include "bench/rows.h"
#include "kernels/cuda/ladder.h"
#include "kernels/cuda/runtime.h"
#include "kernels/half.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

// side x side pixels, `channels` in and out: a multiple of 16, so that no pads are needed.
struct Problem { int side, channels; };

struct Row {
  const char* name;
  DType type;
  void (*gpu::LadderKernels::*launch)(gpu::Stream, const gpu::LadderArgs&);
};
constexpr std::array<Row, 5> kRows{{{"1 naive", DType::f32, &gpu::LadderKernels::naive},
                                    {"2 shared tile", DType::f32, &gpu::LadderKernels::shared_tile},
                                    {"3 register tile", DType::f32, &gpu::LadderKernels::register_tile},
                                    {"4 mma", DType::f16, &gpu::LadderKernels::mma},
                                    {"5 pipelined halo", DType::f16, &gpu::LadderKernels::pipelined_halo}}};

// Random values of `type` in device memory, or undefined memory; released with it.
class DeviceValues {
 public:
  DeviceValues(gpu::Runtime& runtime, int64_t count, DType type)
      : runtime_(runtime), data_(runtime.allocate(static_cast<size_t>(count) * size_of(type))) {}
  DeviceValues(gpu::Runtime& runtime, int64_t count, DType type, uint64_t seed) : DeviceValues(runtime, count, type) {
    const Tensor values = cases::random_values({1, 1, 1, count}, seed, DType::f32);
    const auto wide = values.values<float>();
    std::vector<uint16_t> half;
    if (type == DType::f16)
      for (const float v : wide) half.push_back(f32_to_f16(v));
    const void* host = type == DType::f16 ? static_cast<const void*>(half.data()) : wide.data();
    runtime.upload({}, data_, host, static_cast<size_t>(count) * size_of(type));
    runtime.synchronize({});
  }
  DeviceValues(const DeviceValues&) = delete;
  DeviceValues& operator=(const DeviceValues&) = delete;
  ~DeviceValues() { runtime_.release(data_); }
  void* data() const { return data_; }

 private:
  gpu::Runtime& runtime_;
  void* data_;
};

// Columns: time per launch; TFLOP/s by the formula (2 per multiply-add). `batch` launches are timed together, from the
// first call to the end of the stream's work, which spreads the cost of waiting over them.
void run(benchmark::State& state, gpu::Runtime& runtime, const gpu::LadderKernels& kernels, const Row& row, Problem p,
         int batch) {
  const int64_t pixels = int64_t{p.side} * p.side, c = p.channels;
  const DeviceValues x(runtime, pixels * c, row.type, 1), w(runtime, 9 * c * c, row.type, 2),
      b(runtime, c, DType::f32, 3);
  const DeviceValues y(runtime, pixels * c, row.type);
  const gpu::LadderArgs args{.x = {x.data(), row.type, 1, p.side, p.side, p.channels, p.channels},
                             .w = w.data(),
                             .b = static_cast<const float*>(b.data()),
                             .y = {y.data(), row.type, 1, p.side, p.side, p.channels, p.channels}};
  const auto launch = kernels.*row.launch;
  launch({}, args);   // loads the kernel
  runtime.synchronize({});
  double seconds = 0;
  for (auto unused : state) {
    const double start = wall_seconds();
    for (int i = 0; i < batch; ++i) launch({}, args);
    runtime.synchronize({});
    const double each = (wall_seconds() - start) / batch;
    state.SetIterationTime(each);
    seconds += each;
  }
  const double flops = 18.0 * static_cast<double>(pixels * c * c);
  state.counters["TFLOP/s"] = flops * static_cast<double>(state.iterations()) / seconds * 1e-12;
  state.SetLabel(runtime.emulated() ? "time of the emulator, not of a GPU" : runtime.name());
}

void add(const std::string& device, const std::shared_ptr<gpu::Runtime>& runtime, const gpu::LadderKernels& kernels,
         Problem p, int batch) {
  for (const Row& row : kRows) {
    const std::string side = std::to_string(p.side), channels = std::to_string(p.channels);
    const std::string name =
        "ladder/" + device + "/" + row.name + "/1x" + side + "x" + side + "x" + channels + "->" + channels;
    benchmark::RegisterBenchmark(
        name.c_str(), [=, &kernels, &row](benchmark::State& state) { run(state, *runtime, kernels, row, p, batch); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace

void add_ladder() {
  add("emulated", gpu::make_emulated_runtime(), emulated::ladder_kernels, {32, 32}, 1);
#if defined(FURROW_HAVE_CUDA)
  if (gpu::why_no_cuda(0).empty()) add("cuda", gpu::make_cuda_runtime(0), cuda::ladder_kernels, {256, 128}, 20);
#endif
}

}  // namespace furrow::bench
