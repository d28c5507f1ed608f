// Runtime: memory, copies and streams of one device that runs the kernels of kernels/cuda: a GPU, or the emulator.
//
// CudaBackend is written against this page and a table of launch functions (kernels/cuda/api.h); one class serves both.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// Work recorded once and replayed: a CUDA graph.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void replay(Stream stream) = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual std::string name() const = 0;     // "NVIDIA H200, sm_90", "emulated on this CPU"
  virtual std::string versions() const = 0;  // "driver 13.0, runtime 13.0": with name(), what measured times hold for
  virtual bool emulated() const = 0;        // device memory is host memory, and work has happened when a call returns

  // Bytes of shared memory that the device grants a block at most: 227 KB on sm_90 and sm_100, less on others.
  virtual size_t shared_limit() const { return 227 * 1024; }

  // Kernels that the calling thread launches from here on go to this device. Every other call here does the same.
  virtual void use() const = 0;

  // `bytes` of device memory, 256-byte aligned, undefined. Throws ErrorCode::device naming the bytes wanted and free.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  // Host memory that copies to and from the device need not stage.
  virtual void* allocate_pinned(size_t bytes) = 0;
  virtual void release_pinned(void* memory) noexcept = 0;
  struct Memory { size_t free = 0, total = 0; };
  virtual Memory memory() const = 0;

  virtual Stream create_stream() = 0;
  virtual void destroy_stream(Stream stream) noexcept = 0;
  // Waits for everything given to the stream; throws DeviceLost with the cause where any of it failed.
  virtual void synchronize(Stream stream) = 0;

  // In the order of the stream. `host` stays valid until the stream has been synchronised.
  virtual void upload(Stream stream, void* device, const void* host, size_t bytes) = 0;
  virtual void download(Stream stream, void* host, const void* device, size_t bytes) = 0;
  virtual void copy(Stream stream, void* to, const void* from, size_t bytes) = 0;   // device to device
  virtual void zero(Stream stream, void* device, size_t bytes) = 0;

  // Records what `body` gives to the stream, without running it. Null where the device cannot record: run `body` each time.
  // `body` may be copied and called again by replay(): what it refers to lives as long as the recording.
  virtual std::unique_ptr<Recording> record(Stream stream, const std::function<void()>& body) = 0;
};

// The emulator. Always available.
std::unique_ptr<Runtime> make_emulated_runtime();

// GPU number `index`. Throws ErrorCode::device, saying why, where this build or this machine has none of that number.
std::unique_ptr<Runtime> make_cuda_runtime(int index);
// Empty where make_cuda_runtime(index) will work, else one clause saying why not.
std::string why_no_cuda(int index);

}  // namespace furrow::gpu
