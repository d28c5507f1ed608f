// The table of every launch function of one compiler.
#include "kernels/cuda/api.h"

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

#define SIMT_TEXT_OF(x) #x
#define SIMT_TEXT(x) SIMT_TEXT_OF(x)
const gpu::KernelApi api{.name = SIMT_TEXT(SIMT_NS),
                         .conv = &conv_kernels,
                         .mma_conv = &mma_conv_kernels,
                         .batch_norm = &batch_norm_kernels,
                         .elementwise = &elementwise_kernels,
                         .resample = &resample_kernels,
                         .loss = &loss_kernels,
                         .picture = &picture_kernels};

}  // namespace furrow::SIMT_NS
