// The problems that the parity tests and the benchmark share, and random values to run them on.
//
// A case is a planned step; problem(step) is its name. `ragged_steps` are the shapes that break kernels (channel counts
// beside every vector width, pictures of one pixel or one row, odd sizes, batches); `unet_steps` the layers that
// matter.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/planned.h"

namespace furrow::cases {

// The output function of splitmix64 (Steele, Lea and Flood 2014).
inline uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Uniform in (-1, 1), the same for the same seed on every machine; each value is a float32, so that back-ends of either
// precision see the same numbers. The state starts at the mixed seed: seeds that follow one another would else give the
// same stream, shifted, and sums of products of two such tensors would grow with K where those of unrelated numbers
// grow with sqrt(K), which makes a bound relative to the largest sum sqrt(K) times too wide.
inline Tensor random_values(const Shape& shape, uint64_t seed, DType type = DType::f64) {
  constexpr uint64_t kStep = 0x9E3779B97F4A7C15u;
  Tensor t(shape, DType::f64);
  uint64_t state = mixed((seed + 1) * kStep);
  for (double& value : t.values<double>()) {
    state += kStep;
    value = (static_cast<double>(mixed(state) >> 41) + 0.5) * 0x1p-22 - 1;  // 23 bits and a half: exact in float32
  }
  return t.to(type);
}

inline int64_t input_channels(const ConvStep& s) { return s.x[0].c + s.x[1].c; }

// Weights of a step, float64; none for a step that has none. Scaled by 1/sqrt(reduction length), so outputs stay
// near 1.
inline StepWeights random_weights(const Step& step, uint64_t seed) {
  const auto scaled = [](Tensor t, int64_t length) {
    for (double& value : t.values<double>()) value = static_cast<float>(value / std::sqrt(static_cast<double>(length)));
    return t;
  };
  StepWeights out;
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    const Shape w{conv->oc, conv->geometry.kernel_h, conv->geometry.kernel_w, input_channels(*conv)};
    out.w = scaled(random_values(w, seed), w.h * w.w * w.c);
    out.b = random_values({1, 1, 1, conv->oc}, seed + 1);
    if (conv->head > 0) {
      out.head_w = scaled(random_values({conv->head, 1, 1, conv->oc}, seed + 2), conv->oc);
      out.head_b = random_values({1, 1, 1, conv->head}, seed + 3);
    }
  } else if (const auto* up = std::get_if<UpconvStep>(&step)) {
    out.w = scaled(random_values({up->y.c, 2, 2, up->x.c}, seed), up->x.c);
    out.b = random_values({1, 1, 1, up->y.c}, seed + 1);
  }
  return out;
}

// kernel x kernel, padded so that stride 1 keeps the size.
inline ConvStep conv(Shape x, int64_t oc, int64_t kernel = 3, int64_t stride = 1) {
  return {.x = {x, {0, 0, 0, 0}}, .oc = oc, .geometry = {kernel, kernel, stride, kernel / 2}, .act = Activation::relu};
}
// The same over two sources, the second of `second` channels.
inline ConvStep conv(Shape x0, int64_t second, int64_t oc, int64_t kernel, int64_t stride) {
  ConvStep step = conv(x0, oc, kernel, stride);
  step.x[1] = {x0.n, x0.h, x0.w, second};
  return step;
}
inline ConvStep without_activation(ConvStep s) {
  s.act = Activation::none;
  return s;
}
inline ConvStep with_pool(ConvStep s) {
  s.pool = true;
  return s;
}
inline ConvStep pool_only(ConvStep s) {
  s.pool = true;
  s.store_y = false;
  return s;
}
inline ConvStep with_head(ConvStep s, int64_t head, bool store_y = false) {
  s.head = head;
  s.store_y = store_y;
  return s;
}
inline ConvStep with_pad(ConvStep s, int64_t pad) {
  s.geometry.pad = pad;
  return s;
}

// y = act(convolution + a tensor of y's shape), as at the end of a bottleneck.
inline ConvStep with_residual(ConvStep s) {
  s.residual = true;
  return s;
}

inline bool has_residual(const Step& step) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return conv->residual;
  const auto* gate = std::get_if<ChannelGateStep>(&step);
  return gate != nullptr && gate->residual;
}

inline UpconvStep upconv(Shape x, int64_t oc) { return {.x = x, .y = {x.n, 2 * x.h, 2 * x.w, oc}}; }
// The doubled picture laid at (top, left) of a frame of h x w.
inline UpconvStep upconv_at(Shape x, int64_t oc, int64_t h, int64_t w, int64_t top, int64_t left) {
  return {.x = x, .y = {x.n, h, w, oc}, .top = top, .left = left};
}
inline UpsampleStep upsample(Shape x, int64_t h, int64_t w) { return {.x = x, .h = h, .w = w, .y = {x.n, h, w, x.c}}; }
inline UpsampleStep upsample_at(Shape x, int64_t h, int64_t w, int64_t frame_h, int64_t frame_w, int64_t top,
                                int64_t left) {
  return {.x = x, .h = h, .w = w, .y = {x.n, frame_h, frame_w, x.c}, .top = top, .left = left};
}

