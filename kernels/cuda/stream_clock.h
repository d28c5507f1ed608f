// The device's own clock: CUDA events in a stream, before and after work.
#pragma once

#include <memory>

#include "kernels/cuda/stream.h"

namespace furrow::gpu {

class StreamClock {
 public:
  virtual ~StreamClock() = default;
  virtual void start(Stream stream) = 0;
  virtual void stop(Stream stream) = 0;
  // Milliseconds between the two on the device. Waits for the second. Throws ErrorCode::device where CUDA does not say.
  virtual double ms() = 0;
};

std::unique_ptr<StreamClock> make_cuda_clock();   // only where the build has nvcc (stream_clock.cc)

}  // namespace furrow::gpu
