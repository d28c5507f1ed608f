// Operations that move pixels: maxima of windows, resizing, padding; and their gradients.
#include <algorithm>
#include <cmath>

#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {

using ref::ConstPixels;
using ref::Pixels;

namespace {

// kSize x kSize windows every two pixels, the picture padded by kPad; an odd last row or column of 2x2 is dropped.
template <int kSize>
struct Windows {
  static constexpr int64_t kPad = kSize == 3 ? 1 : 0;
  static Shape count(const Shape& x) { return {x.n, (x.h + kSize - 2) / 2, (x.w + kSize - 2) / 2, x.c}; }

  // Where the maximum of the window at (oh, ow) is: the first in row-major order; a NaN beats every number, and of
  // several the last counts, as in PyTorch. The padding never wins.
  struct Place {
    int64_t h, w;
  };
  static Place maximum(const ConstPixels& x, int64_t n, int64_t oh, int64_t ow, int64_t c) {
    Place best{-1, -1};
    double largest = 0;
    for (int64_t h = 2 * oh - kPad; h < 2 * oh - kPad + kSize; ++h)
      for (int64_t w = 2 * ow - kPad; w < 2 * ow - kPad + kSize; ++w) {
        if (h < 0 || w < 0 || h >= x.shape.h || w >= x.shape.w) continue;
        const double value = x.at(n, h, w)[c];
        if (best.h >= 0 && !(value > largest || std::isnan(value))) continue;
        best = {h, w};
        largest = value;
      }
    return best;
  }

  static void pool(ThreadPool* pool, const Tensor& x, Tensor& y) {
    require(y.shape() == count(x.shape()), "max_pool: shapes");
    const Shape out = y.shape();
    const ConstPixels source(x);
    const Pixels result(y);
    parallel_for(pool, out.n * out.h, [&](int64_t task, int) {
      const int64_t n = task / out.h, oh = task % out.h;
      for (int64_t ow = 0; ow < out.w; ++ow)
        for (int64_t c = 0; c < out.c; ++c) {
          const Place at = maximum(source, n, oh, ow, c);
          result.at(n, oh, ow)[c] = source.at(n, at.h, at.w)[c];
        }
    });
  }

  // One task per image: 3x3 windows share pixels.
  static void gradient(ThreadPool* pool, const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
    require(dy.shape() == count(x.shape()), "max_pool_grad: shapes");
    require(dx.shape() == x.shape(), "max_pool_grad: dx is not like x");
    const Shape out = dy.shape();
    const ConstPixels source(x), incoming(dy);
    const Pixels result(dx);
    ref::begin_sum(dx, mode);
    parallel_for(pool, out.n, [&](int64_t n, int) {
      for (int64_t oh = 0; oh < out.h; ++oh)
        for (int64_t ow = 0; ow < out.w; ++ow)
          for (int64_t c = 0; c < out.c; ++c) {
            const Place at = maximum(source, n, oh, ow, c);
            result.at(n, at.h, at.w)[c] += incoming.at(n, oh, ow)[c];
          }
    });
  }
};

// Between which two source lines output line `out` lies, and how far towards the second. In whole numbers, so exact.
struct Between {
  int64_t low, high;
  double fraction;
};
Between between(int64_t out, int64_t in_size, int64_t out_size) {
  if (out_size == 1) return {0, 0, 0};
  const int64_t scaled = out * (in_size - 1), step = out_size - 1;
  const int64_t low = scaled / step;
  return {low, std::min(low + 1, in_size - 1), static_cast<double>(scaled % step) / static_cast<double>(step)};
}

void check_upsample(const Shape& x, const Shape& y) {
  require(x.n == y.n && x.c == y.c && x.h > 0 && x.w > 0 && y.h > 0 && y.w > 0, "upsample: shapes");
}

}  // namespace

void RefBackend::max_pool2x2(const Tensor& x, Tensor& y) { Windows<2>::pool(pool_, x, y); }
void RefBackend::max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  Windows<2>::gradient(pool_, x, dy, dx, mode);
}
void RefBackend::max_pool3x3(const Tensor& x, Tensor& y) { Windows<3>::pool(pool_, x, y); }
void RefBackend::max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) {
  Windows<3>::gradient(pool_, x, dy, dx, mode);
}

