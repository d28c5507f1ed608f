#include "nn/resnet_unet.h"

#include <algorithm>

namespace furrow {

Bottleneck::Downsample::Downsample(Module* parent, int64_t in, int64_t out, int64_t stride)
    : sequence(parent, "downsample"),
      conv(&sequence, "0", {.in = in, .out = out, .kernel = 1, .stride = stride, .pad = 0}),
      norm(&sequence, "1", out) {}

Bottleneck::Bottleneck(Module* parent, std::string name, int64_t in, int64_t width, int64_t stride, bool first)
    : Module(parent, std::move(name)),
      conv1_(this, "conv1", {.in = in, .out = width, .kernel = 1, .pad = 0}),
      norm1_(this, "bn1", width),
      conv2_(this, "conv2", {.in = width, .out = width, .stride = stride}),
      norm2_(this, "bn2", width),
      conv3_(this, "conv3", {.in = width, .out = 4 * width, .kernel = 1, .pad = 0}),
      norm3_(this, "bn3", 4 * width),
      downsample_(first ? std::make_unique<Downsample>(this, in, 4 * width, stride) : nullptr) {}

Var Bottleneck::forward(Tape& tape, Var x) const {
  // The way around first: a plan adds it in the last convolution of the other.
  const Var around = downsample_ ? downsample_->norm.forward(tape, downsample_->conv.forward(tape, x)) : x;
  const Var narrow = relu_.forward_in_place(tape, norm1_.forward(tape, conv1_.forward(tape, x)));
  const Var second = conv2_.forward(tape, narrow);
  tape.forget(narrow);
  const Var middle = relu_.forward_in_place(tape, norm2_.forward(tape, second));
  const Var third = conv3_.forward(tape, middle);
  tape.forget(middle);
  const Var sum = tape.record(OpKind::add, NoAttrs{}, {around, norm3_.forward(tape, third)}, this);
  return relu_.forward_in_place(tape, sum);
}

BottleneckStage::BottleneckStage(Module* parent, std::string name, int64_t in, int64_t width, int blocks,
                                 int64_t stride)
    : Module(parent, std::move(name)) {
  for (int i = 0; i < blocks; ++i)
    blocks_.push_back(std::make_unique<Bottleneck>(this, std::to_string(i), i == 0 ? in : 4 * width, width,
                                                   i == 0 ? stride : 1, i == 0));
}

Var BottleneckStage::forward(Tape& tape, Var x) const {
  for (const auto& block : blocks_) x = block->forward(tape, x);
  return x;
}

ResNetUNet::Gates ResNetUNet::gates(Module* parent, const Architecture& a) {
  Gates out;
  if (!a.attention()) return out;
  const int64_t b = a.base;
  const AttentionGate::Channels channels[] = {
      {32 * b, 16 * b, 8 * b}, {16 * b, 8 * b, 4 * b}, {8 * b, 4 * b, 2 * b}, {4 * b, b, b / 2}};
  for (int i = 0; i < 4; ++i)
    out.push_back(std::make_unique<AttentionGate>(parent, "att" + std::to_string(i + 1), channels[i]));
  return out;
}

ResNetUNet::ResNetUNet(const Architecture& a)
    : architecture_(a),
      stem_conv_(&stem_, "0", {.in = a.in_channels, .out = a.base, .kernel = 7, .stride = 2, .pad = 3}),
      stem_norm_(&stem_, "1", a.base),
      encoder1_(this, "encoder1", a.base, a.base, 3, 1),
      encoder2_(this, "encoder2", 4 * a.base, 2 * a.base, 4, 2),
      encoder3_(this, "encoder3", 8 * a.base, 4 * a.base, 6, 2),
      encoder4_(this, "encoder4", 16 * a.base, 8 * a.base, 3, 2),
      gates_(gates(this, a)),
      up1_(this, "up1", {.deep = 32 * a.base, .skip = 16 * a.base, .out = 16 * a.base}, a.bilinear, a.dropout),
      up2_(this, "up2", {.deep = 16 * a.base, .skip = 8 * a.base, .out = 8 * a.base}, a.bilinear, a.dropout),
      up3_(this, "up3", {.deep = 8 * a.base, .skip = 4 * a.base, .out = 4 * a.base}, a.bilinear, a.dropout),
      up4_(this, "up4", {.deep = 4 * a.base, .skip = a.base, .out = 2 * a.base}, a.bilinear, a.dropout),
      up5_(this, "up5", {.deep = 2 * a.base, .skip = 0, .out = a.base}, a.bilinear, a.dropout),
      outc_(this, "outc", a.base, a.classes) {}

Var ResNetUNet::forward(Tape& tape, Var x) const {
  check_input(x.shape());
  const Var x0 = stem_relu_.forward_in_place(tape, stem_norm_.forward(tape, stem_conv_.forward(tape, x)));
  const Var x1 = encoder1_.forward(tape, pool_.forward(tape, x0));
  const Var x2 = encoder2_.forward(tape, x1);
  const Var x3 = encoder3_.forward(tape, x2);
  const Var x4 = encoder4_.forward(tape, x3);
  const bool gated = !gates_.empty();
  const Var skip3 = gated ? gates_[0]->forward(tape, x4, x3) : x3;
  const Var skip2 = gated ? gates_[1]->forward(tape, x3, x2) : x2;
  const Var skip1 = gated ? gates_[2]->forward(tape, x2, x1) : x1;
  const Var skip0 = gated ? gates_[3]->forward(tape, x1, x0) : x0;
  if (gated) tape.forget(x0);
  Var y = up1_.forward(tape, x4, skip3);
  y = up2_.forward(tape, y, skip2);
  y = up3_.forward(tape, y, skip1);
  y = up4_.forward(tape, y, skip0);
  y = outc_.forward(tape, up5_.forward(tape, y));
  const Shape want = x.shape(), have = y.shape();
  if (have.h == want.h && have.w == want.w) return y;
  return tape.record(OpKind::pad, PadAttrs{.h = want.h, .w = want.w}, {y}, this);
}

}  // namespace furrow
