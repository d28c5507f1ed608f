#include "nn/bisenet.h"

namespace furrow {
namespace {

// x at the height and width of `like`.
Var nearest(Tape& tape, Var x, Var like, const Module* where) {
  return tape.record(OpKind::upsample_nearest, ResizeAttrs{like.shape().h, like.shape().w}, {x}, where);
}

Var mean(Tape& tape, Var x, const Module* where) { return tape.record(OpKind::global_mean, NoAttrs{}, {x}, where); }

int blocks(const Architecture& a, int stage) {
  constexpr int kOf18[] = {2, 2, 2, 2}, kOf34[] = {3, 4, 6, 3};
  return (a.family == "bisenet-resnet34" ? kOf34 : kOf18)[stage];
}

}  // namespace

ConvBNReLU::ConvBNReLU(Module* parent, std::string name, int64_t in, int64_t out, int64_t kernel)
    : Module(parent, std::move(name)),
      conv_(this, "conv", {.in = in, .out = out, .kernel = kernel, .pad = kernel / 2}),
      norm_(this, "bn", out) {}

AttentionRefinement::AttentionRefinement(Module* parent, std::string name, int64_t in, int64_t out)
    : Module(parent, std::move(name)),
      conv_(this, "conv", in, out),
      conv_atten_(this, "conv_atten", {.in = out, .out = out, .kernel = 1, .pad = 0}),
      norm_atten_(this, "bn_atten", out) {}

Var AttentionRefinement::forward(Tape& tape, Var x) const {
  const Var f = conv_.forward(tape, x);
  const Var z = norm_atten_.forward(tape, conv_atten_.forward(tape, mean(tape, f, this)));
  return tape.record(OpKind::channel_gate, NoAttrs{}, {f, z}, this);
}

BasicResNet::BasicResNet(Module* parent, std::string name, const Architecture& a)
    : Module(parent, std::move(name)),
      conv1_(this, "conv1", {.in = a.in_channels, .out = a.base, .kernel = 7, .stride = 2, .pad = 3}),
      norm1_(this, "bn1", a.base),
      layer1_(this, "layer1", a.base, a.base, blocks(a, 0), 1),
      layer2_(this, "layer2", a.base, 2 * a.base, blocks(a, 1), 2),
      layer3_(this, "layer3", 2 * a.base, 4 * a.base, blocks(a, 2), 2),
      layer4_(this, "layer4", 4 * a.base, 8 * a.base, blocks(a, 3), 2) {}

BasicResNet::Features BasicResNet::forward(Tape& tape, Var x) const {
  const Var stem = relu_.forward_in_place(tape, norm1_.forward(tape, conv1_.forward(tape, x)));
  const Var pooled = pool_.forward(tape, stem);
  tape.forget(stem);
  const Var at8 = layer2_.forward(tape, layer1_.forward(tape, pooled));
  const Var at16 = layer3_.forward(tape, at8);
  return {at8, at16, layer4_.forward(tape, at16)};
}

ContextPath::ContextPath(Module* parent, std::string name, const Architecture& a)
    : Module(parent, std::move(name)),
      resnet_(this, "resnet", a),
      arm16_(this, "arm16", 4 * a.base, 2 * a.base),
      arm32_(this, "arm32", 8 * a.base, 2 * a.base),
      conv_head32_(this, "conv_head32", 2 * a.base, 2 * a.base),
      conv_head16_(this, "conv_head16", 2 * a.base, 2 * a.base),
      conv_avg_(this, "conv_avg", 8 * a.base, 2 * a.base, 1) {}

ContextPath::Features ContextPath::forward(Tape& tape, Var x) const {
  const BasicResNet::Features f = resnet_.forward(tape, x);
  // What is added comes first: a plan adds it in the channel gate.
  const Var average = nearest(tape, conv_avg_.forward(tape, mean(tape, f.at32, this)), f.at32, this);
  const Var sum32 = tape.record(OpKind::add, NoAttrs{}, {arm32_.forward(tape, f.at32), average}, this);
  const Var at16 = conv_head32_.forward(tape, nearest(tape, sum32, f.at16, this));
  const Var sum16 = tape.record(OpKind::add, NoAttrs{}, {arm16_.forward(tape, f.at16), at16}, this);
  return {f.at8, conv_head16_.forward(tape, nearest(tape, sum16, f.at8, this)), at16};
}

FeatureFusion::FeatureFusion(Module* parent, std::string name, int64_t base)
    : Module(parent, std::move(name)),
      convblk_(this, "convblk", 4 * base, 4 * base, 1),
      conv1_(this, "conv1", {.in = 4 * base, .out = base, .kernel = 1, .pad = 0}),
      conv2_(this, "conv2", {.in = base, .out = 4 * base, .kernel = 1, .pad = 0}) {}

Var FeatureFusion::forward(Tape& tape, Var encoder8, Var at8) const {
  const Var f = convblk_.forward(tape, encoder8, at8);
  const Var z = conv2_.forward(tape, relu_.forward(tape, conv1_.forward(tape, mean(tape, f, this))));
  const Var gated = tape.record(OpKind::channel_gate, NoAttrs{}, {f, z}, this);
  return tape.record(OpKind::add, NoAttrs{}, {gated, f}, this);
}

BiSeNet::BiSeNet(const Architecture& a)
    : architecture_(a),
      cp_(this, "cp", a),
      ffm_(this, "ffm", a.base),
      conv_out_(this, "conv_out", 4 * a.base, 4 * a.base, a.classes),
      conv_out16_(this, "conv_out16", 2 * a.base, a.base, a.classes),
      conv_out32_(this, "conv_out32", 2 * a.base, a.base, a.classes) {}

Var BiSeNet::resized(Tape& tape, Var logits, Shape picture) const {
  return tape.record(OpKind::upsample_bilinear, ResizeAttrs{picture.h, picture.w}, {logits}, this);
}

Var BiSeNet::forward(Tape& tape, Var x) const {
  check_input(x.shape());
  const ContextPath::Features f = cp_.forward(tape, x);
  return resized(tape, conv_out_.forward(tape, ffm_.forward(tape, f.encoder8, f.at8)), x.shape());
}

BiSeNet::Heads BiSeNet::forward_heads(Tape& tape, Var x) const {
  check_input(x.shape());
  const ContextPath::Features f = cp_.forward(tape, x);
  const auto head = [&](const ParserHead& of, Var feature) {
    return resized(tape, of.forward(tape, feature), x.shape());
  };
  return {head(conv_out_, ffm_.forward(tape, f.encoder8, f.at8)), head(conv_out16_, f.at8), head(conv_out32_, f.at16)};
}

}  // namespace furrow
