// BiSeNet (Yu et al., "BiSeNet: Bilateral Segmentation Network", ECCV 2018) as zllrunning's face parser lays it out:
// without a spatial path, its fine feature is the encoder's at an eighth of the size. The published file has the
// encoder of a ResNet-18; "bisenet-resnet34" has that of a ResNet-34 and is the same otherwise.
// weights/bisenet_keys.txt and bisenet_resnet34_keys.txt pin the keys. B: Architecture::base, 64 of the published one.
#pragma once

#include "nn/basic_block.h"
#include "nn/network.h"

namespace furrow {

// ReLU(bn(conv(x))): "conv", without bias, keeps the size; "bn".
class ConvBNReLU : public Module {
 public:
  ConvBNReLU(Module* parent, std::string name, int64_t in, int64_t out, int64_t kernel = 3);
  Var forward(Tape& tape, Var x) const { return finish(tape, conv_.forward(tape, x)); }
  Var forward(Tape& tape, Var x0, Var x1) const { return finish(tape, conv_.forward(tape, x0, x1)); }

 private:
  Var finish(Tape& tape, Var y) const { return relu_.forward_in_place(tape, norm_.forward(tape, y)); }
  Conv2dLayer conv_;
  BatchNorm2dLayer norm_;
  ReluLayer relu_{this, "relu"};
};

// f * sigmoid(bn_atten(conv_atten(mean of f))) with f = "conv" of x, a mean over all pixels.
class AttentionRefinement : public Module {
 public:
  AttentionRefinement(Module* parent, std::string name, int64_t in, int64_t out);
  Var forward(Tape& tape, Var x) const;

 private:
  ConvBNReLU conv_;
  Conv2dLayer conv_atten_;
  BatchNorm2dLayer norm_atten_;
};

// "resnet": 7x7 convolution of stride 2, 3x3 maximum of stride 2, four stages of B, 2B, 4B and 8B channels.
class BasicResNet : public Module {
 public:
  // The results of stages 2 to 4, at 1/8, 1/16 and 1/32 of the size, rounded up.
  struct Features {
    Var at8, at16, at32;
  };
  BasicResNet(Module* parent, std::string name, const Architecture& a);
  Features forward(Tape& tape, Var x) const;

 private:
  Conv2dLayer conv1_;
  BatchNorm2dLayer norm1_;
  ReluLayer relu_{this, "relu"};
  MaxPool3x3Layer pool_{this, "maxpool"};
  BasicStage layer1_, layer2_, layer3_, layer4_;
};

// "cp": refines the coarse features, each by the mean over the picture or what the coarser one became. Every step up
// takes the nearest pixel, to the size of the finer feature.
class ContextPath : public Module {
 public:
  // The encoder's {N,h8,w8,2B}; {N,h8,w8,2B}; {N,h16,w16,2B}.
  struct Features {
    Var encoder8, at8, at16;
  };
  ContextPath(Module* parent, std::string name, const Architecture& a);
  Features forward(Tape& tape, Var x) const;

 private:
  BasicResNet resnet_;
  AttentionRefinement arm16_, arm32_;
  ConvBNReLU conv_head32_, conv_head16_, conv_avg_;
};

// "ffm": f * sigmoid(conv2(ReLU(conv1(mean of f)))) + f with f = "convblk" (1x1) of both sources together.
class FeatureFusion : public Module {
 public:
  FeatureFusion(Module* parent, std::string name, int64_t base);  // 2B + 2B -> 4B channels, B between
  Var forward(Tape& tape, Var encoder8, Var at8) const;

 private:
  ConvBNReLU convblk_;
  Conv2dLayer conv1_, conv2_;
  ReluLayer relu_{this, "relu"};
};

// "conv": 3x3 to `mid` channels, batch norm, ReLU; "conv_out": 1x1 to the classes, without bias.
class ParserHead : public Module {
 public:
  ParserHead(Module* parent, std::string name, int64_t in, int64_t mid, int64_t classes)
      : Module(parent, std::move(name)),
        conv_(this, "conv", in, mid),
        conv_out_(this, "conv_out", {.in = mid, .out = classes, .kernel = 1, .pad = 0}) {}
  Var forward(Tape& tape, Var x) const { return conv_out_.forward(tape, conv_.forward(tape, x)); }

 private:
  ConvBNReLU conv_;
  Conv2dLayer conv_out_;
};

class BiSeNet : public Network {
 public:
  explicit BiSeNet(const Architecture& architecture);

  // The main head's logits {N,H,W,classes}: made at an eighth of the size, the last operation resizes them (bilinear,
  // align_corners). Any picture of at least 32x32; sizes need not be multiples of anything. The label of a pixel is the
  // first class with the largest logit.
  Var forward(Tape& tape, Var x) const override;

  // Of all three heads, each {N,H,W,classes}: what training sums losses over. `main` is forward()'s.
  struct Heads {
    Var main, of16, of32;
  };
  Heads forward_heads(Tape& tape, Var x) const;

  const Architecture& architecture() const override { return architecture_; }
  int64_t min_side() const override { return 32; }  // five halvings leave at least one pixel
  std::vector<std::string> encoder() const override { return {"cp.resnet"}; }

 private:
  Var resized(Tape& tape, Var logits, Shape picture) const;
  Architecture architecture_;
  ContextPath cp_;
  FeatureFusion ffm_;
  ParserHead conv_out_, conv_out16_, conv_out32_;
};

}  // namespace furrow
