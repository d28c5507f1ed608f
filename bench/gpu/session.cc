#include "bench/gpu/session.h"

#include <algorithm>
#include <chrono>

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

constexpr int kWarmUps = 20;

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::unique_ptr<Recorded> BenchBackend::record(const std::function<void()>& work) {
  last_ = CudaBackend::record(work);
  return last_ == nullptr ? nullptr : std::make_unique<Shared>(last_);
}

Arena BenchBackend::reserve(size_t bytes) {
  Arena arena = CudaBackend::reserve(bytes);
  reserved_ = {arena.data(), arena.capacity()};
  return arena;
}

void BenchBackend::poison() {
  const std::vector<std::byte> nan(std::min(reserved_.size(), size_t{1} << 24), std::byte{0xFF});
  for (size_t at = 0; at < reserved_.size(); at += nan.size())
    runtime_->upload(stream_, reserved_.data() + at, nan.data(), std::min(nan.size(), reserved_.size() - at));
  finish();
}

Session::Session(const std::string& device, const std::string& sizes, double seconds)
    : tiny_(sizes == "tiny"), emulated_(device == "cpu-emulated"), end_(wall_seconds() + seconds) {
  if (!tiny_ && sizes != "full") throw Error(ErrorCode::usage, "--sizes takes tiny or full");
  if (!emulated_ && device != "cuda") throw Error(ErrorCode::usage, "--device takes cuda or cpu-emulated");
  runtime_ = make_runtime();
  tables_ = {&emulated::api, &emulated::peak_kernels, &emulated::ladder_kernels, &emulated::optim_kernels};
#if defined(FURROW_HAVE_CUDA)
  if (!emulated_) clock_ = gpu::make_cuda_clock();
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

int Session::warm_up(const Subject& s, double repeat_ms) const {
  if (emulated_) return 1;   // nothing to load, and no time of the emulator's means anything
  s.launch();
  s.finish();   // loads kernels
  if (tiny_) return 1;
  for (int i = 0; i < kWarmUps; ++i) s.launch();
  s.finish();
  for (int count = 1;;) {   // until a repeat is long enough
    const double start = wall_seconds();
    for (int i = 0; i < count; ++i) s.launch();
    s.finish();
    const double ms = (wall_seconds() - start) * 1e3;
    if (ms >= repeat_ms || count >= 100000) return count;
    count = std::max(count + 1, static_cast<int>(count * std::min(10.0, 1.2 * repeat_ms / std::max(ms, 1e-3))));
  }
}

Sample Session::sample(const Subject& s, int launches) const {
  const bool events = clock_ != nullptr && s.stream.has_value();
  const double start = wall_seconds();
  if (events) clock_->start(*s.stream);
  for (int n = 0; n < launches; ++n) s.launch();
  if (events) clock_->stop(*s.stream);
  s.finish();
  const double ms = (wall_seconds() - start) * 1e3;
  return {ms / launches / s.runs, events ? clock_->ms() / launches / s.runs : 0};
}

std::vector<Timing> Session::time(const std::vector<Subject>& subjects, double repeat_ms) const {
  const int repeats = emulated_ ? 1 : tiny_ ? 3 : 30;
  std::vector<int> launches;
  for (const Subject& s : subjects) launches.push_back(warm_up(s, repeat_ms));
  std::vector<std::vector<double>> samples(subjects.size()), events(subjects.size());
  const double began = seconds_since_1970();
  for (int r = 0; r < repeats; ++r)
    for (size_t i = 0; i < subjects.size(); ++i) {
      const Sample one = sample(subjects[i], launches[i]);
      samples[i].push_back(one.ms), events[i].push_back(one.event_ms);
    }
  const double ended = seconds_since_1970();
  std::vector<Timing> out;
  for (size_t i = 0; i < subjects.size(); ++i) {
    std::vector<double>& s = samples[i];
    std::sort(s.begin(), s.end()), std::sort(events[i].begin(), events[i].end());
    out.push_back({quantile(s, 0.5), quantile(s, 0.25), quantile(s, 0.75), repeats, quantile(events[i], 0.5), began,
                   ended});
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
  if (recording == nullptr) return {run, finish, 1, stream};
  return {[recording, stream] { recording->replay(stream); }, finish, kRuns, stream};
}

bool Session::time_for(const std::string& what, double seconds) {
  if (wall_seconds() + seconds <= end_) return true;
  report.not_run.push_back(what + ": no time left");
  return false;
}

void Session::where_memory_allows(const std::string& what, const std::function<void()>& body) {
  try {
    body();
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device && error.code() != ErrorCode::limit) throw;
    report.not_run.push_back(what + ": " + error.reason());
  }
}

void Session::add(Row row, const Timing& timing, double peak_tflops) {
  row.ms = timing.ms, row.q1_ms = timing.q1_ms, row.q3_ms = timing.q3_ms, row.repeats = timing.repeats;
  row.event_ms = timing.event_ms, row.began = timing.began, row.ended = timing.ended;
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
