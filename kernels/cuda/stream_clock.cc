#include "kernels/cuda/stream_clock.h"

#include <cuda_runtime.h>

#include <string>

#include "kernels/error.h"

namespace furrow::gpu {
namespace {

void check_event(cudaError_t status) {
  if (status == cudaSuccess) return;
  throw Error(ErrorCode::device, std::string("timing the GPU's work failed: ") + cudaGetErrorString(status));
}

class CudaClock : public StreamClock {
 public:
  CudaClock() {
    check_event(cudaEventCreate(&start_));
    check_event(cudaEventCreate(&stop_));
  }
  CudaClock(const CudaClock&) = delete;
  CudaClock& operator=(const CudaClock&) = delete;
  ~CudaClock() override { cudaEventDestroy(start_), cudaEventDestroy(stop_); }
  void start(Stream stream) override { check_event(cudaEventRecord(start_, static_cast<cudaStream_t>(stream.handle))); }
  void stop(Stream stream) override { check_event(cudaEventRecord(stop_, static_cast<cudaStream_t>(stream.handle))); }
  double ms() override {
    check_event(cudaEventSynchronize(stop_));
    float ms = 0;
    check_event(cudaEventElapsedTime(&ms, start_, stop_));
    return static_cast<double>(ms);
  }

 private:
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
};

}  // namespace

std::unique_ptr<StreamClock> make_cuda_clock() { return std::make_unique<CudaClock>(); }

}  // namespace furrow::gpu
