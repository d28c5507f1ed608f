// The calls of the CUDA runtime that Runtime makes, as a table: the real one (runtime_cuda.cc) or a test's.
//
// Handles are void*, statuses and kinds are ints with CUDA's own numbers, so that no CUDA header is needed to write against
// this page; runtime_cuda.cc checks the numbers. Every call is the function of the same name, cudaXxx, with its arguments.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/cuda/runtime.h"

namespace furrow::gpu {

constexpr int kSuccess = 0, kOutOfMemory = 2, kInsufficientDriver = 35, kNoDevice = 100;   // statuses
constexpr int kUpload = 1, kDownload = 2, kDeviceToDevice = 3;                                // kinds of copies

struct CudaDevice {
  std::string name;
  int major = 0, minor = 0;   // compute capability
  size_t shared_limit = 0;    // cudaDeviceProp::sharedMemPerBlockOptin, bytes
};

struct CudaCalls {
  const char* (*error_string)(int status);
  int (*get_last_error)();                        // and forgets it, unless the GPU is lost
  int (*driver_version)(int* version);            // 0: no driver; 12040: up to CUDA 12.4
  int (*runtime_version)(int* version);
  int (*get_device_count)(int* count);
  int (*get_device)(CudaDevice* device, int index);
  int (*set_device)(int index);
  int (*mem_get_info)(size_t* free, size_t* total);
  int (*malloc)(void** memory, size_t bytes);
  int (*free)(void* memory);
  int (*malloc_host)(void** memory, size_t bytes);
  int (*free_host)(void* memory);
  int (*stream_create)(void** stream);            // does not wait for the default stream
  int (*stream_destroy)(void* stream);
  int (*stream_synchronize)(void* stream);
  int (*memcpy_async)(void* to, const void* from, size_t bytes, int kind, void* stream);
  int (*memset_async)(void* memory, int value, size_t bytes, void* stream);
  int (*stream_begin_capture)(void* stream);      // of this thread's calls
  int (*stream_end_capture)(void* stream, void** graph);
  int (*graph_instantiate)(void** executable, void* graph);
  int (*graph_launch)(void* executable, void* stream);
  int (*graph_exec_destroy)(void* executable);
  int (*graph_destroy)(void* graph);
};

// `calls` outlives the runtime. Errors as make_cuda_runtime.
std::unique_ptr<Runtime> make_cuda_runtime(const CudaCalls& calls, int index);
std::string why_no_cuda(const CudaCalls& calls, int index);

}  // namespace furrow::gpu
