// The ladder: one 3x3 convolution written five times, from one thread per output to a pipelined tensor-core kernel. For
// reading, in order, with docs/ladder.md; the library's own convolutions are mma_conv.h and conv.h.
#pragma once

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// y[n,h,w,oc] = max(0, b[oc] + sum over kh,kw,ic of w[oc,kh,kw,ic] * x[n,h+kh-1,w+kw-1,ic]), x zero outside, NaN kept;
// sums in float32. Steps 1 to 3: x, w, y float32. Steps 4 and 5: x, w, y float16, x.pitch a multiple of 16.
struct LadderArgs {
  ConstImage x;
  const void* w = nullptr;    // {y.c, 3, 3, x.pitch}, of x's type, zeros from x.c on
  const float* b = nullptr;   // {y.c}
  Image y;                    // same n, h, w
};

struct LadderKernels {
  void (*naive)(Stream, const LadderArgs&);
  void (*shared_tile)(Stream, const LadderArgs&);
  void (*register_tile)(Stream, const LadderArgs&);
  void (*mma)(Stream, const LadderArgs&);
  void (*pipelined_halo)(Stream, const LadderArgs&);
  void (*pipelined_halo_unswizzled)(Stream, const LadderArgs&);   // step 5 with bank conflicts, to count them
};

}  // namespace furrow::gpu

namespace furrow::emulated { extern const gpu::LadderKernels ladder_kernels; }
namespace furrow::cuda { extern const gpu::LadderKernels ladder_kernels; }
