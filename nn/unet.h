// The classic U-Net (Ronneberger, Fischer and Brox 2015) in the layout of milesial's Pytorch-UNet, which the public
// wrinkle checkpoints use: 3x3 convolutions with padding 1 and no bias, each with batch norm and ReLU; four levels down
// by 2x2 maximum, four up by transposed convolution or bilinear resize, each joined with the level's skip.
// weights/unet_keys.txt pins the keys. The dropout (index 6 of double_conv, p = 0.2 in later versions of the network)
// has no keys and does nothing at inference, so files written with and without it load alike.
#pragma once

#include <memory>
#include <vector>

#include "nn/attention_gate.h"
#include "nn/layers.h"
#include "nn/network.h"

namespace furrow {

// "double_conv": 0 conv, 1 batch norm, 2 ReLU, 3 conv, 4 batch norm, 5 ReLU, 6 dropout.
class DoubleConv : public Module {
 public:
  // in -> mid -> out channels; `in` counts both sources where forward is given two.
  DoubleConv(Module* parent, std::string name, int64_t in, int64_t mid, int64_t out, double dropout = 0);
  Var forward(Tape& tape, Var x) const { return finish(tape, conv0_.forward(tape, x)); }
  Var forward(Tape& tape, Var skip, Var up) const;  // nobody reads `skip` afterwards

 private:
  Var finish(Tape& tape, Var first) const;
  Module sequence_{this, "double_conv"};
  Conv2dLayer conv0_;
  BatchNorm2dLayer norm1_;
  ReluLayer relu2_{&sequence_, "2"};
  Conv2dLayer conv3_;
  BatchNorm2dLayer norm4_;
  ReluLayer relu5_{&sequence_, "5"};
  DropoutLayer dropout6_;
};

// "maxpool_conv": 0 maximum, 1 DoubleConv.
class Down : public Module {
 public:
  Down(Module* parent, std::string name, int64_t in, int64_t out, double dropout = 0);
  Var forward(Tape& tape, Var x) const { return conv_.forward(tape, pool_.forward(tape, x)); }

 private:
  Module sequence_{this, "maxpool_conv"};
  MaxPool2dLayer pool_{&sequence_, "0"};
  DoubleConv conv_;
};

// "up" doubles the size, zeros (or a cut, where it is larger) bring it to the skip's size with the odd pixel at the
// bottom and right, "conv" reads [skip, up]. Transposed: `up` halves the channels. Bilinear: `up` has no keys.
class Up : public Module {
 public:
  // Of what is doubled, of the skip (0: there is none), between the convolutions (0: `out`), of the result.
  struct Channels {
    int64_t deep = 0, skip = 0, mid = 0, out = 0;
  };
  Up(Module* parent, std::string name, const Channels& channels, bool bilinear, double dropout = 0);
  Var forward(Tape& tape, Var deep, Var skip) const;
  Var forward(Tape& tape, Var deep) const { return conv_.forward(tape, doubled(tape, deep)); }

 private:
  Var doubled(Tape& tape, Var deep) const;
  std::unique_ptr<ConvTranspose2dLayer> transposed_;  // either this
  std::unique_ptr<UpsampleLayer> bilinear_;           // or this
  DoubleConv conv_;
};

// "conv": 1x1 convolution with bias.
class OutConv : public Module {
 public:
  OutConv(Module* parent, std::string name, int64_t in, int64_t classes)
      : Module(parent, std::move(name)),
        conv_(this, "conv", {.in = in, .out = classes, .kernel = 1, .pad = 0, .bias = true}) {}
  Var forward(Tape& tape, Var x) const { return conv_.forward(tape, x); }

 private:
  Conv2dLayer conv_;
};

// Channels base, 2, 4, 8 and 16 base (bilinear: the deepest has 8). With attention, "attention1" to "attention4" gate
// each skip by the feature that the decoder doubles next: the keys of weights/attention_unet_keys.txt.
class UNet : public Network {
 public:
  explicit UNet(const Architecture& architecture);
  Var forward(Tape& tape, Var x) const override;
  const Architecture& architecture() const override { return architecture_; }
  int64_t min_side() const override { return 16; }  // four halvings leave at least one pixel
  std::vector<std::string> encoder() const override { return {"inc", "down1", "down2", "down3", "down4"}; }

 private:
  using Gates = std::vector<std::unique_ptr<AttentionGate>>;
  static Up::Channels up_channels(const Architecture& a, int64_t skip);
  static Gates gates(Module* parent, const Architecture& a);
  Var rise(Tape& tape, const Up& up, size_t gate, Var deep, Var skip) const;
  Architecture architecture_;
  DoubleConv inc_;
  Down down1_, down2_, down3_, down4_;
  Gates gates_;  // none without attention
  Up up1_, up2_, up3_, up4_;
  OutConv outc_;
};

}  // namespace furrow
