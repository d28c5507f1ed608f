// Layers: modules whose forward records one operation. Names of parameters and default initial values are PyTorch's.
#pragma once

#include "nn/module.h"
#include "nn/tape.h"

namespace furrow {

// y = w * x (+ b); key "weight" [oc, ic, k, k], and "bias" [oc] where there is one.
class Conv2dLayer : public Module {
 public:
  struct Options {
    int64_t in = 0, out = 0, kernel = 3, stride = 1, pad = 1;
    bool bias = false;
  };
  Conv2dLayer(Module* parent, std::string name, const Options& options);
  Var forward(Tape& tape, Var x) const;
  // Over the channels of x0, then those of x1: PyTorch's concat([x0, x1]) and this convolution, without the concat.
  Var forward(Tape& tape, Var x0, Var x1) const;

 private:
  ConvGeometry geometry_;
  Parameter& weight_;
  Parameter* bias_ = nullptr;
};

// 2x2 stride-2 transposed convolution with bias; keys "weight" [ic, oc, 2, 2], "bias" [oc].
class ConvTranspose2dLayer : public Module {
 public:
  ConvTranspose2dLayer(Module* parent, std::string name, int64_t in, int64_t out);
  Var forward(Tape& tape, Var x) const;

 private:
  Parameter &weight_, &bias_;
};

// eps 1e-5, momentum 0.1; keys "weight", "bias", "running_mean", "running_var" [c] and "num_batches_tracked" (int64).
// On a training tape forward normalises by the batch, moves the running statistics and counts the batch, unless those
// are frozen (nn/freeze.h).
class BatchNorm2dLayer : public Module {
 public:
  BatchNorm2dLayer(Module* parent, std::string name, int64_t channels);
  Var forward(Tape& tape, Var x) const;

 private:
  Parameter &weight_, &bias_, &running_mean_, &running_var_, &num_batches_tracked_;
};

class ReluLayer : public Module {
 public:
  using Module::Module;
  Var forward(Tape& tape, Var x) const { return tape.record(OpKind::relu, NoAttrs{}, {x}, this); }
  // Of the result of a batch norm or an addition that nobody else reads (InPlaceAttrs).
  Var forward_in_place(Tape& tape, Var x) const { return tape.record(OpKind::relu, InPlaceAttrs{}, {x}, this); }
};

// On a training tape each element becomes 0 with probability p, and the others grow by 1/(1-p) (Srivastava et al.
// 2014); otherwise nothing is recorded. p 0: never anything. No keys.
class DropoutLayer : public Module {
 public:
  DropoutLayer(Module* parent, std::string name, double p) : Module(parent, std::move(name)), p_(p) {}
  Var forward(Tape& tape, Var x) const {
    if (!tape.training() || p_ == 0) return x;
    return tape.record(OpKind::dropout, tape.next_dropout(p_, x.shape()), {x}, this);
  }

 private:
  double p_;
};

class MaxPool2dLayer : public Module {  // 2x2, stride 2
 public:
  using Module::Module;
  Var forward(Tape& tape, Var x) const { return tape.record(OpKind::max_pool2x2, NoAttrs{}, {x}, this); }
};

class MaxPool3x3Layer : public Module {  // 3x3, stride 2, padding 1
 public:
  using Module::Module;
  Var forward(Tape& tape, Var x) const { return tape.record(OpKind::max_pool3x3, NoAttrs{}, {x}, this); }
};

class UpsampleLayer : public Module {  // twice the size, align_corners
 public:
  using Module::Module;
  Var forward(Tape& tape, Var x) const {
    return tape.record(OpKind::upsample_bilinear, ResizeAttrs{2 * x.shape().h, 2 * x.shape().w}, {x}, this);
  }
};

}  // namespace furrow
