// Dice + Focal: sums of every image, the loss from them, and the gradient of every pixel.
//
// A pixel's p, q, ln p and ln q come from one e = exp(-|z|) each (ln p = min(z,0) - log1p(e)), so none of them cancels
// or overflows. Formulas: kernels/losses.h.
#include <algorithm>

#include "kernels/cuda/loss_launch.h"

namespace furrow::SIMT_NS {
namespace {

// DiceFocal as the kernels read it.
struct Form {
  float positive, negative;  // alpha_positive * pos_weight, alpha_negative
  float gamma, map_weight;
  bool clamp, double_sigmoid, broadcast;
};

template <class T, class U>
struct Pixels {
  const T* __restrict__ z;
  const U* __restrict__ targets;
  int64_t count;  // of one image
  int images, pitch;
  float one;
  SIMT_DEVICE float logit(int64_t image, int64_t i) const { return to_float(z[(image * count + i) * pitch]); }
  SIMT_DEVICE float target(int64_t image, int64_t i) const {
    const U v = targets[image * count + i];
    if constexpr (sizeof(U) == 1)
      return fminf(static_cast<float>(v) / one, 1.0f);
    else
      return v;
  }
  // The target of the focal term.
  SIMT_DEVICE float focal_target(int64_t image, int64_t i, bool broadcast) const {
    if (!broadcast) return target(image, i);
    float sum = 0;
    for (int b = 0; b < images; ++b) sum += target(b, i);
    return sum / static_cast<float>(images);
  }
};

struct Probability {
  float p, q, ln_p, ln_q;
};
SIMT_DEVICE Probability probability_of(float z) {
  const float e = expf(-fabsf(z)), log1p_e = log1pf(e), large = 1.0f / (1.0f + e), small = e / (1.0f + e);
  if (z < 0) return {small, large, z - log1p_e, -log1p_e};
  return {large, small, -log1p_e, -z - log1p_e};  // NaN comes this way, and stays
}

// x^gamma; the exponents in use without powf.
SIMT_DEVICE float power(float x, float gamma) {
  if (gamma == 1.0f) return x;
  if (gamma == 2.0f) return x * x;
  if (gamma == 0.0f) return 1.0f;
  return powf(x, gamma);
}

// The logit that the focal term sees, as a probability; `outside`: clamped, without gradient.
SIMT_DEVICE Probability focal_probability(const Form& f, float z, const Probability& seen, bool& outside) {
  constexpr float low = static_cast<float>(kFocalClampLowLogit), high = static_cast<float>(kFocalClampHighLogit);
  outside = f.clamp && (z < low || z > high);
  return outside ? probability_of(z < low ? low : high) : seen;
}

// partial[image][chunk] = { I, X, sum of focal }.
// Grid: {chunks, images}, block 256; each thread adds 16 pixels, 256 apart, in float64, then block_sum. Bytes: a logit
// and a target per pixel (with `broadcast`, the target of every image). I and X are what the Dice of kernels/losses.h
// divides.
template <class T, class U>
__global__ void __launch_bounds__(kLossThreads) dice_focal_sums(Pixels<T, U> in, Form f, double* __restrict__ partial) {
  for (int64_t image = blockIdx.y; image < in.images; image += gridDim.y) {
    double sums[3] = {0, 0, 0};
    const int64_t begin = blockIdx.x * gpu::kLossChunk, end = min(begin + gpu::kLossChunk, in.count);
    for (int64_t i = begin + threadIdx.x; i < end; i += kLossThreads) {
      float z = in.logit(image, i);
      if (f.double_sigmoid) z = probability_of(z).p;
      const float t = in.target(image, i), t_focal = in.focal_target(image, i, f.broadcast),
                  m = 1.0f + f.map_weight * t;
      const Probability here = probability_of(z);
      bool outside;
      const Probability focal = focal_probability(f, z, here, outside);
      sums[0] += m * here.p * t;
      sums[1] += m * (here.p * (1.0f - t) + here.q * t);
      // Weights are applied in float64: a weight above 1 times a logit near the end of float32 is not finite in
      // float32.
      sums[2] += static_cast<double>(f.positive * t_focal) * (power(focal.q, f.gamma) * -focal.ln_p) +
                 static_cast<double>(f.negative * (1.0f - t_focal)) * (power(focal.p, f.gamma) * -focal.ln_q);
    }
    block_sum(sums);
    if (threadIdx.x == 0) {
      double* to = partial + (image * gridDim.x + blockIdx.x) * 3;
      SIMT_UNROLL
      for (int k = 0; k < 3; ++k) to[k] = sums[k];
    }
  }
}

struct Totals {
  double dice_weight, focal_weight, eps, pixels;  // of the batch
  int64_t chunks;
  int images;
  bool over_batch;
};

// Writes the loss, and per image what the gradient needs: { D, dice_weight / ((S + eps) * number of D's) }.
// One block of 256. Bytes: 24 per image and chunk read, 8 per image written. Order: partial sums of an image are added
// strided by 256, in float64, then block_sum; images one after another.
__global__ void __launch_bounds__(kLossThreads)
    dice_focal_finish(const double* __restrict__ partial, Totals t, float2* __restrict__ coefficients,
                      DiceFocalValue* __restrict__ value) {
  double dice = 0, focal = 0, both = 0, different = 0;  // of thread 0
  const double parts = t.over_batch ? 1.0 : static_cast<double>(t.images);
  for (int image = 0; image < t.images; ++image) {
    double sums[3] = {0, 0, 0};
    for (int64_t chunk = threadIdx.x; chunk < t.chunks; chunk += kLossThreads) {
      SIMT_UNROLL
      for (int k = 0; k < 3; ++k) sums[k] += partial[(image * t.chunks + chunk) * 3 + k];
    }
    block_sum(sums);
    if (threadIdx.x != 0) continue;
    focal += sums[2];
    both = t.over_batch ? both + sums[0] : sums[0];
    different = t.over_batch ? different + sums[1] : sums[1];
    if (t.over_batch && image + 1 < t.images) continue;
    const double bottom = different + 2 * both + t.eps;  // S + eps
    dice += different / bottom / parts;
    const float2 c = make_float2(static_cast<float>((2 * both + t.eps) / bottom),
                                 static_cast<float>(t.dice_weight / (bottom * parts)));
    for (int to = t.over_batch ? 0 : image; to <= image; ++to) coefficients[to] = c;
  }
  if (threadIdx.x == 0) {
    focal /= t.pixels;
    *value = {t.dice_weight * dice + t.focal_weight * focal, dice, focal};
  }
}

// dz of every pixel: scale times the derivative of the loss of kernels/losses.h, of Dice with dice_focal_finish's two
// numbers c: c.y * m * (c.x - 2t) * p * q. Grid: {chunks, images}, block 256, 16 pixels a thread, no shared memory.
// Bytes: those of the sums, and dz written. No sums over pixels.
template <class T, class U>
__global__ void __launch_bounds__(kLossThreads)
    dice_focal_gradient(Pixels<T, U> in, Form f, float focal_weight, const float2* __restrict__ coefficients,
                        gpu::GradientScale scale, T* __restrict__ dz, int dz_pitch) {
  const float factor = scale_of(scale);
  for (int64_t image = blockIdx.y; image < in.images; image += gridDim.y) {
    const float2 c = coefficients[image];
    const int64_t begin = blockIdx.x * gpu::kLossChunk, end = min(begin + gpu::kLossChunk, in.count);
    for (int64_t i = begin + threadIdx.x; i < end; i += kLossThreads) {
      float z = in.logit(image, i), slope = factor;
      if (f.double_sigmoid) {
        const Probability inner = probability_of(z);
        slope *= inner.p * inner.q;
        z = inner.p;
      }
      const float t = in.target(image, i), t_focal = in.focal_target(image, i, f.broadcast),
                  m = 1.0f + f.map_weight * t;
      const Probability here = probability_of(z);
      float gradient = c.y * m * (c.x - 2.0f * t) * (here.p * here.q);
      bool outside;
      const Probability focal = focal_probability(f, z, here, outside);
      if (!outside)
        gradient +=
            focal_weight *
            (f.positive * t_focal * power(focal.q, f.gamma) * (f.gamma * focal.p * focal.ln_p - focal.q) +
             f.negative * (1.0f - t_focal) * power(focal.p, f.gamma) * (focal.p - f.gamma * focal.q * focal.ln_q));
      T* to = dz + (image * in.count + i) * dz_pitch;
      to[0] = from_float<T>(gradient * slope);
      pad_with_zeros(to, 1, dz_pitch);
    }
  }
}

template <class T, class U>
void launch(gpu::Stream stream, const gpu::DiceFocalArgs& a) {
  const DiceFocal& form = a.form;
  const int64_t count = static_cast<int64_t>(a.z.h) * a.z.w, chunks = gpu::loss_chunks(count);
  const Pixels<T, U> in{static_cast<const T*>(a.z.data), static_cast<const U*>(a.targets), count, a.z.n, a.z.pitch,
                        static_cast<float>(a.target_one)};
  const Form f{static_cast<float>(form.alpha_positive * form.pos_weight),
               static_cast<float>(form.alpha_negative),
               static_cast<float>(form.gamma),
               static_cast<float>(form.dice_map_weight),
               form.clamp,
               form.double_sigmoid,
               form.batch_broadcast};
  const double N = static_cast<double>(a.z.pixels());
  const Totals totals{form.dice_weight, form.focal_weight, form.eps, N, chunks, a.z.n, form.dice_over_batch};
  auto* partial = static_cast<double*>(a.workspace);
  auto* coefficients = reinterpret_cast<float2*>(partial + a.z.n * chunks * 3);
  const dim3 grid(static_cast<unsigned>(chunks), static_cast<unsigned>(std::min(a.z.n, 65535)));
  LAUNCH(stream, grid, kLossThreads, 0, (dice_focal_sums<T, U>), in, f, partial);
  LAUNCH(stream, 1, kLossThreads, 0, dice_focal_finish, partial, totals, coefficients, a.value);
  if (a.dz)
    LAUNCH(stream, grid, kLossThreads, 0, (dice_focal_gradient<T, U>), in, f, static_cast<float>(form.focal_weight / N),
           coefficients, a.scale, static_cast<T*>(a.dz.data), a.dz.pitch);
}

}  // namespace

void dice_focal(gpu::Stream stream, const gpu::DiceFocalArgs& a) {
  check_images(a.z, a.dz);
  require(a.z.c == 1 && a.targets != nullptr && a.value != nullptr && a.workspace != nullptr, "dice_focal: arguments");
  require(a.target_type == DType::f32 || (a.target_type == DType::u8 && a.target_one > 0),
          "dice_focal: targets of another type");
  with_logit_type(a.z.type, [&](auto t) {
    using T = decltype(t);
    a.target_type == DType::u8 ? launch<T, uint8_t>(stream, a) : launch<T, float>(stream, a);
  });
}

}  // namespace furrow::SIMT_NS