void RefBackend::upsample_bilinear(const Tensor& x, Tensor& y) {
  const Shape in = x.shape(), out = y.shape();
  check_upsample(in, out);
  const ConstPixels source(x);
  const Pixels result(y);
  parallel_for(pool_, out.n * out.h, [&](int64_t task, int) {
    const int64_t n = task / out.h, oh = task % out.h;
    const Between h = between(oh, in.h, out.h);
    for (int64_t ow = 0; ow < out.w; ++ow) {
      const Between w = between(ow, in.w, out.w);
      for (int64_t c = 0; c < out.c; ++c) {
        const double upper =
            (1 - w.fraction) * source.at(n, h.low, w.low)[c] + w.fraction * source.at(n, h.low, w.high)[c];
        const double lower =
            (1 - w.fraction) * source.at(n, h.high, w.low)[c] + w.fraction * source.at(n, h.high, w.high)[c];
        result.at(n, oh, ow)[c] = (1 - h.fraction) * upper + h.fraction * lower;
      }
    }
  });
}

// Each dy goes to the four pixels it was mixed from, in the same proportions. One task per image: outputs share pixels.
void RefBackend::upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape in = dx.shape(), out = dy.shape();
  check_upsample(in, out);
  const ConstPixels gradient(dy);
  const Pixels result(dx);
  ref::begin_sum(dx, mode);
  parallel_for(pool_, out.n, [&](int64_t n, int) {
    for (int64_t oh = 0; oh < out.h; ++oh)
      for (int64_t ow = 0; ow < out.w; ++ow) {
        const Between h = between(oh, in.h, out.h), w = between(ow, in.w, out.w);
        const double* from = gradient.at(n, oh, ow);
        ref::add_scaled((1 - h.fraction) * (1 - w.fraction), from, result.at(n, h.low, w.low), in.c);
        ref::add_scaled((1 - h.fraction) * w.fraction, from, result.at(n, h.low, w.high), in.c);
        ref::add_scaled(h.fraction * (1 - w.fraction), from, result.at(n, h.high, w.low), in.c);
        ref::add_scaled(h.fraction * w.fraction, from, result.at(n, h.high, w.high), in.c);
      }
  });
}

void RefBackend::upsample_nearest(const Tensor& x, Tensor& y) {
  const Shape in = x.shape(), out = y.shape();
  check_upsample(in, out);
  const ConstPixels source(x);
  const Pixels result(y);
  parallel_for(pool_, out.n * out.h, [&](int64_t task, int) {
    const int64_t n = task / out.h, oh = task % out.h;
    for (int64_t ow = 0; ow < out.w; ++ow)
      std::copy_n(source.at(n, oh * in.h / out.h, ow * in.w / out.w), out.c, result.at(n, oh, ow));
  });
}

void RefBackend::upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape in = dx.shape(), out = dy.shape();
  check_upsample(in, out);
  const ConstPixels gradient(dy);
  const Pixels result(dx);
  ref::begin_sum(dx, mode);
  parallel_for(pool_, out.n, [&](int64_t n, int) {  // outputs share pixels
    for (int64_t oh = 0; oh < out.h; ++oh)
      for (int64_t ow = 0; ow < out.w; ++ow)
        ref::add_scaled(1, gradient.at(n, oh, ow), result.at(n, oh * in.h / out.h, ow * in.w / out.w), in.c);
  });
}

void RefBackend::pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) {
  const Shape in = x.shape(), out = y.shape();
  require(in.n == out.n && in.c == out.c, "pad: batch and channels do not change");
  const ConstPixels source(x);
  const Pixels result(y);
  parallel_for(pool_, out.n * out.h, [&](int64_t task, int) {
    const int64_t n = task / out.h, h = task % out.h, ih = h - top;
    for (int64_t w = 0; w < out.w; ++w) {
      const int64_t iw = w - left;
      const bool inside = ih >= 0 && ih < in.h && iw >= 0 && iw < in.w;
      for (int64_t c = 0; c < out.c; ++c) ref::store(result.at(n, h, w)[c], inside ? source.at(n, ih, iw)[c] : 0, mode);
    }
  });
}

}  // namespace furrow
