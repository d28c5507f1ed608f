// From photo pixels to a network's input, and from photo and mask to the picture that shows both.
#include "kernels/cuda/picture_launch.h"

namespace furrow::SIMT_NS {
namespace {

SIMT_DEVICE bool stays(const gpu::KeptArgs& a, int64_t i, int64_t j) {
  if (a.photo_w == 0) return true;
  const int64_t x = a.crop_x + (2 * (a.x0 + i) + 1) * a.crop_w / (2 * a.columns);
  const int64_t y = a.crop_y + (2 * (a.y0 + j) + 1) * a.crop_h / (2 * a.rows);
  if (x < 0 || x >= a.photo_w || y < 0 || y >= a.photo_h) return false;
  if (a.labels == nullptr) return true;
  int64_t at = y * a.label_w + x;
  if (a.label_w != a.photo_w || a.label_h != a.photo_h)
    at = (2 * y + 1) * a.label_h / (2 * a.photo_h) * a.label_w + (2 * x + 1) * a.label_w / (2 * a.photo_w);
  const unsigned label = a.labels[at];
  unsigned word = 0;   // chosen by comparing, so that the arguments stay in registers
  SIMT_UNROLL
  for (unsigned k = 0; k < 8; ++k) word = label / 32 == k ? a.kept[k] : word;
  return (word >> label % 32 & 1u) != 0;
}

// NormaliseArgs. One thread per pixel. Bytes: `channels` and a label read, pitch * sizeof(T) written; the table stays
// in cache. Grid: {width / 32, height / 8 (looped), 1}, block {32, 8}, no shared memory.
template <class T>
__global__ void __launch_bounds__(256) normalise(const uint8_t* __restrict__ from, int width, int height, int channels,
                                                 const float* __restrict__ table, bool mirrored, gpu::KeptArgs kept, T* __restrict__ to, int c_to, int pitch) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (x >= width) return;
  const int source = mirrored ? width - 1 - x : x;
  for (int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); y < height; y += static_cast<int>(gridDim.y * blockDim.y)) {
    const uint8_t* pixel = from + (static_cast<int64_t>(y) * width + source) * channels;
    const bool kept_here = stays(kept, source, y);
    T* out = to + (static_cast<int64_t>(y) * width + x) * pitch;
    for (int c = 0; c < c_to; ++c) {
      const int v = kept_here ? pixel[channels == 1 ? 0 : c] : 0;
      out[c] = from_float<T>(table[c * 256 + v]);
    }
    for (int c = c_to; c < pitch; ++c) out[c] = from_float<T>(0.0f);
  }
}

SIMT_DEVICE int blend(int p, int colour, int weight) { return (p * (256 - weight) + colour * weight + 128) >> 8; }

constexpr int64_t kDash = 6;   // as in segment/overlay.cc: pixels of black, then of white, times the thickness

// Whether pixel (x, y) lies on the frame, drawn inwards; only then does `dark` change, to which dash it is.
SIMT_DEVICE bool on_frame(const gpu::FrameBox& box, int64_t x, int64_t y, int64_t thick, bool& dark) {
  if (y < box.y0 || y >= box.y1 || x < box.x0 || x >= box.x1) return false;
  const bool inner = y >= box.y0 + thick && y < box.y1 - thick && x >= box.x0 + thick && x < box.x1 - thick;
  if (!inner) dark = ((x - box.x0) + (y - box.y0)) / (kDash * thick) % 2 == 0;
  return !inner;
}

// OverlayArgs. One thread per pixel. Bytes: channels + 5 mask values read (neighbours come from L1), 3 written.
// Grid: {width / 32, height / 8 (looped), 1}, block {32, 8}, no shared memory. `photo` may be `to`: no __restrict__.
__global__ void __launch_bounds__(256) overlay(gpu::OverlayArgs a) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (x >= a.width) return;
  const int64_t thick = 1 + min(a.width, a.height) / 1024;
  for (int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); y < a.height; y += static_cast<int>(gridDim.y * blockDim.y)) {
    const int64_t at = static_cast<int64_t>(y) * a.width + x;
    const uint8_t* pixel = a.photo + at * a.channels;
    const uint8_t* mask = a.mask + at;
    const int value = *mask;
    int weight = value >= a.threshold ? a.opacity256 : 0;
    if (a.proportional) weight = (a.opacity256 * value + 127) / 255;
    const bool edge = a.outlined && value < a.threshold &&
                      ((x > 0 && mask[-1] >= a.threshold) || (x + 1 < a.width && mask[1] >= a.threshold) ||
                       (y > 0 && mask[-a.width] >= a.threshold) || (y + 1 < a.height && mask[a.width] >= a.threshold));
    bool framed = false, dark = false;
    for (int b = 0; b < a.box_count; ++b) framed |= on_frame(a.boxes[b], x, y, thick, dark);
    uint8_t out[3];
    SIMT_UNROLL
    for (int c = 0; c < 3; ++c) {
      int v = blend(pixel[a.channels == 1 ? 0 : c], a.fill[c], weight);
      if (edge) v = blend(v, a.outline[c], 256);
      if (framed) v = dark ? 0 : 255;
      out[c] = static_cast<uint8_t>(v);
    }
    SIMT_UNROLL
    for (int c = 0; c < 3; ++c) a.to[3 * at + c] = out[c];
  }
}

template <class T> void launch_normalise(gpu::Stream stream, const gpu::NormaliseArgs& a) {
  LAUNCH(stream, dim3(picture_blocks(a.width, 32), picture_row_blocks(a.height, 8)), dim3(32, 8), 0, normalise<T>, a.from, a.width, a.height, a.channels,
         a.table, a.mirrored, a.kept, static_cast<T*>(a.to.data), a.to.c, a.to.pitch);
}

}  // namespace

void picture_normalise(gpu::Stream stream, const gpu::NormaliseArgs& a) {
  require(a.width > 0 && a.height > 0, "normalise: empty picture");
  require(a.channels == 1 || a.channels == 3 || a.channels == 4, "normalise: 1, 3 or 4 channels");
  require(a.to.n == 1 && a.to.h == a.height && a.to.w == a.width && (a.to.c == 3 || (a.to.c == 4 && a.channels == 4)) &&
              a.to.pitch >= a.to.c, "normalise: the result's shape");
  switch (a.to.type) {
    case DType::f32: return launch_normalise<float>(stream, a);
    case DType::f16: return launch_normalise<f16>(stream, a);
    case DType::bf16: return launch_normalise<bf16>(stream, a);
    default: require(false, "normalise: the result's type");
  }
}

void picture_overlay(gpu::Stream stream, const gpu::OverlayArgs& a) {
  require(a.width > 0 && a.height > 0, "overlay: empty picture");
  require(a.channels == 1 || a.channels == 3, "overlay: the photo is neither gray nor RGB");
  require(a.opacity256 >= 0 && a.opacity256 <= 256, "overlay: opacity outside 0 .. 1");
  LAUNCH(stream, dim3(picture_blocks(a.width, 32), picture_row_blocks(a.height, 8)), dim3(32, 8), 0, overlay, a);
}

}  // namespace furrow::SIMT_NS
