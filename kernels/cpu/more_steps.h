// The planned steps that attention gates and ResNets add to those of steps.h.
#pragma once

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// y = x * sigmoid(z), on blocked buffers.
void run_gate(const Machine& m, const GateStep& step, const StepBuffers& buffers);
// 3x3 maximum every two pixels.
void run_pool3x3(const Machine& m, const PoolStep& step, const StepBuffers& buffers);
// y = act(y + residual): what is left of a ConvStep with a residual once its convolution is done.
void add_residual(const Machine& m, const ConvStep& step, const StepBuffers& buffers);

}  // namespace furrow::cpu
