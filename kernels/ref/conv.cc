// Convolution over one or two sources, and its gradients.
#include <algorithm>

#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {

using ref::add_scaled;
using ref::ConstPixels;
using ref::Pixels;
using ref::store;

namespace {

void check_geometry(const ConvGeometry& g, const Shape& x, const Shape& w, const Shape& y) {
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "conv2d: geometry");
  require(w.h == g.kernel_h && w.w == g.kernel_w, "conv2d: the weight's kernel size is not the geometry's");
  require(x.h + 2 * g.pad >= g.kernel_h && x.w + 2 * g.pad >= g.kernel_w,
          "conv2d: the kernel is larger than the input");
  require(y == Shape{x.n, g.out(x.h, g.kernel_h), g.out(x.w, g.kernel_w), w.n}, "conv2d: output shape");
}

// A missing second source is one without channels.
Shape second_source(const Tensor* x1, const Shape& x0) {
  if (x1 == nullptr) return {x0.n, x0.h, x0.w, 0};
  require(x1->shape().n == x0.n && x1->shape().h == x0.h && x1->shape().w == x0.w,
          "conv2d: the two sources differ in size");
  return x1->shape();
}

// Where along one axis an output is computed from: its source index at kernel position k, or -1 outside the input.
int64_t source_index(const ConvGeometry& g, int64_t out, int64_t k, int64_t size) {
  const int64_t in = out * g.stride + k - g.pad;
  return in < size ? (in < 0 ? -1 : in) : -1;
}

// The other way round: the output that reads input `in` at kernel position k, or -1 where none does.
int64_t output_index(const ConvGeometry& g, int64_t in, int64_t k, int64_t size) {
  const int64_t scaled = in + g.pad - k;
  return scaled >= 0 && scaled % g.stride == 0 && scaled / g.stride < size ? scaled / g.stride : -1;
}

}  // namespace

void RefBackend::conv2d(const Conv2d& op, Tensor& y) {
  require(op.x0 != nullptr && op.w != nullptr, "conv2d: no input or no weight");
  const ConvGeometry& g = op.geometry;
  const Shape x = op.x0->shape(), x1 = second_source(op.x1, x), w = op.w->shape(), out = y.shape();
  require(w.c == x.c + x1.c, "conv2d: the weight's input channels are not the sources'");
  check_geometry(g, x, w, out);
  const double* b = ref::vector_or_null(op.b, w.n, "conv2d: bias shape");
  const ConstPixels source0(*op.x0), source1(op.x1 != nullptr ? *op.x1 : *op.x0);
  const Pixels result(y);
  const std::vector<double> weights = ref::output_channels_last(*op.w);

  parallel_for(pool_, out.n * out.h, [&](int64_t task, int) {
    const int64_t n = task / out.h, oh = task % out.h;
    for (int64_t ow = 0; ow < out.w; ++ow) {
      double* sum = result.at(n, oh, ow);
      for (int64_t oc = 0; oc < out.c; ++oc) sum[oc] = b != nullptr ? b[oc] : 0;
      for (int64_t kh = 0; kh < w.h; ++kh)
        for (int64_t kw = 0; kw < w.w; ++kw) {
          const int64_t ih = source_index(g, oh, kh, x.h), iw = source_index(g, ow, kw, x.w);
          if (ih < 0 || iw < 0) continue;
          const double* row = &weights[static_cast<size_t>((kh * w.w + kw) * w.c * w.n)];  // of [IC][OC]
          for (int64_t ic = 0; ic < w.c; ++ic, row += w.n) {
            const double value = ic < x.c ? source0.at(n, ih, iw)[ic] : source1.at(n, ih, iw)[ic - x.c];
            add_scaled(value, row, sum, out.c);
          }
        }
      if (op.act == Activation::relu)
        for (int64_t oc = 0; oc < out.c; ++oc) sum[oc] = sum[oc] <= 0 ? 0 : sum[oc];  // NaN stays NaN
    }
  });
}

