// THE page to read: every arithmetic operation of a network and its gradient, with formula and shapes.
//
// A Backend computes on dense NHWC tensors of one element type, dtype() (ref: f64, cpu: f32). Conventions:
//   sizes upper case, indices lower case; x input, w weights, b bias, y output; dx dw db dy their gradients.
//   Grad::overwrite stores the gradient, Grad::accumulate adds it to what is there.
//   A broken precondition throws ErrorCode::internal; an operation a back-end does not have, ErrorCode::unsupported.
// `ref` is the meaning of every operation; the others are held against it (tests/kernels).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "kernels/arena.h"
#include "kernels/losses.h"
#include "kernels/optim_ops.h"
#include "kernels/peers.h"
#include "kernels/planned.h"
#include "kernels/tensor.h"
#include "kernels/threads.h"

namespace furrow {

enum class Grad : uint8_t { overwrite, accumulate };

// y[n,oh,ow,oc] = act(b[oc] + sum over kh,kw,ic of w[oc,kh,kw,ic] * x[n, oh*S+kh-P, ow*S+kw-P, ic]), x zero outside;
// with two sources the channels of x0 come first, then those of x1.   w {OC,KH,KW,IC0+IC1}   b {1,1,1,OC} or empty
struct Conv2d {
  const Tensor *x0 = nullptr, *x1 = nullptr, *w = nullptr, *b = nullptr;
  ConvGeometry geometry;
  Activation act = Activation::none;
};
// dx[n,ih,iw,ic] = sum over oc,kh,kw of w[oc,kh,kw,ic] * dy[n, (ih+P-kh)/S, (iw+P-kw)/S, oc] where the division is
// exact and in range
struct Conv2dGradInput { const Tensor *dy = nullptr, *w = nullptr; ConvGeometry geometry; };
// dw[oc,kh,kw,ic] = sum over n,oh,ow of dy[n,oh,ow,oc] * x[n, oh*S+kh-P, ow*S+kw-P, ic];   db[oc] = sum of dy[..,oc]
struct Conv2dGradWeight { const Tensor *x0 = nullptr, *x1 = nullptr, *dy = nullptr; ConvGeometry geometry; };

struct BatchNormStats { const Tensor *mean = nullptr, *var = nullptr; double eps = 1e-5; };           // {1,1,1,C} each
// `shared`: statistics are those of the batch that all processes hold together.
struct BatchNormTrain {
  double eps = 1e-5, momentum = 0.1;
  Tensor *running_mean = nullptr, *running_var = nullptr;
  Shared shared = {};
};

// Which numbers a dropout draws; `first` is the number of x's first element (of a batch that several calls share).
struct Dropout { double p = 0; uint64_t seed = 0, stream = 0, first = 0; };

// Work that a back-end has recorded and can repeat (a CUDA graph).
class Recorded {
 public:
  virtual ~Recorded() = default;
  virtual void replay() = 0;
};

class Backend {
 public:
  explicit Backend(ThreadPool* pool) : pool_(pool) {}
  virtual ~Backend() = default;
  virtual std::string name() const = 0;       // "ref", "cpu (avx512)"
  virtual DType dtype() const = 0;

