// Device `cuda` in builds without nvcc: says so.
#include "kernels/cuda/runtime.h"
#include "kernels/error.h"

namespace furrow::gpu {

std::string why_no_cuda(int) { return "this build has no CUDA"; }
std::unique_ptr<Runtime> make_cuda_runtime(int index) { throw Error(ErrorCode::device, why_no_cuda(index)); }

}  // namespace furrow::gpu