void RefBackend::conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) {
  require(op.dy != nullptr && op.w != nullptr && (dx0 != nullptr || dx1 != nullptr),
          "conv2d_grad_input: a tensor is missing");
  const ConvGeometry& g = op.geometry;
  const Shape x = dx0 != nullptr ? dx0->shape() : dx1->shape(), w = op.w->shape(), out = op.dy->shape();
  if (dx0 != nullptr && dx1 != nullptr) require(second_source(dx1, x).c + x.c == w.c, "conv2d_grad_input: channels");
  require(x.c <= w.c, "conv2d_grad_input: more channels than the weight has");
  check_geometry(g, x, w, out);
  const int64_t channels0 = dx0 != nullptr ? x.c : w.c - x.c;  // where x0 ends and x1 begins
  const ConstPixels dy(*op.dy), weight(*op.w);

  parallel_for(pool_, x.n * x.h, [&](int64_t task, int) {
    const int64_t n = task / x.h, ih = task % x.h;
    std::vector<double> sum(static_cast<size_t>(w.c));
    for (int64_t iw = 0; iw < x.w; ++iw) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t kh = 0; kh < w.h; ++kh)
        for (int64_t kw = 0; kw < w.w; ++kw) {
          const int64_t oh = output_index(g, ih, kh, out.h), ow = output_index(g, iw, kw, out.w);
          if (oh < 0 || ow < 0) continue;
          for (int64_t oc = 0; oc < w.n; ++oc) add_scaled(dy.at(n, oh, ow)[oc], weight.at(oc, kh, kw), sum.data(), w.c);
        }
      if (dx0 != nullptr) store(Pixels(*dx0).at(n, ih, iw), sum.data(), channels0, mode);
      if (dx1 != nullptr) store(Pixels(*dx1).at(n, ih, iw), sum.data() + channels0, w.c - channels0, mode);
    }
  });
}

void RefBackend::conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) {
  require(op.x0 != nullptr && op.dy != nullptr, "conv2d_grad_weight: no input or no gradient");
  const ConvGeometry& g = op.geometry;
  const Shape x = op.x0->shape(), x1 = second_source(op.x1, x), w = dw.shape(), out = op.dy->shape();
  require(w.c == x.c + x1.c, "conv2d_grad_weight: the weight's input channels are not the sources'");
  check_geometry(g, x, w, out);
  if (db != nullptr) require(db->shape() == ref::vector_shape(w.n), "conv2d_grad_weight: bias shape");
  const ConstPixels source0(*op.x0), source1(op.x1 != nullptr ? *op.x1 : *op.x0), dy(*op.dy);
  const Pixels result(dw);

  parallel_for(pool_, w.n, [&](int64_t oc, int) {
    std::vector<double> sum(static_cast<size_t>(w.h * w.w * w.c));  // [KH][KW][IC]
    double bias = 0;
    for (int64_t n = 0; n < out.n; ++n)
      for (int64_t oh = 0; oh < out.h; ++oh)
        for (int64_t ow = 0; ow < out.w; ++ow) {
          const double factor = dy.at(n, oh, ow)[oc];
          bias += factor;
          for (int64_t kh = 0; kh < w.h; ++kh)
            for (int64_t kw = 0; kw < w.w; ++kw) {
              const int64_t ih = source_index(g, oh, kh, x.h), iw = source_index(g, ow, kw, x.w);
              if (ih < 0 || iw < 0) continue;
              double* tap = &sum[static_cast<size_t>((kh * w.w + kw) * w.c)];
              add_scaled(factor, source0.at(n, ih, iw), tap, x.c);
              if (x1.c > 0) add_scaled(factor, source1.at(n, ih, iw), tap + x.c, x1.c);
            }
        }
    store(result.at(oc, 0, 0), sum.data(), w.h * w.w * w.c, mode);
    if (db != nullptr) store(db->values<double>()[static_cast<size_t>(oc)], bias, mode);
  });
}

}  // namespace furrow
