// Label maps on the CPU: scores of a small map, enlarged and compared in one pass.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/tensor.h"

namespace furrow {

class ThreadPool;

namespace cpu {

// labels[n][y][x] = the first class of the largest score of pixel (x, y) of `scores` resized to height x width,
// bilinear with align_corners: to the bit the scores that CpuBackend::upsample_bilinear writes, on every instruction
// set and any number of threads, but only those of a few pixels per thread are ever there. NaN never wins, unless every
// score is one: then 0.
//   scores {N,h,w,C} float32 in host memory, h, w > 0, 0 < C <= 256; labels {N,height,width}
// gpu::UpsampleArgmaxArgs of kernels/image_ops.h is its like in device memory, in float32 and with NaN first.
// Throws ErrorCode::internal for other shapes. pool: null for one thread.
void upsample_argmax(ThreadPool* pool, const Tensor& scores, int64_t height, int64_t width, std::span<uint8_t> labels);

}  // namespace cpu
}  // namespace furrow
