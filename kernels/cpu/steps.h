// The planned steps on blocked buffers: schedules that split a step into tasks and call the inner loops.
//
// Each step has its packed weights, the workspace it needs and a function that runs it. A task owns whole output rows
// of some channel blocks; the split depends on the step alone, and every output value is summed by one inner loop in
// one order, so results have the same bits for any number of threads and any position in a batch.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>

#include "kernels/cpu/byte_kernels.h"
#include "kernels/cpu/layout.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/planned.h"
#include "kernels/short_sums.h"
#include "kernels/threads.h"

namespace furrow::cpu {

// Weights in the order the inner loops read them: by output block, then as ConvRow and UpconvRow say.
class PackedWeights : public Packed {
 public:
  size_t bytes() const override { return w.bytes() + b.bytes() + head_w.bytes() + head_b.bytes(); }
  Tensor w, b;               // f32; b: one value per lane of every output block
  Tensor head_w, head_b;     // f32, likewise: the head is a 1x1 convolution; empty without one
  int64_t block_floats = 0;  // floats of w per output block
};

// What the functions below run on.
struct Machine {
  const RowKernels* rows;
  const TileKernels* tiles;
  const ByteKernels* bytes;
  ThreadPool* pool;  // null: one thread
};
inline int thread_count(const Machine& m) { return m.pool == nullptr ? 1 : m.pool->threads(); }

// Throw ErrorCode::internal where a step, or its buffers (but the workspace), are not as kernels/planned.h says.
void check_conv(const ConvStep& step);
void check_conv(const ConvStep& step, const StepBuffers& buffers);
// Bias and head of a convolution, after a check of all weights; without `w`.
std::unique_ptr<PackedWeights> pack_epilogue(const ConvStep& step, const StepWeights& weights);

std::unique_ptr<PackedWeights> pack_conv(const Machine& m, const ConvStep& step, const StepWeights& weights);
size_t conv_workspace(const Machine& m, const ConvStep& step);
void run_conv(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
// "direct avx512 nChw16c 24x16": the register tile in pixels x channels.
std::string conv_algorithm(const Machine& m, const ConvStep& step);

void check_upconv(const UpconvStep& step);
void check_upconv(const UpconvStep& step, const StepBuffers& buffers);
std::unique_ptr<PackedWeights> pack_epilogue(const UpconvStep& step, const StepWeights& weights);
std::unique_ptr<PackedWeights> pack_upconv(const Machine& m, const UpconvStep& step, const StepWeights& weights);
size_t upconv_workspace(const Machine& m, const UpconvStep& step);
void run_upconv(const Machine& m, const UpconvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
// "gemm avx512 nChw16c 12x2x16": the register tile in pixels x columns of results x channels.
std::string upconv_algorithm(const Machine& m, const UpconvStep& step);

size_t upsample_workspace(const UpsampleStep& step);
void run_upsample(const Machine& m, const UpsampleStep& step, const StepBuffers& buffers);
void run_pool(const Machine& m, const PoolStep& step, const StepBuffers& buffers);

// Dense NHWC float32 into a blocked buffer of the same shape, and back. Lanes past the last channel become 0.
void place_rows(ThreadPool* pool, const float* dense, const BlockedLayout& layout, float* blocked);
// The same of values[c][p] for the byte p of channel c, values {C,256}.
void place_pixel_rows(ThreadPool* pool, const uint8_t* pixels, const float* values, const BlockedLayout& layout,
                      float* blocked);
void unplace_rows(ThreadPool* pool, const float* blocked, const BlockedLayout& layout, float* dense);

// Keeps the first 4 of every 16 lanes: rows computed wide, stored in a narrow buffer.
void narrow_row(const float* wide, int64_t width, float* narrow);
// Row h of a buffer, which begins at `at` (an offset of its layout), from pixels of 16 lanes: columns [begin, end) are
// `wide`'s, narrowed or quantised (or there already, where `wide` points at them), the others and the padding zero.
void store_row(const Machine& m, const float* wide, int64_t begin, int64_t end, const BlockedLayout& layout, int64_t at,
               int64_t h, const Placed& to);

// Helpers of the schedules.
// parallel_for without a copy of `body`, which std::function would allocate: running a step takes no memory.
template <class Body>
void for_tasks(ThreadPool* pool, int64_t tasks, const Body& body) {
  parallel_for(pool, tasks, std::cref(body));
}
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Terms of a sum of K products that stay in one register; parts are added up after. One chain of float32 additions was
// measured to err by up to 1.6 times 4e-8 * sqrt(K) of the largest result, the project's bound
// (tests/kernels/compare.h), and of halves a few in millions err by more than it; with fifths there is room
// (docs/accuracy.md). Up to 48 terms are one chain, which are Winograd's, where a result is made of many, and the last
// of many parts: other short sums go in double (kernels/short_sums.h). Ending parts later than at 128 saves nothing.
inline int64_t part_of(int64_t K) {
  constexpr int64_t kBlock = BlockedLayout::kWide;
  return is_short_sum(K) ? kShortSum - 1 : std::min<int64_t>(ceil_div(ceil_div(K, 5), kBlock) * kBlock, 128);
}
inline float* floats(std::byte* data) { return reinterpret_cast<float*>(data); }
inline const float* floats(const Placed& p) { return reinterpret_cast<const float*>(p.data); }
// Throws ErrorCode::internal unless the buffer is there and has the shape the step names.
void expect(const Placed& p, const Shape& shape, const char* what);

}  // namespace furrow::cpu
