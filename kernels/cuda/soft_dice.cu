// Soft Dice over a pixel's softmax, beside cross-entropy: sums of every class, the loss from them, and the gradient.
//
// With e_c = exp(z_c - z_top), bottom = 1 + others (Spread, loss_launch.h): p_c = e_c / bottom; 1 - p_c = others / bottom
// of the largest channel and (bottom - e_c) / bottom of another, where bottom - e_c >= 1 cancels nothing. The Dice's
// gradient p_c (a_c - sum of a_k p_k) is taken with a less that of the largest channel, a_top: then a certain pixel's sum
// has small terms alone. Formulas: kernels/losses.h.
#include <algorithm>

#include "kernels/cuda/loss_launch.h"

namespace furrow::SIMT_NS {
namespace {

constexpr int kTogether = 4;  // classes whose sums a thread makes in one pass over its pixels
constexpr int kEntropySums = 3;

// partial[image][chunk] = { I, X of every class; sum of w (logsumexp - z_y), sum of w, number of bad labels }.
// Grid: {chunks, images}, block 256; each thread adds 16 pixels, 256 apart, in float64, then block_sum. Bytes: logits and
// labels, read once for every four classes (from a cache but for the first time).
template <class T, class L>
__global__ void __launch_bounds__(kLossThreads, 4)
    soft_dice_sums(Labelled<T, L> in, int64_t per_image, int images, double* __restrict__ partial) {
  const int64_t begin = blockIdx.x * gpu::kLossChunk, end = min(begin + gpu::kLossChunk, per_image);
  for (int64_t image = blockIdx.y; image < images; image += gridDim.y) {
    double* const to = partial + (image * gridDim.x + blockIdx.x) * (2 * in.classes + kEntropySums);
    for (int first = 0; first < in.classes; first += kTogether) {
      double sums[2 * kTogether + kEntropySums] = {};
      double* const entropy = sums + 2 * kTogether;  // of the first pass
      for (int64_t i = image * per_image + begin + threadIdx.x; i < image * per_image + end; i += kLossThreads) {
        const int32_t y = in.labels[i];
        if (!in.counts(y)) {
          if (y != in.ignore_index) entropy[2] += 1;
          continue;
        }
        const T* row = in.z + i * in.pitch;
        const Spread s = spread_of(row, in.classes);
        const float bottom = 1.0f + s.others;
        const double w = in.weight(y);
        entropy[0] += w * entropy_of(s, to_float(row[y]));
        entropy[1] += w;
        SIMT_UNROLL
        for (int k = 0; k < kTogether; ++k) {
          const int c = first + k;
          if (c >= in.classes) break;
          const float e = expf(to_float(row[c]) - s.z_top), p = e / bottom;
          if (c == y) {
            sums[2 * k] += p;
            sums[2 * k + 1] += (c == s.top ? s.others : bottom - e) / bottom;
          } else {
            sums[2 * k + 1] += p;
          }
        }
      }
      block_sum(sums);
      if (threadIdx.x != 0) continue;
      SIMT_UNROLL
      for (int k = 0; k < 2 * kTogether; ++k)
        if (2 * first + k < 2 * in.classes) to[2 * first + k] = sums[k];
      if (first == 0) {
        SIMT_UNROLL
        for (int k = 0; k < kEntropySums; ++k) to[2 * in.classes + k] = sums[2 * kTogether + k];
      }
    }
  }
}

struct SoftDiceTotals {
  double dice_weight, entropy_weight, eps;
  int64_t chunks;
  int images, classes, first_class;
  bool over_batch, classes_together;
};

// Writes the loss; *entropy_coefficient = entropy_weight / sum of w; and per class of an image what the gradient needs:
// { D, dice_weight / ((S + eps) G) }, zeros for a class that is in no group.
// One block of 256. Bytes: 16 * classes + 24 per image and chunk read, 8 per image and class written. Order: a group's
// partial sums are added strided by 256, in float64, then block_sum; groups one after another.
__global__ void __launch_bounds__(kLossThreads)
    soft_dice_finish(const double* __restrict__ partial, SoftDiceTotals t, double* __restrict__ entropy_coefficient,
                     float2* __restrict__ coefficients, SoftDiceValue* __restrict__ value) {
  const int stride = 2 * t.classes + kEntropySums, all = t.classes - t.first_class;
  const int of_class = t.classes_together ? 1 : all, groups = (t.over_batch ? 1 : t.images) * of_class;
  const int images = t.over_batch ? t.images : 1, classes = t.classes_together ? all : 1;  // of a group
  double entropy[kEntropySums] = {};
  for (int64_t part = threadIdx.x; part < t.images * t.chunks; part += kLossThreads) {
    SIMT_UNROLL
    for (int k = 0; k < kEntropySums; ++k) entropy[k] += partial[part * stride + 2 * t.classes + k];
  }
  block_sum(entropy);
  for (int i = static_cast<int>(threadIdx.x); i < t.images * t.first_class; i += kLossThreads)
    coefficients[i / t.first_class * t.classes + i % t.first_class] = make_float2(0, 0);
  double dice = 0;  // of thread 0
  for (int group = 0; group < groups; ++group) {
    const int image0 = group / of_class * images, class0 = t.first_class + group % of_class * classes;
    double sums[2] = {0, 0};
    for (int c = class0; c < class0 + classes; ++c)
      for (int64_t part = image0 * t.chunks + threadIdx.x; part < (image0 + images) * t.chunks; part += kLossThreads) {
        sums[0] += partial[part * stride + 2 * c];
        sums[1] += partial[part * stride + 2 * c + 1];
      }
    block_sum(sums);
    if (threadIdx.x != 0) continue;
    const double bottom = sums[1] + 2 * sums[0] + t.eps;  // S + eps
    dice += sums[1] / bottom / groups;
    const float2 of_group = make_float2(static_cast<float>((2 * sums[0] + t.eps) / bottom),
                                        static_cast<float>(t.dice_weight / (bottom * groups)));
    for (int i = image0; i < image0 + images; ++i)
      for (int c = class0; c < class0 + classes; ++c) coefficients[i * t.classes + c] = of_group;
  }
  if (threadIdx.x != 0) return;
  *entropy_coefficient = entropy[1] > 0 ? t.entropy_weight / entropy[1] : 0;
  const double mean = entropy[1] > 0 ? entropy[0] / entropy[1] : 0;
  *value = {t.dice_weight * dice + t.entropy_weight * mean, dice, mean, entropy[1], static_cast<int64_t>(entropy[2])};
}

// dz of every pixel's channels, as above: scale times the Dice's gradient and the entropy's coefficient times that of
// cross_entropy_gradient. Grid: {pixels / 256}, block 256, no shared memory. Bytes: the logits (four times, three from
// a cache), the labels, and dz written. Order: sums over channels ascending, without the largest.
template <class T, class L>
__global__ void __launch_bounds__(kLossThreads)
    soft_dice_gradient(Labelled<T, L> in, int64_t per_image, const double* __restrict__ entropy_coefficient,
                       const float2* __restrict__ coefficients, gpu::GradientScale scale, T* __restrict__ dz,
                       int dz_pitch) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLossThreads + threadIdx.x;
  if (i >= in.count) return;
  const int32_t y = in.labels[i];
  T* to = dz + i * dz_pitch;
  if (!in.counts(y)) return pad_with_zeros(to, 0, dz_pitch);  // even where the logits are NaN
  const float factor = scale_of(scale), entropy = in.weight(y) * static_cast<float>(*entropy_coefficient);
  const T* row = in.z + i * in.pitch;
  const Spread s = spread_of(row, in.classes);
  const float bottom = 1.0f + s.others;
  const float2* const of_image = coefficients + i / per_image * in.classes;
  const auto a = [&](int c) { return of_image[c].y * (of_image[c].x - (c == y ? 2.0f : 0.0f)); };
  const float a_top = a(s.top);
  float mean = 0;
  for (int c = 0; c < in.classes; ++c)
    if (c != s.top) mean += expf(to_float(row[c]) - s.z_top) / bottom * (a(c) - a_top);
  for (int c = 0; c < in.classes; ++c) {
    const float e = expf(to_float(row[c]) - s.z_top);
    const float dice = e / bottom * ((c == s.top ? 0.0f : a(c) - a_top) - mean);
    to[c] = from_float<T>(factor * (dice + entropy * entropy_slope(s, e, c, y)));
  }
  pad_with_zeros(to, in.classes, dz_pitch);
}

template <class T, class L>
void launch(gpu::Stream stream, const gpu::SoftDiceArgs& a) {
  const SoftDice& form = a.form;
  const int64_t count = a.z.pixels(), per_image = count / a.z.n, chunks = gpu::loss_chunks(per_image);
  const Labelled<T, L> in{static_cast<const T*>(a.z.data),
                          static_cast<const L*>(a.labels),
                          a.class_weights,
                          count,
                          a.z.c,
                          a.z.pitch,
                          form.entropy.ignore_index};
  const SoftDiceTotals totals{form.dice_weight, form.entropy_weight, form.eps,        chunks,
                              a.z.n,            a.z.c,               form.first_class, form.over_batch,
                              form.classes_together};
  auto* partial = static_cast<double*>(a.workspace);
  double* entropy = partial + a.z.n * chunks * (2 * a.z.c + kEntropySums);
  auto* coefficients = reinterpret_cast<float2*>(entropy + 1);
  const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(std::min(a.z.n, 65535)));
  LAUNCH(stream, grid, kLossThreads, 0, (soft_dice_sums<T, L>), in, per_image, a.z.n, partial);
  LAUNCH(stream, 1, kLossThreads, 0, soft_dice_finish, partial, totals, entropy, coefficients, a.value);
  if (a.dz)
    LAUNCH(stream, static_cast<unsigned>((count + kLossThreads - 1) / kLossThreads), kLossThreads, 0,
           (soft_dice_gradient<T, L>), in, per_image, entropy, coefficients, a.scale, static_cast<T*>(a.dz.data),
           a.dz.pitch);
}

}  // namespace

void soft_dice(gpu::Stream stream, const gpu::SoftDiceArgs& a) {
  check_images(a.z, a.dz);
  require(a.labels != nullptr && a.value != nullptr && a.workspace != nullptr, "soft_dice: arguments");
  require(a.label_type == DType::u8 || a.label_type == DType::i32, "soft_dice: labels of another type");
  require(a.form.first_class >= 0 && a.form.first_class < a.z.c, "soft_dice: no class is left");
  with_logit_type(a.z.type, [&](auto t) {
    using T = decltype(t);
    a.label_type == DType::u8 ? launch<T, uint8_t>(stream, a) : launch<T, int32_t>(stream, a);
  });
}

}  // namespace furrow::SIMT_NS
