// KernelApi: every launch function, one table per compiler: furrow::cuda::api (nvcc) and furrow::emulated::api (host).
//
// A family of kernels is a header (gpu::XxxKernels: plain function pointers and the structs they take) and the .cu files
// that define `const gpu::XxxKernels xxx_kernels` in namespace SIMT_NS. Launch functions take device pointers and sizes,
// allocate nothing, and return before the work is done.
#pragma once

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/conv.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/ladder.h"
#include "kernels/cuda/loss.h"
#include "kernels/cuda/metrics.h"
#include "kernels/cuda/mma_conv.h"
#include "kernels/cuda/mma_conv_grad.h"
#include "kernels/cuda/optim.h"
#include "kernels/cuda/picture.h"
#include "kernels/cuda/resample.h"

namespace furrow::gpu {

struct KernelApi {
  const char* name;   // "cuda" or "emulated"
  const ConvKernels* conv;
  const MmaConvKernels* mma_conv;
  const MmaConvGradKernels* mma_conv_grad;
  const BatchNormKernels* batch_norm;
  const ElementwiseKernels* elementwise;
  const ResampleKernels* resample;
  const LossKernels* loss;
  const MetricKernels* metrics;
  const OptimKernels* optim;
  const PictureKernels* picture;
  const LadderKernels* ladder;
};

}  // namespace furrow::gpu

namespace furrow::emulated { extern const gpu::KernelApi api; }
namespace furrow::cuda { extern const gpu::KernelApi api; }   // only where the build has nvcc
