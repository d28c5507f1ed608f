// The table of every launch function of one compiler.
#include "kernels/cuda/api.h"

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

#define SIMT_TEXT_OF(x) #x
#define SIMT_TEXT(x) SIMT_TEXT_OF(x)
const gpu::KernelApi api{.name = SIMT_TEXT(SIMT_NS)};

}  // namespace furrow::SIMT_NS
