// One number for each image and channel: the global mean, and channel attention, which scales by its sigmoid.
#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {

using ref::ConstPixels;
using ref::Pixels;

void RefBackend::global_mean(const Tensor& x, Tensor& y) {
  const Shape s = x.shape();
  require(s.h > 0 && s.w > 0 && y.shape() == Shape{s.n, 1, 1, s.c}, "global_mean: shapes");
  const ConstPixels source(x);
  const Pixels result(y);
  ref::begin_sum(y, Grad::overwrite);
  parallel_for(pool_, s.n, [&](int64_t n, int) {
    double* mean = result.at(n, 0, 0);
    for (int64_t h = 0; h < s.h; ++h)
      for (int64_t w = 0; w < s.w; ++w) ref::add_scaled(1, source.at(n, h, w), mean, s.c);
    for (int64_t c = 0; c < s.c; ++c) mean[c] /= static_cast<double>(s.h * s.w);
  });
}

void RefBackend::global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape s = dx.shape();
  require(s.h > 0 && s.w > 0 && dy.shape() == Shape{s.n, 1, 1, s.c}, "global_mean_grad: shapes");
  const ConstPixels gradient(dy);
  const Pixels result(dx);
  parallel_for(pool_, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    for (int64_t w = 0; w < s.w; ++w)
      for (int64_t c = 0; c < s.c; ++c)
        ref::store(result.at(n, h, w)[c], gradient.at(n, 0, 0)[c] / static_cast<double>(s.h * s.w), mode);
  });
}

void RefBackend::channel_gate(const Tensor& x, const Tensor& z, Tensor& y) {
  const Shape s = x.shape();
  require(y.shape() == s && z.shape() == Shape{s.n, 1, 1, s.c}, "channel_gate: shapes");
  const ConstPixels source(x), logits(z);
  const Pixels result(y);
  parallel_for(pool_, s.n * s.h, [&](int64_t task, int) {
    const int64_t n = task / s.h, h = task % s.h;
    for (int64_t c = 0; c < s.c; ++c) {
      const double open = ref::stable_sigmoid(logits.at(n, 0, 0)[c]);
      for (int64_t w = 0; w < s.w; ++w) result.at(n, h, w)[c] = source.at(n, h, w)[c] * open;
    }
  });
}

void RefBackend::channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz,
                                   Grad mode) {
  const Shape s = x.shape();
  require(dy.shape() == s && z.shape() == Shape{s.n, 1, 1, s.c}, "channel_gate_grad: shapes");
  require((dx == nullptr || dx->shape() == s) && (dz == nullptr || dz->shape() == z.shape()),
          "channel_gate_grad: results");
  const ConstPixels source(x), logits(z), gradient(dy);
  parallel_for(pool_, s.n, [&](int64_t n, int) {  // dz is a sum over all pixels
    for (int64_t c = 0; c < s.c; ++c) {
      const double open = ref::stable_sigmoid(logits.at(n, 0, 0)[c]);
      double sum = 0;
      for (int64_t h = 0; h < s.h; ++h)
        for (int64_t w = 0; w < s.w; ++w) {
          const double incoming = gradient.at(n, h, w)[c];
          sum += incoming * source.at(n, h, w)[c];
          if (dx != nullptr) ref::store(Pixels(*dx).at(n, h, w)[c], incoming * open, mode);
        }
      if (dz != nullptr) ref::store(Pixels(*dz).at(n, 0, 0)[c], open * (1 - open) * sum, mode);
    }
  });
}

}  // namespace furrow
