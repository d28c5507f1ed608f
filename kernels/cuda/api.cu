// The table of every launch function of one compiler.
#include "kernels/cuda/api.h"

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

#define SIMT_TEXT_OF(x) #x
#define SIMT_TEXT(x) SIMT_TEXT_OF(x)
const gpu::KernelApi api{.name = SIMT_TEXT(SIMT_NS),
                         .conv = &conv_kernels,
                         .mma_conv = &mma_conv_kernels,
                         .mma_conv_grad = &mma_conv_grad_kernels,
                         .batch_norm = &batch_norm_kernels,
                         .elementwise = &elementwise_kernels,
                         .resample = &resample_kernels,
                         .loss = &loss_kernels,
                         .metrics = &metric_kernels,
                         .optim = &optim_kernels,
                         .picture = &picture_kernels,
                         .ladder = &ladder_kernels};

}  // namespace furrow::SIMT_NS
