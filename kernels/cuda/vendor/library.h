// cuDNN 9 and cuBLASLt, opened by name at run time: Furrow starts, and does everything else, on machines without them.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/vendor/cublaslt_api.h"
#include "kernels/cuda/vendor/cudnn_api.h"
#include "kernels/cuda/vendor/nccl_api.h"

namespace furrow::gpu {

// A library whose every needed function was found and whose version is one that Furrow knows. It stays in the process
// for good, because such libraries register GPU code and thread-local state that must not go.
template <class Api>
struct VendorLibrary {
  Api api{};
  std::string file;     // as it was opened
  std::string version;  // "9.19.0"
};
using CudnnLibrary = VendorLibrary<cudnn::Api>;
using CublasLtLibrary = VendorLibrary<cublaslt::Api>;
using NcclLibrary = VendorLibrary<nccl::Api>;

// libcudnn.so.9 by the dynamic linker's search, or, where it is set and not empty, the file that $FURROW_CUDNN names
// and no other. Versions 9.0 up to, not with, 10. Throws ErrorCode::device: what was tried and what the linker said;
// the function that is missing; or the version found.
std::shared_ptr<const CudnnLibrary> open_cudnn();
// libcublasLt.so.13, else .12, or what $FURROW_CUBLASLT names. Versions 12.0 up to, not with, 14. Errors as open_cudnn.
std::shared_ptr<const CublasLtLibrary> open_cublaslt();
// libnccl.so.2, or what $FURROW_NCCL names. Versions 2.9 up to, not with, 3. Errors as open_cudnn.
std::shared_ptr<const NcclLibrary> open_nccl();

}  // namespace furrow::gpu
