// From a network's scores to masks, 8-bit probabilities and labels.
#include "kernels/cuda/picture_launch.h"

namespace furrow::SIMT_NS {
namespace {

// ScoresArgs. Written so that rounding is the CPU's: one subtraction, no products.
SIMT_DEVICE float score(const float* __restrict__ z, int classes) {
  if (classes == 1) return z[0];
  float rival = z[0];
  for (int c = 2; c < classes; ++c)
    if (z[c] > rival || isnan(z[c])) rival = z[c];
  return z[1] - rival;
}

// ThresholdArgs: 255 where the score is at least `least`, else 0. One thread per pixel: 4 * classes bytes read, 1
// written. Grid: {pixels / 256}, block 256, no shared memory; no sums.
__global__ void __launch_bounds__(256) threshold(gpu::ScoresArgs a, float least, uint8_t* __restrict__ mask) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a.pixels) return;
  mask[i] = score(a.values + i * a.classes, a.classes) >= least ? 255 : 0;
}

// ProbabilityArgs. One thread per pixel: 4 * classes bytes read, 1 written; a binary search of eight steps in the 255
// bounds, which lie in shared memory. Grid: {pixels / 256}, block 256, 1,020 bytes of shared memory.
__global__ void __launch_bounds__(256) probability(gpu::ScoresArgs a, const float* __restrict__ bounds, uint8_t* __restrict__ to) {
  SHARED_ARRAY(float, shared_bounds, [255]);
  if (threadIdx.x < 255) shared_bounds[threadIdx.x] = bounds[threadIdx.x];
  __syncthreads();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a.pixels) return;
  const float z = score(a.values + i * a.classes, a.classes);
  int reached = 0;   // bounds[0 .. reached-1] <= z
  SIMT_UNROLL
  for (int step = 128; step > 0; step /= 2)
    if (z >= shared_bounds[reached + step - 1]) reached += step;   // 255 = 128 + 64 + .. + 1: never past the end
  to[i] = static_cast<uint8_t>(reached);
}

// The running winner of an argmax over classes met in order: larger, or the first NaN.
struct Winner {
  float best;
  int index;
  SIMT_DEVICE void meet(float v, int c) {
    if (c == 0 || v > best || (isnan(v) && !isnan(best))) {
      best = v;
      index = c;
    }
  }
};

// ArgmaxArgs. One thread per pixel: c scores read, 1 byte written. Grid: {pixels / 256}, block 256, no shared memory.
template <class T>
__global__ void __launch_bounds__(256) argmax(const T* __restrict__ scores, int64_t pixels, int classes, int pitch, uint8_t* __restrict__ labels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= pixels) return;
  Winner winner{0, 0};
  for (int c = 0; c < classes; ++c) winner.meet(to_float(scores[i * pitch + c]), c);
  labels[i] = static_cast<uint8_t>(winner.index);
}

// Between which source lines result line `out` lies, and how far towards the second.
struct Between {
  int low, high;
  float fraction;
};
SIMT_DEVICE Between between(int out, int in_size, int out_size) {
  if (out_size == 1) return {0, 0, 0.0f};
  const int64_t scaled = static_cast<int64_t>(out) * (in_size - 1), step = out_size - 1;
  const int low = static_cast<int>(scaled / step);
  return {low, min(low + 1, in_size - 1), static_cast<float>(scaled % step) / static_cast<float>(step)};
}
// The fused form is spelt out, so that no compiler chooses another rounding.
SIMT_DEVICE float mix(float a, float b, float fraction) { return fmaf(fraction, b, (1.0f - fraction) * a); }

