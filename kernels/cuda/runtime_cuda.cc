// The table of CUDA runtime calls, filled with the real ones. Only in builds that have nvcc.
#include <cuda_runtime.h>

#include "kernels/cuda/cuda_calls.h"

namespace furrow::gpu {
namespace {

static_assert(kSuccess == cudaSuccess && kOutOfMemory == cudaErrorMemoryAllocation && kNoDevice == cudaErrorNoDevice);
static_assert(kInsufficientDriver == cudaErrorInsufficientDriver);
static_assert(kUpload == cudaMemcpyHostToDevice && kDownload == cudaMemcpyDeviceToHost && kDeviceToDevice == cudaMemcpyDeviceToDevice);

cudaStream_t stream_of(void* handle) { return static_cast<cudaStream_t>(handle); }

int get_device(CudaDevice* device, int index) {
  cudaDeviceProp properties{};
  const cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status == cudaSuccess) *device = {properties.name, properties.major, properties.minor, properties.sharedMemPerBlockOptin};
  return status;
}

const CudaCalls kCalls{
    .error_string = [](int status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); },
    .get_last_error = [] { return static_cast<int>(cudaGetLastError()); },
    .driver_version = [](int* version) { return static_cast<int>(cudaDriverGetVersion(version)); },
    .runtime_version = [](int* version) { return static_cast<int>(cudaRuntimeGetVersion(version)); },
    .get_device_count = [](int* count) { return static_cast<int>(cudaGetDeviceCount(count)); },
    .get_device = get_device,
    .set_device = [](int index) { return static_cast<int>(cudaSetDevice(index)); },
    .mem_get_info = [](size_t* free, size_t* total) { return static_cast<int>(cudaMemGetInfo(free, total)); },
    .malloc = [](void** memory, size_t bytes) { return static_cast<int>(cudaMalloc(memory, bytes)); },
    .free = [](void* memory) { return static_cast<int>(cudaFree(memory)); },
    .malloc_host = [](void** memory, size_t bytes) { return static_cast<int>(cudaMallocHost(memory, bytes)); },
    .free_host = [](void* memory) { return static_cast<int>(cudaFreeHost(memory)); },
    .stream_create =
        [](void** stream) {
          cudaStream_t made = nullptr;
          const cudaError_t status = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
          *stream = made;
          return static_cast<int>(status);
        },
    .stream_destroy = [](void* stream) { return static_cast<int>(cudaStreamDestroy(stream_of(stream))); },
    .stream_synchronize = [](void* stream) { return static_cast<int>(cudaStreamSynchronize(stream_of(stream))); },
    .memcpy_async =
        [](void* to, const void* from, size_t bytes, int kind, void* stream) {
          return static_cast<int>(cudaMemcpyAsync(to, from, bytes, static_cast<cudaMemcpyKind>(kind), stream_of(stream)));
        },
    .memset_async =
        [](void* memory, int value, size_t bytes, void* stream) {
          return static_cast<int>(cudaMemsetAsync(memory, value, bytes, stream_of(stream)));
        },
    .stream_begin_capture =
        [](void* stream) { return static_cast<int>(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal)); },
    .stream_end_capture =
        [](void* stream, void** graph) {
          cudaGraph_t made = nullptr;
          const cudaError_t status = cudaStreamEndCapture(stream_of(stream), &made);
          *graph = made;
          return static_cast<int>(status);
        },
    .graph_instantiate =
        [](void** executable, void* graph) {
          cudaGraphExec_t made = nullptr;
          const cudaError_t status = cudaGraphInstantiate(&made, static_cast<cudaGraph_t>(graph), 0);
          *executable = made;
          return static_cast<int>(status);
        },
    .graph_launch =
        [](void* executable, void* stream) {
          return static_cast<int>(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable), stream_of(stream)));
        },
    .graph_exec_destroy = [](void* executable) { return static_cast<int>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable))); },
    .graph_destroy = [](void* graph) { return static_cast<int>(cudaGraphDestroy(static_cast<cudaGraph_t>(graph))); },
};

}  // namespace

std::unique_ptr<Runtime> make_cuda_runtime(int index) { return make_cuda_runtime(kCalls, index); }
std::string why_no_cuda(int index) { return why_no_cuda(kCalls, index); }

}  // namespace furrow::gpu
