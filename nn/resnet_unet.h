// U-Nets on the encoder of a ResNet-50 v1.5 (He et al. 2015; torchvision puts the stride of a stage on its first 3x3),
// plain and with attention gates on the skips, as the wrinkle networks of April 2025 lay them out.
// weights/resnet50_unet_keys.txt and resnet50_attention_unet_keys.txt pin the keys.
#pragma once

#include <memory>
#include <vector>

#include "nn/attention_gate.h"
#include "nn/network.h"
#include "nn/unet.h"

namespace furrow {

// relu(x' + bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x))))))))): 1x1 to `width`, 3x3 with the stride, 1x1 to 4 width;
// x' is x or, in the first block of a stage, "downsample": 0 1x1 convolution with the stride, 1 batch norm.
class Bottleneck : public Module {
 public:
  Bottleneck(Module* parent, std::string name, int64_t in, int64_t width, int64_t stride, bool first);
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
  Conv2dLayer conv3_;
  BatchNorm2dLayer norm3_;
  ReluLayer relu_{this, "relu"};
  std::unique_ptr<Downsample> downsample_;
};

// A stage: blocks "0", "1", ... of which the first has the stride. in -> 4 width channels.
class BottleneckStage : public Module {
 public:
  BottleneckStage(Module* parent, std::string name, int64_t in, int64_t width, int blocks, int64_t stride);
  Var forward(Tape& tape, Var x) const;

 private:
  std::vector<std::unique_ptr<Bottleneck>> blocks_;
};

// "input_layer": 0 7x7 convolution of stride 2, 1 batch norm, 2 ReLU; then a 3x3 maximum of stride 2 and the stages
// "encoder1" to "encoder4" of 3, 4, 6 and 3 blocks: channels base, then 4, 8, 16 and 32 base. With "att1" to "att4" the
// skips are gated by the next deeper feature of the encoder. The decoder is "up1" to "up4" as in a U-Net and "up5"
// without a skip. Where a side is odd, up5 ends a pixel past the picture; the logits are those of the picture.
class ResNetUNet : public Network {
 public:
  explicit ResNetUNet(const Architecture& architecture);
  Var forward(Tape& tape, Var x) const override;
  const Architecture& architecture() const override { return architecture_; }
  int64_t min_side() const override { return 32; }  // five halvings leave at least one pixel
  std::vector<std::string> encoder() const override {
    return {"input_layer", "encoder1", "encoder2", "encoder3", "encoder4"};
  }

 private:
  using Gates = std::vector<std::unique_ptr<AttentionGate>>;
  static Gates gates(Module* parent, const Architecture& a);
  Architecture architecture_;
  Module stem_{this, "input_layer"};
  Conv2dLayer stem_conv_;
  BatchNorm2dLayer stem_norm_;
  ReluLayer stem_relu_{&stem_, "2"};
  MaxPool3x3Layer pool_{this, "maxpool"};
  BottleneckStage encoder1_, encoder2_, encoder3_, encoder4_;
  Gates gates_;  // of x3, x2, x1, x0; none without attention
  Up up1_, up2_, up3_, up4_, up5_;
  OutConv outc_;
};

}  // namespace furrow
