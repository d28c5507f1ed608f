#include "nn/tape.h"

#include <algorithm>
#include <utility>

namespace furrow {

const Shape& Var::shape() const { return tape->nodes_[static_cast<size_t>(id)].shape; }
const Tensor& Var::value() const { return tape->nodes_[static_cast<size_t>(id)].value; }

Var Tape::append(Node node) {
  nodes_.push_back(std::move(node));
  return {this, static_cast<VarId>(nodes_.size() - 1)};
}

Var Tape::input(Tensor value, bool wants_grad) {
  require(backend_ != nullptr && value.dtype() == backend_->dtype(),
          "Tape::input: a value of the back-end's element type");
  const Shape shape = value.shape();
  return append({.shape = shape, .value = std::move(value), .wants_grad = wants_grad});
}

Var Tape::input(Shape shape) {
  require(backend_ == nullptr, "Tape::input: this tape computes and needs a value");
  return append({.shape = shape});
}

Var Tape::parameter(const Parameter& p) {
  if (const VarId known = leaf_of(p); known >= 0) return {this, known};
  if (backend_ != nullptr)
    require(!p.value.empty() && p.value.dtype() == backend_->dtype(),
            "Tape: a parameter of the back-end's element type");
  Tensor value = memory_ != nullptr ? memory_->value_of(p) : p.value;
  const Var leaf = append({.shape = p.shape(), .value = std::move(value), .parameter = &p, .wants_grad = p.trainable});
  parameters_[&p] = leaf.id;
  return leaf;
}

VarId Tape::leaf_of(const Parameter& p) const {
  const auto found = parameters_.find(&p);
  if (found == parameters_.end() || found->second >= static_cast<VarId>(nodes_.size())) return -1;
  return nodes_[static_cast<size_t>(found->second)].parameter == &p ? found->second : -1;
}

Dropout Tape::next_dropout(double p, const Shape& x) {
  constexpr uint64_t kDropouts = uint64_t{1} << 16;  // more than any network has
  const auto first = static_cast<uint64_t>(draws_.first_image * x.h * x.w * x.c);
  return {p, draws_.seed, draws_.step * kDropouts + dropouts_++, first};
}

Var Tape::record(OpKind op, Attrs attrs, std::initializer_list<Var> in, const Module* where) {
  Node node{.op = op, .attrs = attrs, .where = where};
  Few<Shape, kMostInputs> shapes;
  Few<const Tensor*, kMostInputs> values;
  for (const Var& v : in) {
    require(v.tape == this, "Tape::record: an input of another tape");
    require(std::find(node.in.begin(), node.in.end(), v.id) == node.in.end(), "Tape::record: the same input twice");
    const Node& source = nodes_[static_cast<size_t>(v.id)];
    require(source.forgotten_at < 0, "Tape::record: an input that was forgotten");
    node.in.push_back(v.id);
    shapes.push_back(source.shape);
    values.push_back(&source.value);
    node.wants_grad |= source.wants_grad;
  }
  const OpDef& def = op_def(op);
  node.shape = def.infer(attrs, shapes);
  if (backend_ != nullptr) {
    if (memory_ != nullptr && std::holds_alternative<InPlaceAttrs>(attrs)) {
      node.value = std::exchange(nodes_[static_cast<size_t>(node.in[0])].value, Tensor());
      values[0] = &node.value;
    } else {
      node.value = take(node.shape);
    }
    run(def, {*backend_, node.attrs, values, node.value, node.saved, memory_});
  }
  return append(std::move(node));
}

void Tape::backward(std::span<const Root> roots) {
  const VarId last = start(roots);
  const auto is_root = [&](VarId id) {
    return std::ranges::find(roots, id, [](const Root& r) { return r.y.id; }) != roots.end();
  };
  for (VarId id = last; id >= 0; --id) {
    Node& node = nodes_[static_cast<size_t>(id)];
    if (node.op == OpKind::leaf) continue;
    Tensor& grad = grads_[static_cast<size_t>(id)];
    if (node.wants_grad && !grad.empty()) {
      remember_for(node, id);
      propagate(node, id);
      forget_inputs(node, id);
    }
    // Every reader of this value has been walked: nobody adds to the gradient any more, or reads the value again.
    if (memory_ != nullptr) {
      if (!is_root(id)) memory_->give_back(grad);  // dy is the caller's
      memory_->give_back(node.value);
      for (Tensor& saved : node.saved) memory_->give_back(saved);
    }
    grad = Tensor();
  }
}

Grad Tape::begin_gradient(const Node& source, Tensor& grad) {
  if (!grad.empty()) return Grad::accumulate;
  TapeMemory::Target target;
  if (source.parameter != nullptr && memory_ != nullptr) target = memory_->gradient_of(*source.parameter);
  grad = target.window.empty() ? take(source.shape) : target.window;
  return target.mode;
}

void Tape::propagate(const Node& node, VarId id) {
  Few<const Tensor*, kMostInputs> values;
  Few<Tensor*, kMostInputs> grads;
  Few<Grad, kMostInputs> modes;
  for (VarId in : node.in) {
    const Node& source = nodes_[static_cast<size_t>(in)];
    Tensor& grad = grads_[static_cast<size_t>(in)];
    values.push_back(&source.value);
    grads.push_back(source.wants_grad ? &grad : nullptr);
    modes.push_back(source.wants_grad ? begin_gradient(source, grad) : Grad::overwrite);
  }
  op_def(node.op).vjp(
      {*backend_, node.attrs, values, node.value, node.saved, grads_[static_cast<size_t>(id)], grads, modes});
}

const Tensor& Tape::grad(Var leaf) const {
  static const Tensor none;
  const auto at = static_cast<size_t>(leaf.id);
  return at < grads_.size() ? grads_[at] : none;
}

const Tensor& Tape::grad(const Parameter& p) const { return grad(Var{nullptr, leaf_of(p)}); }

void Tape::clear() {
  nodes_.clear();
  grads_.clear();
  dropouts_ = 0;
}

}  // namespace furrow
