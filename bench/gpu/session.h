// Session: the device under measurement, the time left, and how rows are timed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/gpu/peak.h"
#include "bench/gpu/rows.h"
#include "kernels/cuda/api.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/ladder.h"
#include "kernels/cuda/optim.h"
#include "kernels/cuda/stream_clock.h"

namespace furrow::bench {

// Launch functions of one device, and how rows of a size are timed.
struct DeviceTables {
  const gpu::KernelApi* api;
  const gpu::PeakKernels* peak;
  const gpu::LadderKernels* ladder;
  const gpu::OptimKernels* optim;
};

// The back-end, which also keeps what a plan records, so that a burst of replays can be timed without the copies from
// and to the host.
class BenchBackend : public gpu::CudaBackend {
 public:
  BenchBackend(std::unique_ptr<gpu::Runtime> runtime, const gpu::KernelApi& api, Precision precision)
      : CudaBackend(std::move(runtime), api, precision) {}
  std::unique_ptr<Recorded> record(const std::function<void()>& work) override;
  Arena reserve(size_t bytes) override;
  // NaN, in every type, all over what was reserved last, so that a result nobody wrote is no number.
  void poison();
  Recorded* last_recorded() const { return last_.get(); }   // null where the device does not record

 private:
  std::shared_ptr<Recorded> last_;
  std::span<std::byte> reserved_;
};

// One thing to time. `launch` gives `runs` runs to the device and may return before they are done; `finish` waits.
// `stream`: where all of that work goes, for the device's own clock; without one there is the host's alone.
struct Subject {
  std::function<void()> launch, finish;
  int runs = 1;
  std::optional<gpu::Stream> stream = std::nullopt;
};
struct Sample {
  double ms = 0, event_ms = 0;   // of one run, by the host's clock and by CUDA's events; 0: none
};
struct Timing {
  double ms = 0, q1_ms = 0, q3_ms = 0;   // of one run
  int repeats = 0;
  double event_ms = 0;                   // median; 0: none
  double began = 0, ended = 0;           // seconds since 1970: where clock and power of the time can be found
};

class Session {
 public:
  Session(const std::string& device, const std::string& sizes, double seconds);
  bool tiny() const { return tiny_; }
  bool emulated() const { return emulated_; }
  gpu::Runtime& runtime() const { return *runtime_; }
  gpu::Stream stream() const { return stream_; }   // of runtime(), one that can record
  const DeviceTables& tables() const { return tables_; }
  std::unique_ptr<gpu::Runtime> make_runtime() const;
  std::unique_ptr<BenchBackend> backend(Precision precision) const;

  // Times the subjects in turns, A B C A B C ..., so that a clock that drifts drifts for all: warm-up, then for each
  // repeat as many launches as take `repeat_ms`, from the first call to the end of the device's work.
  std::vector<Timing> time(const std::vector<Subject>& subjects, double repeat_ms = 10) const;
  // The parts of that: warm-up, then the launches that take `repeat_ms`; and one repeat of so many.
  int warm_up(const Subject& subject, double repeat_ms) const;
  Sample sample(const Subject& subject, int launches) const;
  // A launch function of runtime() as a subject: 8 runs recorded together where the device records.
  Subject launches(const std::function<void()>& run) const;

  // False, and noted in the report, where less than `seconds` are left.
  bool time_for(const std::string& what, double seconds);
  // Runs `body`; what it wanted memory for and did not get, on the device or the host, is noted in the report instead.
  void where_memory_allows(const std::string& what, const std::function<void()>& body);
  // Fills in floor_ms and appends.
  void add(Row row, const Timing& timing, double peak_tflops);
  double copy_gbps() const { return copy_gbps_; }
  double peak_tflops(Precision precision) const { return peak_tflops_[static_cast<size_t>(precision)]; }
  void set_ceilings(double copy_gbps, const double (&peak_tflops)[4]);

  Report report;

 private:
  bool tiny_, emulated_;
  DeviceTables tables_{};
  std::unique_ptr<gpu::Runtime> runtime_;
  gpu::Stream stream_;
  std::unique_ptr<gpu::StreamClock> clock_;   // null: the host's alone
  double end_ = 0;
  double copy_gbps_ = 0, peak_tflops_[4] = {};
};

// Memory of session.runtime(), released with it.
class DeviceBytes {
 public:
  DeviceBytes(gpu::Runtime& runtime, size_t bytes) : runtime_(runtime), data_(runtime.allocate(bytes)), bytes_(bytes) {}
  DeviceBytes(gpu::Runtime& runtime, const void* host, size_t bytes) : DeviceBytes(runtime, bytes) {
    runtime.upload({}, data_, host, bytes);
    runtime.synchronize({});
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  ~DeviceBytes() { runtime_.release(data_); }
  void download(void* host) const {
    runtime_.download({}, host, data_, bytes_);
    runtime_.synchronize({});
  }
  void* data() const { return data_; }
  template <class T> T* as() const { return static_cast<T*>(data_); }

 private:
  gpu::Runtime& runtime_;
  void* data_;
  size_t bytes_;
};

// Sections, each in the file of its name.
void add_ceilings(Session& session);
void add_correctness(Session& session);
void add_other_correctness(Session& session);   // of ResNet50 encoders and gates
void add_layers(Session& session);
void add_ladder(Session& session);
void add_networks(Session& session);         // the U-Net at 512, in every precision
void add_other_networks(Session& session);   // ResNet50 encoders and gates
void add_large_pictures(Session& session);   // 1024 and batch 32
void add_training(Session& session);   // loss, optimiser
void add_training_steps(Session& session);
void add_pictures(Session& session);   // resize and normalise

}  // namespace furrow::bench