  // -- convolution -------------------------------------------------------------------------------------------------
  virtual void conv2d(const Conv2d& op, Tensor& y) = 0;
  // Either of dx0, dx1 may be null; their channel counts say where x0 ends and x1 begins.
  virtual void conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) = 0;
  virtual void conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) = 0;

  // 2x2 stride-2 transposed convolution: y[n,2h+i,2w+j,oc] = b[oc] + sum over ic of w[oc,i,j,ic] * x[n,h,w,ic]
  //   x {N,H,W,IC}   w {OC,2,2,IC}   y {N,2H,2W,OC}
  virtual void upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) = 0;
  virtual void upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) = 0;
  virtual void upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) = 0;

  // -- batch normalisation (Ioffe and Szegedy 2015) ------------------------------------------------------------------
  // Inference: y = gamma * (x - mean) / sqrt(var + eps) + beta, per channel
  virtual void batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                          Tensor& y) = 0;
  // Training: mean and biased variance over n,h,w normalise; saved_mean and saved_rstd = 1/sqrt(var+eps) are kept for
  // the gradient; running <- (1-momentum)*running + momentum*batch, with the unbiased variance M/(M-1).
  virtual void batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options,
                                Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) = 0;
  // xh = (x-mean)*rstd, M = N*H*W:  dgamma = sum dy*xh,  dbeta = sum dy,
  // dx = gamma*rstd*(dy - dbeta/M - xh*dgamma/M);
  // with `fixed_stats` (normalised by running statistics) dx = gamma*rstd*dy
  virtual void batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                               bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                               Grad mode) = 0;
  // The same where `shared.peers` normalised together: M and the two sums in dx are those of the whole batch, dgamma
  // and dbeta this process's parts of theirs. Where it is absent, dx = gamma*rstd*dy, and its dy is 0. The base class
  // throws ErrorCode::unsupported.
  virtual void batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                      const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                                      Grad mode);

  // -- elementwise ---------------------------------------------------------------------------------------------------
  // relu: y = max(x, 0); NaN stays NaN. Its gradient: dx = y <= 0 ? 0 : dy; NaN lets dy through. The sigmoid is stable
  // at any x.
  virtual void relu(const Tensor& x, Tensor& y) = 0;
  virtual void relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) = 0;
  virtual void sigmoid(const Tensor& x, Tensor& y) = 0;                                    // y = 1/(1+exp(-x))
  virtual void sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) = 0; // dx = dy*y*(1-y)
  virtual void add(const Tensor& a, const Tensor& b, Tensor& y) = 0;                       // y = a + b
  // Attention gate (Oktay et al. 2018): y[n,h,w,c] = x[n,h,w,c] * s, s = 1/(1+exp(-z[n,h,w,0])).   z {N,H,W,1}
  // dx = dy * s,  dz = s * (1-s) * sum over c of dy * x; either may be null. The base class throws
  // ErrorCode::unsupported for both.
  virtual void gate(const Tensor& x, const Tensor& z, Tensor& y);
  virtual void gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode);
  // Channel attention (Yu et al. 2018, after Hu et al. 2018): y[n,h,w,c] = x[n,h,w,c] * s, s = 1/(1+exp(-z[n,0,0,c])).
  //   z {N,1,1,C}
  // dx = dy * s,  dz = s * (1-s) * sum over h,w of dy * x; either may be null. The base class throws
  // ErrorCode::unsupported for both.
  virtual void channel_gate(const Tensor& x, const Tensor& z, Tensor& y);
  virtual void channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode);
  // Dropout (Srivastava et al. 2014): y[e] = u(e) >= p ? x[e] / (1-p) : 0 with u(e) = Philox(seed).uniform(stream,
  // first + e) of kernels/random.h, e counted in dense NHWC order, 0 <= p < 1. Its gradient is itself with dy for x and
  // dx for y: the numbers are drawn again. The base class throws ErrorCode::unsupported.
  virtual void dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode);

  // -- resampling ----------------------------------------------------------------------------------------------------
  // y[n,h,w,c] = max over i,j in {0,1} of x[n,2h+i,2w+j,c]; an odd last row or column is dropped; NaN wins, as in
  // PyTorch
  virtual void max_pool2x2(const Tensor& x, Tensor& y) = 0;
  // dy goes to the first maximum of each window in row-major order, or to its last NaN (no stored indices: x tells)
  virtual void max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) = 0;
  // The same over 3x3 windows every two pixels, the picture padded by one, which never wins; y {N,(H+1)/2,(W+1)/2,C}:
  // y[n,h,w,c] = max over i,j in {-1,0,1} of x[n,2h+i,2w+j,c]. The base class throws ErrorCode::unsupported for both.
  virtual void max_pool3x3(const Tensor& x, Tensor& y);
  virtual void max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode);
  // Bilinear with align_corners: source row of oh is oh*(IH-1)/(OH-1) (0 where OH = 1), likewise columns
  virtual void upsample_bilinear(const Tensor& x, Tensor& y) = 0;
  virtual void upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) = 0;
  // Nearest: y[n,h,w,c] = x[n, floor(h*IH/OH), floor(w*IW/OW), c], in whole numbers (PyTorch rounds IH/OH to float32
  // first, which is the same where OH is IH times a whole number, 2*IH-1, or IH is 1). Its gradient gathers: dx is the
  // sum of the dy that took its pixel. The base class throws ErrorCode::unsupported from here to global_mean_grad().
  virtual void upsample_nearest(const Tensor& x, Tensor& y);
  virtual void upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode);
  // Global average pooling: y[n,0,0,c] = sum over h,w of x[n,h,w,c] / (H*W).   y {N,1,1,C}    dx = dy / (H*W)
  virtual void global_mean(const Tensor& x, Tensor& y);
  virtual void global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode);
  // y[n,h,w,c] = x[n,h-top,w-left,c] where that exists, else 0: pads (top, left > 0), crops (< 0), or both; y's shape
  // decides. Its gradient is itself with -top, -left.
  virtual void pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) = 0;

  // -- losses (kernels/losses.h has the formulas) --------------------------------------------------------------------
  // z, dz {B,H,W,1} of dtype(); t like z, in [0,1]. dz, where not null, becomes the gradient of `total`.
  // The base class throws ErrorCode::unsupported for everything from here to sgd().
  virtual DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz);
  // z, dz {B,H,W,C} of dtype(); labels {B,H,W,1} int32.
  virtual CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz);
  // As cross_entropy; form.first_class is below C, and dz becomes the gradient of `total`.
  virtual SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz);
  // mean over all elements of (z - t)^2;  dz = 2 (z - t) / elements.  z, t, dz of one shape and of dtype().
  virtual double squared_error(const Tensor& z, const Tensor& t, Tensor* dz);

  // -- optimiser steps over flat buffers (kernels/optim_ops.h has the formulas) -------------------------------------
  // Each buffer {1,1,1,COUNT} of dtype(). Norm, factor, skip, step and loss scale into `state`; max_norm 0: no
  // clipping.
  virtual void optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state);
  // The update that `state` was prepared for; nothing where it says skip. Segments begin at 0 and are sorted.
  virtual void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                     const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p);
  // `buffer` may be empty where momentum is 0.
  virtual void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                   const Tensor& gradient, Tensor& buffer, Tensor& p);
  // Both in one: optim_prepare, then adamw (moments `first`, `second`) or sgd (buffer `first`; `second` is not looked
  // at), with the same results to the bit. A device whose memory is not the host's is waited for once, at the end,
  // and not before the update, as the two calls would. The base class makes the two calls.
  virtual void optim_step(const OptimStep& step, const Tensor& gradient, OptimState& state, Tensor& first,
                          Tensor& second, Tensor& p);

  // -- planned inference (kernels/planned.h) -------------------------------------------------------------------------
  // The base class serves every back-end with dense NHWC buffers and the operations above; faster ones override all of
  // it.
  virtual size_t placed_bytes(const Shape& shape) const;
  virtual bool has_bytes() const { return false; }                 // whether it computes what StepBytes says
  virtual size_t placed_bytes_of_bytes(const Shape& shape) const;  // of a quantised tensor, where it has_bytes()
  virtual void place(const Tensor& dense, const Placed& to);
  virtual void unplace(const Placed& from, Tensor& dense);
  // As place() of the dense tensor of to.shape whose element of channel c is values[c][p], p the byte of `pixels` in
  // its place: a picture as it is, normalised on the way. `pixels` lie in memory of reserve_host() and stay as they are
  // until finish(); `values` {1,1,C,256} of dtype(), where put() puts; `workspace`: place_pixels_bytes(to.shape) of
  // an arena.
  virtual void place_pixels(const uint8_t* pixels, const Tensor& values, std::byte* workspace, const Placed& to);
  virtual size_t place_pixels_bytes(const Shape& shape) const;
  virtual std::string algorithm(const Step& step) const;  // a function of step and device alone, never of timing
  virtual size_t workspace_bytes(const Step& step) const;
  // What prepare() returns will take, or near it (a device pads): by the base class one element each.
  virtual size_t packed_bytes(const Step& step) const;
  virtual std::unique_ptr<Packed> prepare(const Step& step, const StepWeights& weights);
  virtual void run(const Step& step, const Packed* packed, const StepBuffers& buffers);

  // -- memory and time of planned inference --------------------------------------------------------------------------
  // The base class computes at once, in the host's memory. A device has its own: a plan's arena lies there, `place` and
  // `unplace` cross over, and so does `fetch`, which copies a dense tensor of the arena (a head) to a tensor of the
  // host.
  virtual bool in_host_memory() const { return true; }
  virtual Arena reserve(size_t bytes) { return Arena(bytes); }
  virtual void fetch(const Tensor& from, Tensor& to);
  // The same, done once finish() returns; `to` lies in memory of reserve_host().
  virtual void start_fetch(const Tensor& from, Tensor& to) { fetch(from, to); }
  // Memory of the host that copies to and from the device need not stage.
  virtual Arena reserve_host(size_t bytes) { return Arena(bytes); }
  // The other way: a dense tensor of the host into one of an arena of reserve().
  virtual void put(const Tensor& from, Tensor& to);
  // Every element becomes 0, or `factor` times itself. The base class serves tensors in the host's memory, f32 and f64.
  virtual void zero(Tensor& t);
  virtual void scale(Tensor& t, double factor);
  // Bytes of memory of its own that eager operations work in and the back-end keeps, after the operations that `calls`
  // asks of the back-end it is given: convolutions, their gradients without biases, dice_focal with a gradient. Nothing
  // is computed, and the tensors need no elements: Tensor(shape, dtype(), nullptr, nullptr). The base class has none: 0.
  virtual size_t scratch_bytes(const std::function<void(Backend&)>& /*calls*/) const { return 0; }
  // Waits until everything asked for has been computed; throws ErrorCode::device where it could not be.
  virtual void finish() {}
  // Records what `work` asks of this back-end, without computing it. Null where that cannot be done.
  virtual std::unique_ptr<Recorded> record(const std::function<void()>& work);

 protected:
  ThreadPool* pool_;   // null: one thread
};

}  // namespace furrow
