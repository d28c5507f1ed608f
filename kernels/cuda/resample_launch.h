// The launch functions of kernels/cuda/resample.h, by file.
#pragma once

#include "kernels/cuda/resample.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// pool.cu
void pool2x2(gpu::Stream stream, const gpu::PoolArgs& a);
void pool2x2_grad(gpu::Stream stream, const gpu::PoolGradArgs& a);
void pool3x3(gpu::Stream stream, const gpu::PoolArgs& a);
void pool3x3_grad(gpu::Stream stream, const gpu::PoolGradArgs& a);

// global_mean.cu
void global_mean(gpu::Stream stream, const gpu::MeanArgs& a);
void global_mean_grad(gpu::Stream stream, const gpu::MeanGradArgs& a);

}  // namespace furrow::SIMT_NS
