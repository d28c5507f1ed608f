// Operations on 8-bit pictures, labels and masks in device memory: what each computes, to the bit.
//
// Pictures are row-major, top row first, `channels` interleaved bytes per pixel, without padding. Pointers without
// another word point into device memory. Every result is the one of the CPU's code named with it, byte for byte:
// weights and tables come from the host, and what a device computes is whole numbers and comparisons.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/cuda/image.h"

namespace furrow::gpu {

// The weights of a resize along one axis: result i is round(sum over k < count[i] of weights[i*stride + k] *
// source[first[i] + k]), weights with 22 fractional bits, clipped to 0..255. Source: io::axis_weights, which makes them
// (nearest: one weight of 1, or no weight where the position lies outside, which leaves 0).
struct ResizeAxis {
  const int32_t* first = nullptr;
  const int32_t* count = nullptr;
  const int32_t* weights = nullptr;
  int stride = 0;
};

// io::resize of {height, width, channels} to {to_height, to_width, channels}: columns first, 8 bits in between, rows
// next. `rows` counts rows of the picture. channels: 1, 3 or 4.
// premultiply (4 channels): colours are multiplied by alpha before and divided by it after, as Pillow does for RGBA
// with every filter but nearest; where the resized alpha is 0 they stay as they are.
struct PictureResizeArgs {
  const uint8_t* from = nullptr;
  int width = 0, height = 0, channels = 3;
  uint8_t* to = nullptr;
  int to_width = 0, to_height = 0;
  ResizeAxis columns, rows;
  int first_row = 0, row_count = 0;   // the part of the picture's rows that `rows` reads
  bool premultiply = false;
  uint8_t* workspace = nullptr;       // resize_workspace_bytes(args)
};
// row_count rows of to_width pixels.
constexpr size_t resize_workspace_bytes(const PictureResizeArgs& a) {
  return static_cast<size_t>(a.row_count) * static_cast<size_t>(a.to_width) * static_cast<size_t>(a.channels);
}

// Which pixels of a network's input stay: pixel (i, j) has its centre on photo pixel
//   x = crop_x + (2*(x0+i) + 1) * crop_w / (2*columns),   y likewise with crop_h, rows
// (whole-number division towards zero), and stays where that is inside the photo and its label is kept. The label of
// (x, y) is labels[y*label_w + x] of a map of the photo's size, else that under the centre of (x, y) scaled to the map.
// Source: Grid, KeptPixels and blacken of segment/region.h.
struct KeptArgs {
  const uint8_t* labels = nullptr;       // {label_h, label_w}; null: every label is kept
  int label_w = 0, label_h = 0;
  uint32_t kept[8] = {};                 // bit l%32 of kept[l/32]: label l is kept
  int64_t photo_w = 0, photo_h = 0;      // photo_w == 0: every pixel stays, whatever the rest says
  int64_t crop_x = 0, crop_y = 0, crop_w = 1, crop_h = 1;
  int64_t columns = 1, rows = 1;         // of the grid over the crop
  int64_t x0 = 0, y0 = 0;                // of the picture in the grid
};

// to[y,x,c] = table[c*256 + v], v the byte of channel c of pixel (x, y), or of (width-1-x, y) where `mirrored`, and 0
// where that pixel is not kept: masking comes before normalising, as in the pictures the networks were trained on. Gray
// is copied to three channels; of four channels the last, alpha, is dropped where `to` has three. 16-bit images take the table's float32 rounded once more.
// Source: normalise() of segment/preprocess.h, whose table of (v/255 - mean[c]) / std[c] this takes.
struct NormaliseArgs {
  const uint8_t* from = nullptr;
  int width = 0, height = 0, channels = 3;   // 1, 3 or 4
  const float* table = nullptr;              // {to.c, 256}
  bool mirrored = false;
  KeptArgs kept;
  Image to;                                  // {1, height, width, 3, or 4 where channels are}
};

// What the next two compare with bounds: the value itself for one class; for more, class 1 minus its strongest rival
// (the largest of the others in float32, NaN where any is NaN). Source: add_probability() of segment/preprocess.h.
struct ScoresArgs {
  const float* values = nullptr;   // {pixels, classes}
  int64_t pixels = 0;
  int classes = 1;
};
// mask = score >= least ? 255 : 0; NaN gives 0. With least_probability(t) for probabilities, least_logit(t) for logits.
struct ThresholdArgs { ScoresArgs scores; float least = 0; uint8_t* mask = nullptr; };
// to = round(255 * sigmoid(score)), halves up, NaN as 0: how many of the bounds are <= score.
struct ProbabilityArgs {
  ScoresArgs scores;
  const float* bounds = nullptr;  // {255}, logit_bounds()
  uint8_t* to = nullptr;
};

// The smallest float p with p > threshold, compared as doubles; NaN, which nothing reaches, where there is none.
float least_probability(double threshold);
// The smallest float z, infinities included, with 1/(1+exp(-z)) > threshold in float32 as add_probability computes it;
// NaN where there is none. Finds it by bisection: the float32 sigmoid never falls.
float least_logit(double threshold);
// bounds[k-1]: the smallest float z whose probability rounds to k of 255 or more.
std::array<float, 255> logit_bounds();

// labels[i] = the first class of the largest score of pixel i; NaN counts as larger than every number and the first NaN
// wins, as in torch.argmax.
struct ArgmaxArgs { ConstImage scores; uint8_t* labels = nullptr; };   // c <= 256; labels {n, h, w}
// The same of the scores resized to height x width, bilinear with align_corners: with r = y*(h-1), d = height-1
// (r = 0, d = 1 where height is 1), rows r/d and r/d + 1 (at most h-1) are mixed by the fraction (r%d)/d, columns
// likewise; in float32: mix(a, b, f) = fma(f, b, (1-f)*a), columns first. Source: RefBackend::upsample_bilinear, as
// PyTorch's interpolate(mode="bilinear", align_corners=True); labels differ from float64 only where two classes tie
// within rounding.
struct UpsampleArgmaxArgs {
  ConstImage scores;
  int height = 0, width = 0;
  uint8_t* labels = nullptr;  // {n, height, width}
};

// A rectangle in pixel edges, half open, drawn as a dashed frame. May reach beyond the picture.
struct FrameBox { int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0; };
// The photo with its mask marked: overlay() of segment/overlay.h. Per channel, blend(p, colour, w) =
// (p*(256-w) + colour*w + 128) >> 8, with `fill` where mask >= threshold (w = opacity256) or, where proportional,
// everywhere (w = (opacity256*mask + 127)/255); with `outline` where outlined, the mask is below the threshold and a
// neighbour by an edge is not (w = 256); then the frames, in order. `to` may be `photo` where that is RGB.
struct OverlayArgs {
  const uint8_t* photo = nullptr;   // {height, width, channels}
  int width = 0, height = 0, channels = 3;   // 1 or 3
  const uint8_t* mask = nullptr;    // {height, width}
  uint8_t fill[3] = {}, outline[3] = {};
  int opacity256 = 128;             // lround(256 * opacity)
  int threshold = 128;
  bool outlined = true, proportional = false;
  const FrameBox* boxes = nullptr;
  int box_count = 0;
  uint8_t* to = nullptr;            // {height, width, 3}
};

}  // namespace furrow::gpu
