// The norm of a gradient and what follows from it, left in device memory.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/optim_launch.h"
#include "kernels/error.h"

namespace furrow::SIMT_NS {
namespace {

// partial[chunk] = sum of squares of the chunk. Grid: {chunks}, block 256; a thread takes 4 elements in every 1024, in
// float64, where no float32 overflows; then block_sum. Bytes: 4 per element.
__global__ void __launch_bounds__(kOptimThreads)
    squares(const float* __restrict__ gradient, int64_t count, bool wide, double* __restrict__ partial) {
  double sum[1] = {0};
  const int64_t begin = blockIdx.x * gpu::kNormChunk, end = min(begin + gpu::kNormChunk, count);
  for (int64_t i = begin + threadIdx.x * 4; i < end; i += kOptimThreads * 4) {
    float g[4];
    load4(gradient + i, static_cast<int>(min(end - i, static_cast<int64_t>(4))), wide, g);
    SIMT_UNROLL
    for (int k = 0; k < 4; ++k) sum[0] += static_cast<double>(g[k]) * static_cast<double>(g[k]);
  }
  block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum[0];
}

// The rest of kernels/optim_ops.h's list: norm, skip, factor, step and loss scale. One block of 256. Bytes: 8 per
// chunk, and the state. Order: each thread the chunks 256 apart, in float64, then block_sum.
__global__ void __launch_bounds__(kOptimThreads)
    finish(const double* __restrict__ partial, int64_t chunks, double max_norm, LossScaling scaling,
           OptimState* __restrict__ state) {
  double sum[1] = {0};
  for (int64_t chunk = threadIdx.x; chunk < chunks; chunk += kOptimThreads) sum[0] += partial[chunk];
  block_sum(sum);
  if (threadIdx.x != 0) return;
  OptimState s = *state;
  const double scale = static_cast<double>(s.loss_scale);
  s.norm = sqrt(sum[0]) / scale;
  s.skip = isfinite(sum[0]) ? 0 : 1;
  const double clip = max_norm > 0 ? max_norm / (s.norm + 1e-6) : 1.0;
  s.factor = (clip < 1.0 ? clip : 1.0) / scale;
  s.step += s.skip == 0;
  s.skipped += s.skip;
  if (scaling.interval > 0) {
    s.good_steps = s.skip == 0 ? s.good_steps + 1 : 0;
    const float less = s.loss_scale * scaling.backoff, more = s.loss_scale * scaling.growth;
    if (s.skip != 0 && less >= kLeastLossScale) s.loss_scale = less;
    if (s.good_steps == scaling.interval) {
      if (isfinite(more)) s.loss_scale = more;
      s.good_steps = 0;
    }
  }
  *state = s;
}

}  // namespace

void optim_prepare(gpu::Stream stream, const gpu::OptimPrepareArgs& a) {
  require(a.gradient != nullptr && a.count > 0 && a.state != nullptr && a.workspace != nullptr,
          "optim_prepare: arguments");
  const int64_t chunks = gpu::norm_chunks(a.count);
  auto* partial = static_cast<double*>(a.workspace);
  LAUNCH(stream, static_cast<unsigned>(chunks), kOptimThreads, 0, squares, a.gradient, a.count,
         starts_on_16_bytes(a.gradient), partial);
  LAUNCH(stream, 1, kOptimThreads, 0, finish, partial, chunks, a.max_norm, a.scaling, a.state);
}

}  // namespace furrow::SIMT_NS
