// The planned steps that attention gates, ResNets and the face parser add to those of steps.h.
#pragma once

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// y = x * sigmoid(z), on blocked buffers.
void run_gate(const Machine& m, const GateStep& step, const StepBuffers& buffers);
// 3x3 maximum every two pixels.
void run_pool3x3(const Machine& m, const PoolStep& step, const StepBuffers& buffers);
// Nearest pixels.
void run_nearest(const Machine& m, const NearestStep& step, const StepBuffers& buffers);
// Means of images.
void run_mean(const Machine& m, const MeanStep& step, const StepBuffers& buffers);
// y = x * sigmoid(z) [+ residual], one z for each image and channel.
size_t channel_gate_workspace(const ChannelGateStep& step);
void run_channel_gate(const Machine& m, const ChannelGateStep& step, const StepBuffers& buffers);
// y = act(y + residual): what is left of a ConvStep with a residual once its convolution is done.
void add_residual(const Machine& m, const ConvStep& step, const StepBuffers& buffers);

}  // namespace furrow::cpu