inline std::vector<Step> ragged_convolutions() {
  std::vector<Step> steps;
  const int64_t channels[] = {1, 2, 3, 15, 16, 17, 24, 40};
  for (const int64_t ic : channels)
    for (const int64_t oc : channels) steps.push_back(conv({1, 5, 3, ic}, oc));
  for (const Shape& x :
       {Shape{1, 1, 1, 17}, {2, 1, 7, 3}, {3, 7, 1, 16}, {1, 31, 45, 24}, {1, 77, 101, 3}, {2, 6, 4, 15}}) {
    for (const int64_t kernel : {1, 3, 7}) {
      steps.push_back(conv(x, 19, kernel));
      steps.push_back(conv(x, 16, kernel, 2));
      steps.push_back(without_activation(conv(x, 33, 15, kernel, 1)));
    }
    steps.push_back(with_head(conv(x, 16), 1));
    steps.push_back(with_head(conv(x, 21), 3, true));
    if (x.h >= 2 && x.w >= 2) {
      steps.push_back(with_pool(conv(x, 17)));
      steps.push_back(pool_only(conv(x, 5, 32, 3, 1)));
      steps.push_back(with_head(with_pool(conv(x, 9)), 2));
    }
  }
  steps.push_back(conv({1, 9, 11, 64}, 64, 64, 3, 1));
  steps.push_back(with_pad(conv({1, 9, 11, 16}, 16), 0));      // valid convolution
  steps.push_back(with_pad(conv({2, 5, 6, 3}, 8), 4));         // a border of outputs that see nothing but zeros
  steps.push_back(with_pad(conv({1, 8, 9, 3}, 16, 7, 2), 3));  // the first layer of a ResNet
  ConvStep oblong = conv({1, 9, 8, 6}, 7);
  oblong.geometry = {1, 5, 1, 2};
  steps.push_back(oblong);
  return steps;
}

inline std::vector<Step> ragged_resampling() {
  std::vector<Step> steps;
  for (const Shape& x : {Shape{1, 1, 1, 1}, {1, 1, 7, 16}, {2, 5, 3, 17}, {1, 15, 22, 40}, {3, 4, 4, 3}}) {
    const int64_t h = 2 * x.h, w = 2 * x.w;
    for (const int64_t oc : {1, 16, 23}) steps.push_back(upconv(x, oc));
    steps.push_back(upconv_at(x, 17, h + 1, w + 1, 0, 0));
    steps.push_back(upconv_at(x, 16, h + 3, w + 2, 1, 2));
    steps.push_back(upconv_at(x, 5, h - 1, w + 1, -1, 1));  // cropped above, padded left
    steps.push_back(upsample(x, h, w));
    steps.push_back(upsample(x, 1, 1));
    steps.push_back(upsample(x, x.h + 3, 2 * x.w - 1));
    steps.push_back(upsample_at(x, h, w, h + 1, w + 3, 0, 1));
    steps.push_back(upsample_at(x, h, w, h - 1, w - 1, -1, 0));
    if (x.h >= 2 && x.w >= 2) steps.push_back(PoolStep{x});
  }
  return steps;
}

// What bottlenecks and attention gates add: residuals, 3x3 maxima, gates.
inline std::vector<Step> ragged_additions() {
  std::vector<Step> steps;
  for (const Shape& x : {Shape{1, 1, 1, 3}, {1, 1, 7, 16}, {2, 5, 7, 17}, {1, 31, 45, 24}, {3, 4, 4, 3}}) {
    for (const int64_t oc : {1, 16, 21}) {
      steps.push_back(with_residual(conv(x, oc, 1)));
      steps.push_back(with_residual(without_activation(conv(x, oc, 3, 2))));
    }
    steps.push_back(PoolStep{x, 3});
    steps.push_back(GateStep{x});
  }
  return steps;
}

// What the face parser adds: nearest pixels, global means, channel attention.
inline std::vector<Step> ragged_channel_steps() {
  std::vector<Step> steps;
  for (const Shape& x : {Shape{1, 1, 1, 1}, {1, 1, 7, 16}, {2, 5, 7, 19}, {1, 31, 45, 24}, {3, 4, 4, 3}}) {
    steps.push_back(NearestStep{x, 2 * x.h, 2 * x.w});
    steps.push_back(NearestStep{x, 2 * x.h - 1, 2 * x.w - 1});
    steps.push_back(NearestStep{x, 1, x.w + 3});
    steps.push_back(MeanStep{x});
    steps.push_back(NearestStep{MeanStep{x}.y(), x.h, x.w});
    steps.push_back(ChannelGateStep{x});
    steps.push_back(ChannelGateStep{x, true});
  }
  return steps;
}

inline std::vector<Step> ragged_steps() {
  std::vector<Step> steps = ragged_convolutions();
  for (const Step& s : ragged_resampling()) steps.push_back(s);
  for (const Step& s : ragged_additions()) steps.push_back(s);
  for (const Step& s : ragged_channel_steps()) steps.push_back(s);
  return steps;
}

// Every step of a planned U-Net of four levels, with transposed convolutions, for one size x size picture (a multiple
// of 16).
inline std::vector<Step> unet_steps(int64_t base, int64_t size, int64_t in_channels = 3, int64_t classes = 1) {
  std::vector<Step> steps;
  int64_t c = base;
  steps.push_back(conv({1, size, size, in_channels}, c));
  steps.push_back(with_pool(conv({1, size, size, c}, c)));
  for (int level = 1; level <= 4; ++level) {
    size /= 2;
    steps.push_back(conv({1, size, size, c}, 2 * c));
    const ConvStep second = conv({1, size, size, 2 * c}, 2 * c);
    steps.push_back(level < 4 ? with_pool(second) : second);
    c *= 2;
  }
  for (int level = 3; level >= 0; --level) {
    steps.push_back(upconv({1, size, size, c}, c / 2));
    size *= 2;
    c /= 2;
    steps.push_back(conv({1, size, size, c}, c, c, 3, 1));
    const ConvStep second = conv({1, size, size, c}, c);
    steps.push_back(level > 0 ? second : with_head(second, classes));
  }
  return steps;
}

}  // namespace furrow::cases
