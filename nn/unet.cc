#include "nn/unet.h"

#include <algorithm>

namespace furrow {

// Children register in the order of construction, which is the order of the members: "0", "1", "2", ...
DoubleConv::DoubleConv(Module* parent, std::string name, int64_t in, int64_t mid, int64_t out, double dropout)
    : Module(parent, std::move(name)),
      conv0_(&sequence_, "0", {.in = in, .out = mid}),
      norm1_(&sequence_, "1", mid),
      conv3_(&sequence_, "3", {.in = mid, .out = out}),
      norm4_(&sequence_, "4", out),
      dropout6_(&sequence_, "6", dropout) {}

Var DoubleConv::forward(Tape& tape, Var skip, Var up) const {
  const Var first = conv0_.forward(tape, skip, up);
  tape.forget(skip);
  return finish(tape, first);
}

Var DoubleConv::finish(Tape& tape, Var first) const {
  const Var middle = relu2_.forward_in_place(tape, norm1_.forward(tape, first));
  const Var second = conv3_.forward(tape, middle);
  tape.forget(middle);
  const Var last = relu5_.forward_in_place(tape, norm4_.forward(tape, second));
  return dropout6_.forward(tape, last);
}

Down::Down(Module* parent, std::string name, int64_t in, int64_t out, double dropout)
    : Module(parent, std::move(name)), conv_(&sequence_, "1", in, out, out, dropout) {}

Up::Up(Module* parent, std::string name, const Channels& c, bool bilinear, double dropout)
    : Module(parent, std::move(name)),
      transposed_(bilinear ? nullptr : std::make_unique<ConvTranspose2dLayer>(this, "up", c.deep, c.deep / 2)),
      bilinear_(bilinear ? std::make_unique<UpsampleLayer>(this, "up") : nullptr),
      conv_(this, "conv", (bilinear ? c.deep : c.deep / 2) + c.skip, c.mid > 0 ? c.mid : c.out, c.out, dropout) {}

Var Up::doubled(Tape& tape, Var deep) const {
  const Var up = bilinear_ ? bilinear_->forward(tape, deep) : transposed_->forward(tape, deep);
  tape.forget(deep);
  return up;
}

Var Up::forward(Tape& tape, Var deep, Var skip) const {
  Var up = doubled(tape, deep);
  const Shape want = skip.shape(), have = up.shape();
  if (have.h != want.h || have.w != want.w) {
    // Halves rounded towards minus infinity, as Python's // does; the shift is arithmetic.
    const PadAttrs pad{.top = (want.h - have.h) >> 1, .left = (want.w - have.w) >> 1, .h = want.h, .w = want.w};
    up = tape.record(OpKind::pad, pad, {up}, this);
  }
  return conv_.forward(tape, skip, up);
}

// `skip`: channels of the skip, which with transposed convolutions what is doubled has twice of.
Up::Channels UNet::up_channels(const Architecture& a, int64_t skip) {
  if (!a.bilinear) return {.deep = 2 * skip, .skip = skip, .out = skip};
  return {.deep = skip, .skip = skip, .mid = skip, .out = std::max(skip / 2, a.base)};
}

UNet::Gates UNet::gates(Module* parent, const Architecture& a) {
  Gates out;
  if (!a.attention()) return out;
  for (int i = 0; i < 4; ++i) {
    const int64_t x = (a.base * 8) >> i;
    out.push_back(
        std::make_unique<AttentionGate>(parent, "attention" + std::to_string(i + 1),
                                        AttentionGate::Channels{.g = up_channels(a, x).deep, .x = x, .inner = x / 2}));
  }
  return out;
}

UNet::UNet(const Architecture& a)
    : architecture_(a),
      inc_(this, "inc", a.in_channels, a.base, a.base, a.dropout),
      down1_(this, "down1", a.base, 2 * a.base, a.dropout),
      down2_(this, "down2", 2 * a.base, 4 * a.base, a.dropout),
      down3_(this, "down3", 4 * a.base, 8 * a.base, a.dropout),
      down4_(this, "down4", 8 * a.base, a.bilinear ? 8 * a.base : 16 * a.base, a.dropout),
      gates_(gates(this, a)),
      up1_(this, "up1", up_channels(a, 8 * a.base), a.bilinear, a.dropout),
      up2_(this, "up2", up_channels(a, 4 * a.base), a.bilinear, a.dropout),
      up3_(this, "up3", up_channels(a, 2 * a.base), a.bilinear, a.dropout),
      up4_(this, "up4", up_channels(a, a.base), a.bilinear, a.dropout),
      outc_(this, "outc", a.base, a.classes) {}

// One level of the decoder.
Var UNet::rise(Tape& tape, const Up& up, size_t gate, Var deep, Var skip) const {
  if (gates_.empty()) return up.forward(tape, deep, skip);
  const Var gated = gates_[gate]->forward(tape, deep, skip);
  tape.forget(skip);
  return up.forward(tape, deep, gated);
}

Var UNet::forward(Tape& tape, Var x) const {
  check_input(x.shape());
  const Var x1 = inc_.forward(tape, x);
  const Var x2 = down1_.forward(tape, x1);
  const Var x3 = down2_.forward(tape, x2);
  const Var x4 = down3_.forward(tape, x3);
  const Var x5 = down4_.forward(tape, x4);
  Var y = rise(tape, up1_, 0, x5, x4);
  y = rise(tape, up2_, 1, y, x3);
  y = rise(tape, up3_, 2, y, x2);
  y = rise(tape, up4_, 3, y, x1);
  return outc_.forward(tape, y);
}

}  // namespace furrow
