// Launch functions for pictures, labels and masks. Their meaning, and their arguments, are in kernels/image_ops.h.
#pragma once

#include "kernels/cuda/stream.h"
#include "kernels/image_ops.h"

namespace furrow::gpu {

struct PictureKernels {
  void (*resize)(Stream, const PictureResizeArgs&);
  void (*normalise)(Stream, const NormaliseArgs&);
  void (*threshold)(Stream, const ThresholdArgs&);
  void (*probability)(Stream, const ProbabilityArgs&);
  void (*argmax)(Stream, const ArgmaxArgs&);
  void (*upsample_argmax)(Stream, const UpsampleArgmaxArgs&);
  void (*overlay)(Stream, const OverlayArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated { extern const gpu::PictureKernels picture_kernels; }
namespace furrow::cuda { extern const gpu::PictureKernels picture_kernels; }
