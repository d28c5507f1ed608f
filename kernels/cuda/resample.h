// Operations that move pixels, and their gradients: maxima of windows, resizing, padding, means. Arguments and launch
// functions.
//
// Images of one call have one type (f32, f16, bf16); pitches are free. Every gradient gathers: each value of dx is one
// sum in a fixed order, stored, or with `accumulate` added to what is there. Results are no image of an input.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/image.h"
#include "kernels/cuda/stream.h"

namespace furrow::gpu {

// Maximum of a window every two pixels. NaN wins, as in PyTorch.
//   pool2x2  y {N,H/2,W/2,C}          2x2; an odd last row or column is dropped
//   pool3x3  y {N,(H+1)/2,(W+1)/2,C}  3x3, the picture padded by one
// No positions are kept: dy goes to the first maximum of its window in row-major order, or to its last NaN; x tells.
struct PoolArgs {
  ConstImage x;
  Image y;
};
struct PoolGradArgs {
  ConstImage x, dy;
  Image dx;
  bool accumulate = false;
};

// Where output line o of `out` lines looks among `in` source lines (PyTorch's interpolate, given a size):
//   align_corners  o*(in-1)/(out-1), 0 where out = 1         bilinear
//   half_pixel     (o+1/2)*in/out - 1/2, at least 0          bilinear, align_corners=False
//   nearest        floor(o*in/out)                          (PyTorch rounds in/out to float32 first)
// Positions are ratios of whole numbers, exact. Sums of float32 images, weights included, are rounded once
// (kernels/cuda/compensated.h); those of 16 bits are chains of float32.
//
// Weights of 0 (bilinear): an output that lies on source line i mixes line i+1 in with 0, or line i once more where it
// is the last, so an infinity or NaN there makes the output NaN. The gradient leaves these terms out: an infinity or
// NaN in dy there does not reach line i+1, and an infinity stays one on the last line. `ref` and `cpu` add 0 times it,
// which is NaN.
enum class ResizeRule : uint8_t { align_corners, half_pixel, nearest };

// x resized to h x w lies at (top, left) of y; y is zero elsewhere, and what lies outside y is dropped.
struct ResizeArgs {
  ConstImage x;
  Image y;
  ResizeRule rule;
  int h = 0, w = 0, top = 0, left = 0;
};
// The gradient: dy is like y, dx like x.
struct ResizeGradArgs {
  ConstImage dy;
  Image dx;
  ResizeRule rule;
  int h = 0, w = 0, top = 0, left = 0;
  bool accumulate = false;
};

// y[n,h,w,c] = x[n,h-top,w-left,c] where that exists, else 0. Its gradient is itself with -top, -left.
struct PadArgs {
  ConstImage x;
  Image y;
  int top = 0, left = 0;
  bool accumulate = false;
};

// y[n,0,0,c] = mean of x[n,:,:,c], in two stages over chunks of pixels.
struct MeanArgs {
  ConstImage x;
  Image y;
  float* workspace = nullptr;  // global_mean_workspace(n, h*w, c) bytes
};
// dx = dy / (h*w)
struct MeanGradArgs {
  ConstImage dy;
  Image dx;
  bool accumulate = false;
};
// At most 64 chunks of an image, of at least 64 pixels each.
constexpr int64_t global_mean_chunk(int64_t pixels) { return pixels <= 64 * 64 ? 64 : (pixels + 63) / 64; }
constexpr int64_t global_mean_chunks(int64_t pixels) {
  return (pixels + global_mean_chunk(pixels) - 1) / global_mean_chunk(pixels);
}
constexpr size_t global_mean_workspace(int64_t images, int64_t pixels, int64_t channels) {
  return static_cast<size_t>(images * global_mean_chunks(pixels) * channels) * sizeof(float);
}

struct ResampleKernels {
  void (*pool2x2)(Stream, const PoolArgs&);
  void (*pool2x2_grad)(Stream, const PoolGradArgs&);
  void (*pool3x3)(Stream, const PoolArgs&);
  void (*pool3x3_grad)(Stream, const PoolGradArgs&);
  void (*resize)(Stream, const ResizeArgs&);
  void (*resize_grad)(Stream, const ResizeGradArgs&);
  void (*pad)(Stream, const PadArgs&);
  void (*global_mean)(Stream, const MeanArgs&);
  void (*global_mean_grad)(Stream, const MeanGradArgs&);
};

}  // namespace furrow::gpu

namespace furrow::emulated {
extern const gpu::ResampleKernels resample_kernels;
}
namespace furrow::cuda {
extern const gpu::ResampleKernels resample_kernels;
}  // namespace furrow::cuda
