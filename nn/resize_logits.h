// The resize at the end of a network, in the host's memory.
#pragma once

#include "kernels/tensor.h"

namespace furrow {

// y = x {N,h,w,C} at the height and width of y {N,H,W,C}: bilinear, align_corners, as Backend::upsample_bilinear. Both
// dense, of one element type, f32 or f64. Source rows are found in float64, values computed in the element type.
void resize_logits(const Tensor& x, Tensor& y);

}  // namespace furrow
