// Pixels counted at a threshold, in histogram bins, and in a confusion matrix.
//
// A block counts a chunk of pixels in registers or shared memory, in 32 bits, and adds it to device memory in 64. All
// are whole numbers: their sums are the same in any order.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/metrics.h"
#include "kernels/cuda/simt.h"
#include "kernels/error.h"

namespace furrow::SIMT_NS {
namespace {

constexpr unsigned kThreads = 256;
constexpr int64_t kChunk = 16384;

SIMT_DEVICE bool counted(const uint8_t* __restrict__ region, int64_t i) { return region == nullptr || region[i] != 0; }

// per_image[image] and total += {tp, fp, fn, tn} of the region's pixels: predicted where value > threshold, true where
// the target is not 0. Grid: {chunks of an image, images}, block 256, 64 pixels a thread. Bytes: a value, a target and
// a region byte per pixel. Each warp adds its lanes' counts by shuffles, and its first four lanes one number each to
// device memory.
template <class T>
__global__ void __launch_bounds__(kThreads)
    count_threshold(const T* __restrict__ values, int pitch, int images, int64_t count, float threshold,
                    const uint8_t* __restrict__ targets, const uint8_t* __restrict__ region,
                    PixelCount* __restrict__ per_image, PixelCount* __restrict__ total) {
  for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
    unsigned found[4] = {0, 0, 0, 0};  // tp, fp, fn, tn
    const int64_t begin = blockIdx.x * kChunk, end = min(begin + kChunk, count);
    for (int64_t k = begin + threadIdx.x; k < end; k += kThreads) {
      const int64_t i = image * count + k;
      if (!counted(region, i)) continue;
      const bool predicted = to_float(values[i * pitch]) > threshold, target = targets[i] != 0;
      found[0] += predicted && target;
      found[1] += predicted && !target;
      found[2] += !predicted && target;
      found[3] += !predicted && !target;
    }
    unsigned mine = 0;
    SIMT_UNROLL
    for (unsigned which = 0; which < 4; ++which) {
      SIMT_UNROLL
      for (int by = 16; by > 0; by /= 2) found[which] += __shfl_xor_sync(~0u, found[which], by);
      if (threadIdx.x % 32 == which) mine = found[which];
    }
    if (mine == 0) continue;  // lanes 4 to 31, and counts of nothing
    if (per_image != nullptr) atomicAdd(per_image + image * 4 + threadIdx.x % 32, static_cast<PixelCount>(mine));
    if (total != nullptr) atomicAdd(total + threadIdx.x % 32, static_cast<PixelCount>(mine));
  }
}

// bins[key] += 1 for every lane of the warp that has a key >= 0. Most pixels of a picture share one key (sure
// background), so the lanes that agree with the first that has one are added as one number.
SIMT_DEVICE void add_key(unsigned* bins, int key) {
  const unsigned with_key = __ballot_sync(~0u, key >= 0);
  if (with_key == 0) return;
  const int first = __popc((with_key & (0u - with_key)) - 1);  // the lowest lane
  const int common = __shfl_sync(~0u, key, first);
  const unsigned agreeing = __ballot_sync(~0u, key == common);
  if (key < 0) return;
  if (key != common)
    atomicAdd(bins + key, 1u);
  else if (static_cast<int>(threadIdx.x % 32) == first)
    atomicAdd(bins + key, static_cast<unsigned>(__popc(agreeing)));
}

// bins[target is not 0][how many bounds the value reaches] += 1 for the region's pixels, but for NaN. Grid: {chunks of
// all pixels}, block 256, 64 pixels a thread; 3,068 bytes of shared memory for bounds and bins. Bytes as above. A
// pixel's bin comes from a binary search of eight steps.
template <class T>
__global__ void __launch_bounds__(kThreads)
    count_histogram(const T* __restrict__ values, int pitch, int64_t count, const float* __restrict__ bounds,
                    const uint8_t* __restrict__ targets, const uint8_t* __restrict__ region,
                    PixelCount* __restrict__ bins) {
  SHARED_ARRAY(float, shared_bounds, [kHistogramBins - 1]);
  SHARED_ARRAY(unsigned, found, [2 * kHistogramBins]);
  if (threadIdx.x < kHistogramBins - 1) shared_bounds[threadIdx.x] = bounds[threadIdx.x];
  for (unsigned k = threadIdx.x; k < 2 * kHistogramBins; k += kThreads) found[k] = 0;
  __syncthreads();
  const int64_t begin = blockIdx.x * kChunk, end = min(begin + kChunk, count);
  for (int64_t first = begin; first < end; first += kThreads) {  // whole warps, for add_key
    const int64_t i = first + threadIdx.x;
    int key = -1;
    if (i < end && counted(region, i)) {
      const float value = to_float(values[i * pitch]);
      int reached = 0;  // bounds[0 .. reached-1] <= value; 255 = 128 + 64 + .. + 1: never past the end
      SIMT_UNROLL
      for (int step = kHistogramBins / 2; step > 0; step /= 2)
        if (value >= shared_bounds[reached + step - 1]) reached += step;
      if (!isnan(value)) key = (targets[i] != 0 ? kHistogramBins : 0) + reached;
    }
    add_key(found, key);
  }
  __syncthreads();
  for (unsigned k = threadIdx.x; k < 2 * kHistogramBins; k += kThreads)
    if (found[k] != 0) atomicAdd(bins + k, static_cast<PixelCount>(found[k]));
}

// matrix[label][class of the largest score] += 1 for the region's pixels whose label is a class; the first of equal
// scores, or the first NaN. Grid: {chunks of all pixels}, block 256, 64 pixels a thread; 4 * classes^2 bytes of shared
// memory, or (kShared false, where that is too much) every pixel counted in device memory. Bytes: the scores, a label
// and a region byte per pixel.
template <class T, bool kShared>
__global__ void __launch_bounds__(kThreads)
    count_confusion(const T* __restrict__ scores, int classes, int pitch, int64_t count,
                    const uint8_t* __restrict__ labels, const uint8_t* __restrict__ region,
                    PixelCount* __restrict__ matrix) {
  DYNAMIC_SHARED(unsigned, found);
  const unsigned cells = static_cast<unsigned>(classes * classes);
  if constexpr (kShared) {
    for (unsigned k = threadIdx.x; k < cells; k += kThreads) found[k] = 0;
    __syncthreads();
  }
  const int64_t begin = blockIdx.x * kChunk, end = min(begin + kChunk, count);
  for (int64_t first = begin; first < end; first += kThreads) {
    const int64_t i = first + threadIdx.x;
    int key = -1;
    if (i < end && counted(region, i) && labels[i] < classes) {
      const T* row = scores + i * pitch;
      int best = 0;
      float before = to_float(row[0]);
      for (int c = 1; c < classes; ++c) {
        const float now = to_float(row[c]);
        if (now > before || (isnan(now) && !isnan(before))) {
          best = c;
          before = now;
        }
      }
      key = labels[i] * classes + best;
    }
    if constexpr (kShared)
      add_key(found, key);
    else if (key >= 0)
      atomicAdd(matrix + key, static_cast<PixelCount>(1));
  }
  if constexpr (kShared) {
    __syncthreads();
    for (unsigned k = threadIdx.x; k < cells; k += kThreads)
      if (found[k] != 0) atomicAdd(matrix + k, static_cast<PixelCount>(found[k]));
  }
}

template <class Body>
void with_type(const gpu::ConstImage& image, const Body& body) {
  require(image.n > 0 && image.h > 0 && image.w > 0 && image.c > 0, "metrics: the batch is empty");
  require(image.data != nullptr && image.pitch >= image.c, "metrics: values");
  if (image.type == DType::f32) return body(static_cast<const float*>(image.data));
  if (image.type == DType::f16) return body(static_cast<const f16*>(image.data));
  require(image.type == DType::bf16, "metrics: values of another type");
  body(static_cast<const bf16*>(image.data));
}

unsigned chunks_of(int64_t count) { return static_cast<unsigned>((count + kChunk - 1) / kChunk); }

void count_pixels(gpu::Stream stream, const gpu::CountPixelsArgs& a) {
  require(a.values.c == 1 && a.targets != nullptr, "count_pixels: arguments");
  with_type(a.values, [&](auto values) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(values)>>;
    const int64_t count = static_cast<int64_t>(a.values.h) * a.values.w;
    const dim3 grid(chunks_of(count), static_cast<unsigned>(std::min(a.values.n, 65535)));
    LAUNCH(stream, grid, kThreads, 0, count_threshold<T>, values, a.values.pitch, a.values.n, count, a.threshold,
           a.targets, a.region, reinterpret_cast<PixelCount*>(a.per_image), reinterpret_cast<PixelCount*>(a.total));
  });
}

