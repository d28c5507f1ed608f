// The blocks of ResNet-18 and ResNet-34 (He et al. 2015), names as in torchvision.
#pragma once

#include <memory>
#include <vector>

#include "nn/layers.h"

namespace furrow {

// relu(x' + bn2(conv2(relu(bn1(conv1(x)))))): two 3x3 convolutions, the first with the stride; x' is x or, where
// channels or size change, "downsample": 0 1x1 convolution with the stride, 1 batch norm.
class BasicBlock : public Module {
 public:
  BasicBlock(Module* parent, std::string name, int64_t in, int64_t out, int64_t stride);
  Var forward(Tape& tape, Var x) const;

 private:
  struct Downsample {
    Downsample(Module* parent, int64_t in, int64_t out, int64_t stride);
    Module sequence;
    Conv2dLayer conv;
    BatchNorm2dLayer norm;
  };
  Conv2dLayer conv1_;
  BatchNorm2dLayer norm1_;
  Conv2dLayer conv2_;
  BatchNorm2dLayer norm2_;
  ReluLayer relu_{this, "relu"};
  std::unique_ptr<Downsample> downsample_;
};

// A stage: blocks "0", "1", ... of which the first has the stride. {N,H,W,in} -> {N,ceil(H/stride),ceil(W/stride),out}.
class BasicStage : public Module {
 public:
  BasicStage(Module* parent, std::string name, int64_t in, int64_t out, int blocks, int64_t stride);
  Var forward(Tape& tape, Var x) const;

 private:
  std::vector<std::unique_ptr<BasicBlock>> blocks_;
};

}  // namespace furrow
