// From pixels to the network's input and from its output to probabilities.
#pragma once

#include <cstdint>
#include <span>

#include "io/image.h"
#include "kernels/tensor.h"
#include "segment/model.h"

namespace furrow {

// Scales and normalises: x = v/255 (or v with raw_scale), then Normalisation, per channel, computed in double and
// rounded once. `input` is {1,h,w,3}, f32 or f64, or with `texture`, a map as large as the picture, {1,h,w,4}: the map
// comes last and is normalised like the others, but for `imagenet`, which leaves it x, as in training (data/loader.h);
// with `mirrored` the picture is flipped left to right. Source: the input convention of the published checkpoints;
// torchvision's Normalize for `imagenet`.
void normalise(const io::Image& rgb, const io::Image* texture, const ModelInfo& info, bool mirrored, Tensor& input);
inline void normalise(const io::Image& rgb, const ModelInfo& info, bool mirrored, Tensor& input) {
  normalise(rgb, nullptr, info, mirrored, input);
}

// The same numbers as a table {1,1,channels,256}, f32 or f64, channels 3 or, with a texture map, 4: what each byte of
// each channel becomes. For plans that take pixels.
Tensor pixel_values(const ModelInfo& info, int64_t channels, DType type);
// The picture's bytes as such a plan wants them: {h,w,3}, or {h,w,4} with `texture`; with `mirrored` flipped left to
// right.
void interleave(const io::Image& rgb, const io::Image* texture, bool mirrored, std::span<uint8_t> pixels);

// Probability of a wrinkle per pixel from the network's output {1,h,w,classes}, f32 or f64:
//   one class    1/(1+exp(-z))
//   more         class 1 against its strongest rival, e^z1/(e^z1 + e^zr): for two classes the softmax of class 1, and
//   in
//                any case above 1/2 exactly where class 1 is the (only) argmax.
// NaN stays NaN. With `mirrored` the columns are flipped back. plane[i] += weight * p.
void add_probability(const Tensor& logits, bool mirrored, float weight, std::span<float> plane);

// The number a probability of add_probability() must exceed for `threshold` to mean what it means to the model.
//   Output::logits   threshold itself
//   Output::sigmoid  the model's program asks sigmoid(q) > threshold of q = sigmoid(z), which is q > ln(t/(1-t)); in
//   its
//                    float32 arithmetic sigmoid(q) > 1/2 first holds at q = 8.9e-8. Below 1/2 every pixel passes (-1).
// With several classes `output` makes no difference.
double effective_threshold(const ModelInfo& info, int64_t classes, double threshold);

}  // namespace furrow
