// 2x2 stride-2 transposed convolution, and its gradients. The four outputs of an input pixel do not overlap.
#include <algorithm>

#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {

using ref::add_scaled;
using ref::ConstPixels;
using ref::Pixels;
using ref::store;

namespace {

void check_shapes(const Shape& x, const Shape& w, const Shape& y) {
  require(w.h == 2 && w.w == 2 && w.c == x.c, "upconv2x2: weight shape");
  require(y == Shape{x.n, 2 * x.h, 2 * x.w, w.n}, "upconv2x2: output shape");
}

}  // namespace

void RefBackend::upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) {
  const Shape in = x.shape(), out = y.shape();
  check_shapes(in, w.shape(), out);
  const double* bias = ref::vector_or_null(b, out.c, "upconv2x2: bias shape");
  const ConstPixels source(x);
  const Pixels result(y);
  const std::vector<double> weights = ref::output_channels_last(w);  // [2][2][IC][OC]

  parallel_for(pool_, out.n * out.h, [&](int64_t task, int) {
    const int64_t n = task / out.h, oh = task % out.h, i = oh % 2;
    for (int64_t ow = 0; ow < out.w; ++ow) {
      const int64_t j = ow % 2;
      double* sum = result.at(n, oh, ow);
      for (int64_t oc = 0; oc < out.c; ++oc) sum[oc] = bias != nullptr ? bias[oc] : 0;
      const double* row = weights.data() + (i * 2 + j) * in.c * out.c;
      for (int64_t ic = 0; ic < in.c; ++ic, row += out.c) add_scaled(source.at(n, oh / 2, ow / 2)[ic], row, sum, out.c);
    }
  });
}

// dx[n,h,w,ic] = sum over i,j,oc of w[oc,i,j,ic] * dy[n,2h+i,2w+j,oc]
void RefBackend::upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) {
  const Shape in = dx.shape(), out = dy.shape();
  check_shapes(in, w.shape(), out);
  const ConstPixels gradient(dy), weight(w);
  const Pixels result(dx);

  parallel_for(pool_, in.n * in.h, [&](int64_t task, int) {
    const int64_t n = task / in.h, h = task % in.h;
    std::vector<double> sum(static_cast<size_t>(in.c));
    for (int64_t iw = 0; iw < in.w; ++iw) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t i = 0; i < 2; ++i)
        for (int64_t j = 0; j < 2; ++j)
          for (int64_t oc = 0; oc < out.c; ++oc)
            add_scaled(gradient.at(n, 2 * h + i, 2 * iw + j)[oc], weight.at(oc, i, j), sum.data(), in.c);
      store(result.at(n, h, iw), sum.data(), in.c, mode);
    }
  });
}

// dw[oc,i,j,ic] = sum over n,h,w of x[n,h,w,ic] * dy[n,2h+i,2w+j,oc];   db[oc] = sum of dy[..,oc]
void RefBackend::upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) {
  const Shape in = x.shape(), out = dy.shape();
  check_shapes(in, dw.shape(), out);
  if (db != nullptr) require(db->shape() == ref::vector_shape(out.c), "upconv2x2_grad_weight: bias shape");
  const ConstPixels source(x), gradient(dy);
  const Pixels result(dw);

  parallel_for(pool_, out.c, [&](int64_t oc, int) {
    std::vector<double> sum(static_cast<size_t>(4 * in.c));  // [2][2][IC]
    double bias = 0;
    for (int64_t n = 0; n < out.n; ++n)
      for (int64_t oh = 0; oh < out.h; ++oh)
        for (int64_t ow = 0; ow < out.w; ++ow) {
          const double factor = gradient.at(n, oh, ow)[oc];
          bias += factor;
          add_scaled(factor, source.at(n, oh / 2, ow / 2), sum.data() + (oh % 2 * 2 + ow % 2) * in.c, in.c);
        }
    store(result.at(oc, 0, 0), sum.data(), 4 * in.c, mode);
    if (db != nullptr) store(db->values<double>()[static_cast<size_t>(oc)], bias, mode);
  });
}

}  // namespace furrow
