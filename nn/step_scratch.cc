// What the kernels work in during a training step: each operation is asked of a back-end that only counts.
#include "nn/step_peak.h"
#include "nn/tape.h"

namespace furrow {
namespace {

class Questions {
 public:
  Questions(const Tape& tape, Backend& counting) : nodes_(tape.nodes()), counting_(counting) {}

  void ask(const Node& node) const {
    if (node.op == OpKind::conv2d) convolution(node);
    if (node.op == OpKind::upconv2x2) upconvolution(node);
  }
  void loss(const Node& logits) const {
    if (logits.shape.c != 1) return;  // only the one of a single output works aside
    const Tensor z = weightless(logits.shape);
    Tensor dz = z;
    counting_.dice_focal(DiceFocal{}, z, z, &dz);
  }

 private:
  Tensor weightless(const Shape& shape) const { return {shape, counting_.dtype(), nullptr, nullptr}; }
  const Node& input(const Node& node, size_t i) const { return nodes_[static_cast<size_t>(node.in[i])]; }

  void convolution(const Node& node) const {
    const auto& attrs = std::get<ConvAttrs>(node.attrs);
    const bool two = attrs.two_sources;
    const Node &in0 = input(node, 0), &in1 = input(node, two ? 1 : 0), &weight = input(node, two ? 2 : 1);
    const Tensor x0 = weightless(in0.shape), x1 = weightless(in1.shape), w = weightless(weight.shape);
    Tensor y = weightless(node.shape), dx0 = x0, dx1 = x1, dw = w;
    counting_.conv2d({.x0 = &x0, .x1 = two ? &x1 : nullptr, .w = &w, .b = nullptr, .geometry = attrs.geometry}, y);
    Tensor *to0 = in0.wants_grad ? &dx0 : nullptr, *to1 = two && in1.wants_grad ? &dx1 : nullptr;
    if (to0 != nullptr || to1 != nullptr)
      counting_.conv2d_grad_input({.dy = &y, .w = &w, .geometry = attrs.geometry}, to0, to1, Grad::overwrite);
    if (weight.wants_grad)
      counting_.conv2d_grad_weight({.x0 = &x0, .x1 = two ? &x1 : nullptr, .dy = &y, .geometry = attrs.geometry}, dw,
                                   nullptr, Grad::overwrite);
  }

  void upconvolution(const Node& node) const {
    const Node &in = input(node, 0), &weight = input(node, 1);
    const Tensor x = weightless(in.shape), w = weightless(weight.shape);
    Tensor y = weightless(node.shape), dx = x, dw = w;
    counting_.upconv2x2(x, w, nullptr, y);
    if (in.wants_grad) counting_.upconv2x2_grad_input(y, w, dx, Grad::overwrite);
    if (weight.wants_grad) counting_.upconv2x2_grad_weight(x, y, dw, nullptr, Grad::overwrite);
  }

  const std::vector<Node>& nodes_;
  Backend& counting_;
};

}  // namespace

uint64_t step_scratch(const Network& network, const Shape& input, const Backend& backend) {
  Tape tape;
  const VarId last = network.forward(tape, tape.input(input)).id;
  return backend.scratch_bytes([&](Backend& counting) {
    const Questions questions(tape, counting);
    for (const Node& node : tape.nodes()) questions.ask(node);
    questions.loss(tape.nodes()[static_cast<size_t>(last)]);
  });
}

}  // namespace furrow
