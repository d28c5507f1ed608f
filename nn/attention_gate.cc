#include "nn/attention_gate.h"

namespace furrow {

AttentionGate::Projection::Projection(Module* parent, std::string name, int64_t in, int64_t out)
    : sequence(parent, std::move(name)),
      conv(&sequence, "0", {.in = in, .out = out, .kernel = 1, .pad = 0, .bias = true}),
      norm(&sequence, "1", out) {}

AttentionGate::AttentionGate(Module* parent, std::string name, const Channels& c)
    : Module(parent, std::move(name)),
      g_(this, "W_g", c.g, c.inner),
      x_(this, "W_x", c.x, c.inner),
      psi_(this, "psi", c.inner, 1) {}

Var AttentionGate::forward(Tape& tape, Var g, Var x) const {
  const Shape want = x.shape(), have = g.shape();
  if (have.h != want.h || have.w != want.w)
    g = tape.record(OpKind::upsample_bilinear, ResizeAttrs{want.h, want.w}, {g}, this);
  const Var from_g = g_.forward(tape, g), from_x = x_.forward(tape, x);
  const Var sum = tape.record(OpKind::add, NoAttrs{}, {from_g, from_x}, this);
  const Var z = psi_.forward(tape, relu_.forward_in_place(tape, sum));
  return tape.record(OpKind::gate, NoAttrs{}, {x, z}, this);
}

}  // namespace furrow
