#include "bench/gpu/session.h"

#include <algorithm>

#include "bench/peak.h"
#include "kernels/error.h"

namespace furrow::bench {
namespace {

class Shared : public Recorded {
 public:
  explicit Shared(std::shared_ptr<Recorded> it) : it_(std::move(it)) {}
  void replay() override { it_->replay(); }

 private:
  std::shared_ptr<Recorded> it_;
};

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

std::unique_ptr<Recorded> BenchBackend::record(const std::function<void()>& work) {
  last_ = CudaBackend::record(work);
  return last_ == nullptr ? nullptr : std::make_unique<Shared>(last_);
}

Session::Session(const std::string& device, const std::string& sizes, double seconds)
    : tiny_(sizes == "tiny"), emulated_(device == "cpu-emulated"), end_(wall_seconds() + seconds) {
  if (!tiny_ && sizes != "full") throw Error(ErrorCode::usage, "--sizes takes tiny or full");
  if (!emulated_ && device != "cuda") throw Error(ErrorCode::usage, "--device takes cuda or cpu-emulated");
  runtime_ = make_runtime();
  tables_ = {&emulated::api, &emulated::peak_kernels, &emulated::ladder_kernels, &emulated::optim_kernels};
#if defined(FURROW_HAVE_CUDA)
  if (!emulated_) tables_ = {&cuda::api, &cuda::peak_kernels, &cuda::ladder_kernels, &cuda::optim_kernels};
#endif
  stream_ = runtime_->create_stream();
  report.device = runtime_->name();
  report.sizes = sizes;
}

std::unique_ptr<gpu::Runtime> Session::make_runtime() const {
  return emulated_ ? gpu::make_emulated_runtime() : gpu::make_cuda_runtime(0);
}

std::unique_ptr<BenchBackend> Session::backend(Precision precision) const {
  return std::make_unique<BenchBackend>(make_runtime(), *tables_.api, precision);
}

std::vector<Timing> Session::time(const std::vector<Subject>& subjects, double repeat_ms) const {
  const int repeats = tiny_ ? 3 : 30;
  std::vector<int> launches;
  for (const Subject& s : subjects) {
    s.launch();
    s.finish();   // loads kernels
    int count = 1;
    for (double ms = 0; !tiny_;) {   // the warm-up: until a repeat is long enough
      const double start = wall_seconds();
      for (int i = 0; i < count; ++i) s.launch();
      s.finish();
      ms = (wall_seconds() - start) * 1e3;
      if (ms >= repeat_ms || count >= 100000) break;
      count = std::max(count + 1, static_cast<int>(count * std::min(10.0, 1.2 * repeat_ms / std::max(ms, 1e-3))));
    }
    launches.push_back(count);
  }
  std::vector<std::vector<double>> samples(subjects.size());
  for (int r = 0; r < repeats; ++r)
    for (size_t i = 0; i < subjects.size(); ++i) {
      const double start = wall_seconds();
      for (int n = 0; n < launches[i]; ++n) subjects[i].launch();
      subjects[i].finish();
      samples[i].push_back((wall_seconds() - start) * 1e3 / launches[i] / subjects[i].runs);
    }
  std::vector<Timing> out;
  for (std::vector<double>& s : samples) {
    std::sort(s.begin(), s.end());
    out.push_back({quantile(s, 0.5), quantile(s, 0.25), quantile(s, 0.75), repeats});
  }
  return out;
}

Subject Session::launches(const std::function<void()>& run) const {
  constexpr int kRuns = 8;
  gpu::Runtime& runtime = *runtime_;
  const gpu::Stream stream = stream_;
  const auto finish = [&runtime, stream] { runtime.synchronize(stream); };
  run();   // what a kernel's first launch sets up cannot be recorded
  finish();
  std::shared_ptr<gpu::Recording> recording = runtime.record(stream, [&] {
    for (int i = 0; i < kRuns; ++i) run();
  });
  if (recording == nullptr) return {run, finish, 1};
  return {[recording, stream] { recording->replay(stream); }, finish, kRuns};
}

bool Session::time_for(const std::string& what, double seconds) {
  if (wall_seconds() + seconds <= end_) return true;
  report.not_run.push_back(what + ": no time left");
  return false;
}

void Session::add(Row row, const Timing& timing, double peak_tflops) {
  row.ms = timing.ms, row.q1_ms = timing.q1_ms, row.q3_ms = timing.q3_ms, row.repeats = timing.repeats;
  if (row.floor_ms == 0) {
    if (peak_tflops > 0) row.floor_ms = row.cost.flops / peak_tflops * 1e-9;
    if (copy_gbps_ > 0) row.floor_ms = std::max(row.floor_ms, row.cost.bytes / copy_gbps_ * 1e-6);
  }
  report.rows.push_back(std::move(row));
}

void Session::set_ceilings(double copy_gbps, const double (&peak_tflops)[4]) {
  copy_gbps_ = copy_gbps;
  std::copy(std::begin(peak_tflops), std::end(peak_tflops), std::begin(peak_tflops_));
}

}  // namespace furrow::bench