// UpsampleArgmaxArgs. One thread per label: 4 * c scores read (16 neighbours share them in L1 when enlarging 4 times), 1
// byte written; the enlarged scores, c * 4 bytes per pixel written and read again when done apart, never exist.
// Grid: {width / 32, n * height / 8 (looped), 1}, block {32, 8}, no shared memory.
template <class T>
__global__ void __launch_bounds__(256) upsample_argmax(const T* __restrict__ scores, int n, int in_h, int in_w, int classes, int pitch,
                                                       int height, int width, uint8_t* __restrict__ labels) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (x >= width) return;
  const Between w = between(x, in_w, width);
  const int64_t lines = static_cast<int64_t>(n) * height;
  for (int64_t line = blockIdx.y * blockDim.y + threadIdx.y; line < lines; line += gridDim.y * blockDim.y) {
    const Between h = between(static_cast<int>(line % height), in_h, height);
    const int64_t image = line / height * in_h;
    const T* upper = scores + (image + h.low) * in_w * pitch;
    const T* lower = scores + (image + h.high) * in_w * pitch;
    const int64_t left = static_cast<int64_t>(w.low) * pitch, right = static_cast<int64_t>(w.high) * pitch;
    Winner winner{0, 0};
    for (int c = 0; c < classes; ++c) {
      const float above = mix(to_float(upper[left + c]), to_float(upper[right + c]), w.fraction);
      const float below = mix(to_float(lower[left + c]), to_float(lower[right + c]), w.fraction);
      winner.meet(mix(above, below, h.fraction), c);
    }
    labels[line * width + x] = static_cast<uint8_t>(winner.index);
  }
}

void check_scores(const gpu::ConstImage& scores) {
  require(scores.n > 0 && scores.h > 0 && scores.w > 0, "argmax: empty scores");
  require(scores.c > 0 && scores.c <= 256 && scores.pitch >= scores.c, "argmax: 1 to 256 classes");
}

template <class T> void launch_argmax(gpu::Stream stream, const gpu::ArgmaxArgs& a) {
  const gpu::ConstImage& s = a.scores;
  LAUNCH(stream, dim3(picture_blocks(s.pixels(), 256)), dim3(256), 0, argmax<T>, static_cast<const T*>(s.data), s.pixels(), s.c, s.pitch, a.labels);
}

template <class T> void launch_upsample_argmax(gpu::Stream stream, const gpu::UpsampleArgmaxArgs& a) {
  const gpu::ConstImage& s = a.scores;
  LAUNCH(stream, dim3(picture_blocks(a.width, 32), picture_row_blocks(static_cast<int64_t>(s.n) * a.height, 8)), dim3(32, 8), 0, upsample_argmax<T>,
         static_cast<const T*>(s.data), s.n, s.h, s.w, s.c, s.pitch, a.height, a.width, a.labels);
}

}  // namespace

void picture_threshold(gpu::Stream stream, const gpu::ThresholdArgs& a) {
  require(a.scores.pixels > 0 && a.scores.classes > 0, "threshold: no scores");
  LAUNCH(stream, dim3(picture_blocks(a.scores.pixels, 256)), dim3(256), 0, threshold, a.scores, a.least, a.mask);
}

void picture_probability(gpu::Stream stream, const gpu::ProbabilityArgs& a) {
  require(a.scores.pixels > 0 && a.scores.classes > 0 && a.bounds != nullptr, "probability: no scores or no bounds");
  LAUNCH(stream, dim3(picture_blocks(a.scores.pixels, 256)), dim3(256), 0, probability, a.scores, a.bounds, a.to);
}

void picture_argmax(gpu::Stream stream, const gpu::ArgmaxArgs& a) {
  check_scores(a.scores);
  switch (a.scores.type) {
    case DType::f32: return launch_argmax<float>(stream, a);
    case DType::f16: return launch_argmax<f16>(stream, a);
    case DType::bf16: return launch_argmax<bf16>(stream, a);
    default: require(false, "argmax: the scores' type");
  }
}

void picture_upsample_argmax(gpu::Stream stream, const gpu::UpsampleArgmaxArgs& a) {
  check_scores(a.scores);
  require(a.height > 0 && a.width > 0, "upsample_argmax: empty result");
  switch (a.scores.type) {
    case DType::f32: return launch_upsample_argmax<float>(stream, a);
    case DType::f16: return launch_upsample_argmax<f16>(stream, a);
    case DType::bf16: return launch_upsample_argmax<bf16>(stream, a);
    default: require(false, "upsample_argmax: the scores' type");
  }
}

}  // namespace furrow::SIMT_NS
