// Attention gate on a skip connection (Oktay et al. 2018, in the form of the published wrinkle networks).
#pragma once

#include "nn/layers.h"

namespace furrow {

// out = x * sigmoid(psi(ReLU(W_g(g) + W_x(x)))), g first resized to x's size: bilinear, align_corners. "W_g" and "W_x":
// 0 1x1 convolution with bias to `inner` channels, 1 batch norm; "psi" the same to one channel. A plan runs W_g before
// the resize (sink_upsampling).
class AttentionGate : public Module {
 public:
  struct Channels {
    int64_t g = 0, x = 0, inner = 0;
  };
  AttentionGate(Module* parent, std::string name, const Channels& channels);
  // {N,H,W,channels.x} for x of that shape and g of any height and width.
  Var forward(Tape& tape, Var g, Var x) const;

 private:
  struct Projection {
    Projection(Module* parent, std::string name, int64_t in, int64_t out);
    Var forward(Tape& tape, Var x) const { return norm.forward(tape, conv.forward(tape, x)); }
    Module sequence;
    Conv2dLayer conv;
    BatchNorm2dLayer norm;
  };
  Projection g_, x_, psi_;
  ReluLayer relu_{this, "relu"};
};

}  // namespace furrow
