// Softmax cross-entropy over a pixel's channels: weighted sums, their quotient, and the gradient. And the family's
// table.
//
// logsumexp = z_top + log1p(others) keeps the digits of a pixel that is right and certain (Spread, loss_launch.h).
// Formula: kernels/losses.h.
#include "kernels/cuda/loss_launch.h"

namespace furrow::SIMT_NS {

void dice_focal(gpu::Stream stream, const gpu::DiceFocalArgs& a);  // dice_focal.cu
void soft_dice(gpu::Stream stream, const gpu::SoftDiceArgs& a);    // soft_dice.cu

namespace {

// partial[chunk] = { sum of w (logsumexp - z_y), sum of w, number of bad labels }.
// Grid: {chunks}, block 256, 16 pixels a thread, 256 apart; added in float64, then block_sum. Bytes: the logits, read
// twice (the second time from a cache), and a label per pixel.
template <class T, class L>
__global__ void __launch_bounds__(kLossThreads) cross_entropy_sums(Labelled<T, L> in, double* __restrict__ partial) {
  double sums[3] = {0, 0, 0};
  const int64_t begin = blockIdx.x * gpu::kLossChunk, end = min(begin + gpu::kLossChunk, in.count);
  for (int64_t i = begin + threadIdx.x; i < end; i += kLossThreads) {
    const int32_t y = in.labels[i];
    if (y == in.ignore_index) continue;
    if (!in.is_class(y)) {
      sums[2] += 1;
      continue;
    }
    const T* row = in.z + i * in.pitch;
    const double w = in.weight(y);
    sums[0] += w * entropy_of(spread_of(row, in.classes), to_float(row[y]));
    sums[1] += w;
  }
  block_sum(sums);
  if (threadIdx.x == 0) {
    SIMT_UNROLL
    for (int k = 0; k < 3; ++k) partial[static_cast<int64_t>(blockIdx.x) * 3 + k] = sums[k];
  }
}

// The loss, and *coefficient = 1 / sum of w (0 where nothing counts). One block of 256. Bytes: 24 per chunk. Order:
// each thread the chunks 256 apart, in float64, then block_sum.
__global__ void __launch_bounds__(kLossThreads)
    cross_entropy_finish(const double* __restrict__ partial, int64_t chunks, double* __restrict__ coefficient,
                         CrossEntropyValue* __restrict__ value) {
  double sums[3] = {0, 0, 0};
  for (int64_t chunk = threadIdx.x; chunk < chunks; chunk += kLossThreads) {
    SIMT_UNROLL
    for (int k = 0; k < 3; ++k) sums[k] += partial[chunk * 3 + k];
  }
  block_sum(sums);
  if (threadIdx.x != 0) return;
  *coefficient = sums[1] > 0 ? 1 / sums[1] : 0;
  value->loss = sums[1] > 0 ? sums[0] / sums[1] : 0;
  value->weight = sums[1];
  value->invalid = static_cast<int64_t>(sums[2]);
}

// dz[c] = scale * w / sum of w * (softmax(z)[c] - [c = y]) for every channel of a pixel, 0 where it does not count.
// Grid: {pixels / 256}, block 256, no shared memory. Bytes: the logits (three times, twice from a cache), the labels,
// and dz written. Order: the softmax's sum over channels ascending, without the largest (Spread).
template <class T, class L>
__global__ void __launch_bounds__(kLossThreads)
    cross_entropy_gradient(Labelled<T, L> in, const double* __restrict__ coefficient, gpu::GradientScale scale,
                           T* __restrict__ dz, int dz_pitch) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLossThreads + threadIdx.x;
  if (i >= in.count) return;
  const int32_t y = in.labels[i];
  const float weight = in.weight(y);
  T* to = dz + i * dz_pitch;
  if (weight == 0 || *coefficient == 0) return pad_with_zeros(to, 0, dz_pitch);  // even where the logits are NaN
  const float factor = weight * static_cast<float>(*coefficient) * scale_of(scale);
  const T* row = in.z + i * in.pitch;
  const Spread s = spread_of(row, in.classes);
  for (int c = 0; c < in.classes; ++c)
    to[c] = from_float<T>(factor * entropy_slope(s, expf(to_float(row[c]) - s.z_top), c, y));
  pad_with_zeros(to, in.classes, dz_pitch);
}

template <class T, class L>
void launch(gpu::Stream stream, const gpu::CrossEntropyArgs& a) {
  const int64_t count = a.z.pixels(), chunks = gpu::loss_chunks(count);
  const Labelled<T, L> in{static_cast<const T*>(a.z.data),
                          static_cast<const L*>(a.labels),
                          a.class_weights,
                          count,
                          a.z.c,
                          a.z.pitch,
                          a.ignore_index};
  auto* partial = static_cast<double*>(a.workspace);
  double* coefficient = partial + chunks * 3;
  LAUNCH(stream, static_cast<unsigned>(chunks), kLossThreads, 0, (cross_entropy_sums<T, L>), in, partial);
  LAUNCH(stream, 1, kLossThreads, 0, cross_entropy_finish, partial, chunks, coefficient, a.value);
  if (a.dz)
    LAUNCH(stream, static_cast<unsigned>((count + kLossThreads - 1) / kLossThreads), kLossThreads, 0,
           (cross_entropy_gradient<T, L>), in, coefficient, a.scale, static_cast<T*>(a.dz.data), a.dz.pitch);
}

void cross_entropy(gpu::Stream stream, const gpu::CrossEntropyArgs& a) {
  check_images(a.z, a.dz);
  require(a.labels != nullptr && a.value != nullptr && a.workspace != nullptr, "cross_entropy: arguments");
  require(a.label_type == DType::u8 || a.label_type == DType::i32, "cross_entropy: labels of another type");
  with_logit_type(a.z.type, [&](auto t) {
    using T = decltype(t);
    a.label_type == DType::u8 ? launch<T, uint8_t>(stream, a) : launch<T, int32_t>(stream, a);
  });
}

}  // namespace

const gpu::LossKernels loss_kernels{.dice_focal = dice_focal, .cross_entropy = cross_entropy, .soft_dice = soft_dice};

}  // namespace furrow::SIMT_NS