void count_bins(gpu::Stream stream, const gpu::CountBinsArgs& a) {
  require(a.values.c == 1 && a.targets != nullptr && a.bounds != nullptr && a.bins != nullptr, "count_bins: arguments");
  with_type(a.values, [&](auto values) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(values)>>;
    LAUNCH(stream, chunks_of(a.values.pixels()), kThreads, 0, count_histogram<T>, values, a.values.pitch,
           a.values.pixels(), a.bounds, a.targets, a.region, a.bins);
  });
}

void count_classes(gpu::Stream stream, const gpu::CountClassesArgs& a) {
  require(a.scores.c <= 256 && a.labels != nullptr && a.matrix != nullptr, "count_classes: arguments");
  with_type(a.scores, [&](auto scores) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(scores)>>;
    const size_t bytes = static_cast<size_t>(a.scores.c) * static_cast<size_t>(a.scores.c) * sizeof(unsigned);
    const unsigned blocks = chunks_of(a.scores.pixels());
    if (bytes <= 48 * 1024)
      LAUNCH(stream, blocks, kThreads, bytes, (count_confusion<T, true>), scores, a.scores.c, a.scores.pitch,
             a.scores.pixels(), a.labels, a.region, a.matrix);
    else
      LAUNCH(stream, blocks, kThreads, 0, (count_confusion<T, false>), scores, a.scores.c, a.scores.pitch,
             a.scores.pixels(), a.labels, a.region, a.matrix);
  });
}

}  // namespace

const gpu::MetricKernels metric_kernels{
    .count_pixels = count_pixels, .count_bins = count_bins, .count_classes = count_classes};

}  // namespace furrow::SIMT_NS
