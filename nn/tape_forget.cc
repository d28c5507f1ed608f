// Values that a tape forgets and computes again: ReLUs after batch norms, half of what a double convolution would keep.
#include <utility>

#include "nn/op.h"
#include "nn/tape.h"

namespace furrow {

bool Tape::can_forget(const Node& node) const {
  if (node.op != OpKind::relu || !std::holds_alternative<InPlaceAttrs>(node.attrs)) return false;
  const Node& norm = nodes_[static_cast<size_t>(node.in[0])];
  return norm.op == OpKind::batch_norm && std::get<BatchNormAttrs>(norm.attrs).shared.peers == nullptr;
}

void Tape::forget(Var v) {
  require(v.tape == this, "Tape::forget: a value of another tape");
  Node& node = nodes_[static_cast<size_t>(v.id)];
  if (!can_forget(node) || (backend_ != nullptr && memory_ == nullptr)) return;
  node.forgotten_at = static_cast<VarId>(nodes_.size());
  if (memory_ != nullptr) memory_->give_back(node.value);
}

// The value of a forgotten ReLU once more.
void Tape::remember(VarId id) {
  Node& node = nodes_[static_cast<size_t>(id)];
  if (node.forgotten_at < 0 || !node.value.empty()) return;
  Node& norm = nodes_[static_cast<size_t>(node.in[0])];
  Few<const Tensor*, kMostInputs> values;
  for (const VarId in : norm.in) values.push_back(&nodes_[static_cast<size_t>(in)].value);
  node.value = take(node.shape);
  batch_norm_again({*backend_, norm.attrs, values, node.value, norm.saved, memory_});
  backend_->relu(node.value, node.value);
}

// What propagating a node's gradient reads.
void Tape::remember_for(const Node& node, VarId id) {
  remember(id);
  for (const VarId in : node.in) remember(in);
}

// Those whose own gradient is not the next to be computed: a skip is read early in backward() and again at its end.
void Tape::forget_inputs(const Node& node, VarId id) {
  VarId next = id - 1;
  while (next >= 0 && nodes_[static_cast<size_t>(next)].op == OpKind::leaf) --next;
  for (const VarId in : node.in)
    if (Node& source = nodes_[static_cast<size_t>(in)]; source.forgotten_at >= 0 && in != next)
      memory_->give_back(source.value);
}

}  // namespace furrow
