// The launch functions of kernels/cuda/elementwise.h that have a file of their own.
#pragma once

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// channel_gate.cu
void channel_gate(gpu::Stream stream, const gpu::ChannelGateArgs& a);
void channel_gate_grad(gpu::Stream stream, const gpu::ChannelGateGradArgs& a);

}  // namespace furrow::SIMT_NS
