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

Up::Up(Module* parent, std::string name, int64_t in, int64_t out, bool bilinear, double dropout)
    : Module(parent, std::move(name)),
      transposed_(bilinear ? nullptr : std::make_unique<ConvTranspose2dLayer>(this, "up", in, in / 2)),
      bilinear_(bilinear ? std::make_unique<UpsampleLayer>(this, "up") : nullptr),
      conv_(this, "conv", in, bilinear ? in / 2 : out, out, dropout) {}

Var Up::forward(Tape& tape, Var deep, Var skip) const {
  Var up = bilinear_ ? bilinear_->forward(tape, deep) : transposed_->forward(tape, deep);
  tape.forget(deep);
  const Shape want = skip.shape(), have = up.shape();
  if (have.h != want.h || have.w != want.w) {
    // Halves rounded towards minus infinity, as Python's // does; the shift is arithmetic.
    const PadAttrs pad{.top = (want.h - have.h) >> 1, .left = (want.w - have.w) >> 1, .h = want.h, .w = want.w};
    up = tape.record(OpKind::pad, pad, {up}, this);
  }
  return conv_.forward(tape, skip, up);
}

UNet::UNet(const Architecture& a)
    : architecture_(a),
      inc_(this, "inc", a.in_channels, a.base, a.base, a.dropout),
      down1_(this, "down1", a.base, 2 * a.base, a.dropout),
      down2_(this, "down2", 2 * a.base, 4 * a.base, a.dropout),
      down3_(this, "down3", 4 * a.base, 8 * a.base, a.dropout),
      down4_(this, "down4", 8 * a.base, a.bilinear ? 8 * a.base : 16 * a.base, a.dropout),
      up1_(this, "up1", 16 * a.base, a.bilinear ? 4 * a.base : 8 * a.base, a.bilinear, a.dropout),
      up2_(this, "up2", 8 * a.base, a.bilinear ? 2 * a.base : 4 * a.base, a.bilinear, a.dropout),
      up3_(this, "up3", 4 * a.base, a.bilinear ? a.base : 2 * a.base, a.bilinear, a.dropout),
      up4_(this, "up4", 2 * a.base, a.base, a.bilinear, a.dropout),
      outc_(this, "outc", a.base, a.classes) {}

Var UNet::forward(Tape& tape, Var x) const {
  const Shape& s = x.shape();
  if (s.c != architecture_.in_channels)
    throw Error(ErrorCode::unsupported, "the network takes " + std::to_string(architecture_.in_channels) +
                                            " input channels, not " + std::to_string(s.c));
  if (std::min(s.h, s.w) < min_side())
    throw Error(ErrorCode::unsupported, "a picture of " + std::to_string(s.w) + "x" + std::to_string(s.h) +
                                            " is too small for the network: each side needs " +
                                            std::to_string(min_side()) + " pixels");
  const Var x1 = inc_.forward(tape, x);
  const Var x2 = down1_.forward(tape, x1);
  const Var x3 = down2_.forward(tape, x2);
  const Var x4 = down3_.forward(tape, x3);
  const Var x5 = down4_.forward(tape, x4);
  Var y = up1_.forward(tape, x5, x4);
  y = up2_.forward(tape, y, x3);
  y = up3_.forward(tape, y, x2);
  y = up4_.forward(tape, y, x1);
  return outc_.forward(tape, y);
}

}  // namespace furrow
